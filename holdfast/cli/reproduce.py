"""Make a version again from its lineage and compare: `python -m holdfast reproduce VERSION`"""

import sys
import time
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape

from feature_repo.settings import load_settings


def reproduce(version: Annotated[str, typer.Argument(help="A number, `champion` or `challenger`.")]) -> None:
    """Train a version again in a clean process; exit code 0 when its predictions are the same to the last bit.

    Registry, data folder and online store stay as they are.
    """
    from holdfast.lineage import reproduction
    from holdfast.model_versions.aliases import open_registry
    from holdfast.reporting.reproduction_report import format_reproduction

    console, settings, start = Console(highlight=False, soft_wrap=True), load_settings(), time.perf_counter()
    with console.status("reading what was recorded") as status:
        recorded = reproduction.load_recorded_version(open_registry(settings), version)
        result = reproduction.reproduce(settings, recorded, lambda doing: status.update(escape(doing)))
    console.print(format_reproduction(result, time.perf_counter() - start))
    sys.exit(0 if result.identical else 1)
