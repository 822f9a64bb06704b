"""Command line of the library: `python -m holdfast --help`."""

import typer

from holdfast.cli.lineage import lineage
from holdfast.cli.reproduce import reproduce
from holdfast.runtime.cli_errors import EXPECTED_ERRORS, exit_on_expected_error


def main() -> None:
    """Run the command that the command line names; an expected error is one line and exit code 1."""
    app = typer.Typer(
        name="python -m holdfast",
        help="Commands of Holdfast that are no flow. Flows: `python -m flows.NAME --help`.",
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.command()(lineage)
    app.command()(reproduce)
    with exit_on_expected_error(EXPECTED_ERRORS):
        app()


if __name__ == "__main__":
    main()
