"""Makes a version again from what was recorded of it, and holds the two side by side."""

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO

import pandas as pd
from mlflow import MlflowClient

from feature_repo.settings import Settings
from holdfast.ingestion.batches import list_batches
from holdfast.lineage import differences
from holdfast.lineage.differences import Difference
from holdfast.lineage.isolated_retraining import Outcome, ReproductionError, make_again
from holdfast.lineage.version_history import arithmetic_in, lineage_in, resolve_version
from holdfast.models.contract import MODEL_NAME
from holdfast.runtime.run_artifacts import read_files
from holdfast.training.lineage import Lineage
from holdfast.training.mlflow_tracking import LINEAGE_FILE, PREDICTIONS_FILE
from holdfast.training.numeric_environment import Arithmetic
from holdfast.training.recipe import RECIPE_FILE, Recipe


@dataclass(frozen=True)
class Recorded:
    """What a version left of itself.

    ``scores``: customer_id, cutoff, churned and "model" of every test row. ``arithmetic``: None where a version was
    trained before it was recorded.
    """

    version: str
    lineage: Lineage
    recipe: Recipe
    scores: pd.DataFrame
    arithmetic: Arithmetic | None


@dataclass(frozen=True)
class Reproduction:
    """What came of it. ``differences`` has the first cause first; an identical one may differ in code.

    ``left_out``: batches on disk that arrived in time but are not of the lineage.
    """

    version: str
    identical: bool
    rows: int
    differences: list[Difference]
    left_out: list[str] = field(default_factory=list)


def recorded_of(client: MlflowClient, version: str) -> Recorded:
    """What was recorded of a version: a number, ``champion`` or ``challenger``.

    Raises:
        UnknownVersionError: There is none.
        RunGoneError, NoLineageError, ReproductionError: Too little of it is left.
    """
    registered = resolve_version(client, version)
    about = f"{MODEL_NAME} version {registered.version}, MLflow run {registered.run_id},"
    files = read_files(client, str(registered.run_id), (LINEAGE_FILE, RECIPE_FILE, PREDICTIONS_FILE))
    lineage = lineage_in(files, about)
    if missing := sorted({RECIPE_FILE, PREDICTIONS_FILE} - files.keys()):
        raise ReproductionError(f"{about} has no {' and no '.join(missing)}: it cannot be made again.")
    return Recorded(
        str(registered.version),
        lineage,
        Recipe.model_validate_json(files[RECIPE_FILE]),
        pd.read_parquet(BytesIO(files[PREDICTIONS_FILE])),
        arithmetic_in(files),
    )


def reproduce(settings: Settings, recorded: Recorded, say: Callable[[str], object]) -> Reproduction:
    """Make it again in a clean process and compare. Changes neither the data folder nor the registry.

    Raises:
        ReproductionError: The clean process failed.
    """
    on_disk = list_batches(settings)
    if gone := differences.missing_batches(recorded.lineage, on_disk, settings.batches):
        return Reproduction(recorded.version, False, len(recorded.scores), gone)
    outcome = make_again(settings, recorded.lineage, recorded.recipe, recorded.arithmetic, say)
    return compared(recorded, outcome, differences.other_batches(recorded.lineage, on_disk))


def compared(recorded: Recorded, outcome: Outcome, left_out: list[str]) -> Reproduction:
    """Hold what was made beside what was recorded."""
    rows, lineage, made = len(recorded.scores), recorded.lineage, outcome.made
    causes = differences.other_definitions(lineage, outcome.present) + differences.other_code(lineage, outcome.present)
    causes += differences.other_arithmetic(recorded.arithmetic, outcome.arithmetic)
    if made is None:
        refused = [Difference("training set", outcome.refusal)] if outcome.refusal else []
        return Reproduction(recorded.version, False, rows, causes + refused, left_out)
    data = differences.other_data(recorded.recipe.digests, made.digests)
    data += differences.other_test_rows(recorded.scores, made.scores)
    scores = differences.other_scores(recorded.scores, made.scores)
    if scores and not causes + data:
        causes = [Difference("fit", _unexplained(recorded, outcome))]
    return Reproduction(recorded.version, not data + scores, rows, causes + data + scores, left_out)


def _unexplained(recorded: Recorded, outcome: Outcome) -> str:
    same = "definitions, code, rows, labels and inputs are the recorded ones: the recipe was changed"
    if recorded.arithmetic:
        return f"{same}, or the installed libraries are not those of the lock."
    return f"{same}, or another processor computed it (here {outcome.arithmetic}; then is not recorded)."
