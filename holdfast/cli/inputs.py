"""Command `python -m holdfast inputs`: what the inputs of each feature view add to a version."""

from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from feature_repo.settings import Settings

if TYPE_CHECKING:
    from holdfast.training.evaluation_report import Interval


def inputs(
    version: Annotated[str, typer.Argument(help="A version number, `champion` or `challenger`.")],
    resamples: Annotated[int, typer.Option(help="Resamples of customers and months behind the intervals.")] = 1000,
) -> None:
    """Measure what the inputs of each feature view add to a version.

    The recipe of the version is fitted again without the inputs of one view, and both models score the test rows. A
    view that surely lowers the Brier score belongs to the inputs; one that does not can be left out of the feature
    service. Nothing is registered.
    """
    from holdfast.model_versions.aliases import resolve_version
    from holdfast.model_versions.candidate import ModelCandidate
    from holdfast.training.input_effects import compute_input_effects
    from holdfast.training.mlflow_client import open_registry

    settings, console = Settings.from_environment(), Console(highlight=False)
    client = open_registry(settings)
    candidate = ModelCandidate(client, str(resolve_version(client, version).version))
    with console.status("joining features to labels") as status:
        effects = compute_input_effects(
            candidate.recipe,
            candidate.rows_of_training(settings),
            resamples,
            lambda activity: status.update(escape(activity)),
        )
    table = Table("view", "inputs", "lowers the Brier score by", "raises the ROC-AUC by", "verdict", box=None)
    for effect in effects:
        verdict = "surely better with it" if effect.is_sure else "no sure effect"
        table.add_row(effect.view, str(len(effect.inputs)), _format(effect.brier), _format(effect.roc_auc), verdict)
    console.print(table)


def _format(interval: "Interval") -> str:
    return f"{interval.value:.4f} ({interval.low:.4f} to {interval.high:.4f})"
