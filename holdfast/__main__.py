"""Command line of the library: `python -m holdfast --help`."""

import typer

from feature_repo.settings import apply_environment
from holdfast.cli.inputs import inputs
from holdfast.cli.lineage import lineage
from holdfast.cli.plan import plan
from holdfast.cli.reproduce import reproduce
from holdfast.cli.status_page import status_page
from holdfast.runtime.cli_errors import exit_on_expected_error


def main() -> None:
    """Run the command of the command line; an expected error is one line and exit code 1."""
    app = typer.Typer(
        name="python -m holdfast",
        help="Commands of Holdfast. Flows have their own: `python -m flows.NAME --help`.",
        add_completion=False,
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.command()(inputs)
    app.command()(lineage)
    app.command()(plan)
    app.command()(reproduce)
    app.command()(status_page)
    apply_environment()  # before a command imports MLflow, which would report its use
    with exit_on_expected_error():
        app()


if __name__ == "__main__":
    main()
