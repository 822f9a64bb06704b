"""Command `python -m holdfast plan`: changes of the feature definitions of this checkout."""

from typing import Annotated

import typer

from feature_repo.settings import Settings


def plan(
    against: Annotated[
        str | None, typer.Option(help="Id of a version of the feature definitions; default: the applied definitions.")
    ] = None,
) -> None:
    """Show how the feature definitions of this checkout differ from those in Feast's registry.

    `feast plan` decides the same, but prints each changed object as a whole. Nothing is changed. It is an error if the
    definitions cannot be applied.
    """
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.definition_diff import describe_contents, describe_definitions, diff_definitions
    from holdfast.feature_store.definition_versions import open_version
    from holdfast.feature_store.feast_registry import check_contents, collect_definitions

    settings = Settings.from_environment()
    store, contents = open_version(settings, against) if against else open_store(), collect_definitions()
    changes = diff_definitions(describe_definitions(store), describe_contents(contents))
    typer.echo("\n".join(changes) or "No changes")
    check_contents(contents)
