"""Makes a version again from what was recorded of it, and holds the two side by side."""

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO

import pandas as pd
from mlflow import MlflowClient

from feature_repo.settings import Settings
from holdfast.ingestion.batches import list_batches
from holdfast.lineage import differences
from holdfast.lineage.differences import ReproductionDifference
from holdfast.lineage.isolated_retraining import ReproductionError, RetrainingOutcome, retrain_isolated
from holdfast.lineage.version_history import parse_lineage, parse_numeric_environment, resolve_version
from holdfast.models.contract import MODEL_NAME
from holdfast.runtime.run_artifacts import read_files
from holdfast.training.lineage import Lineage
from holdfast.training.mlflow_tracking import LINEAGE_FILE, PREDICTIONS_FILE
from holdfast.training.numeric_environment import NumericEnvironment
from holdfast.training.recipe import RECIPE_FILE, Recipe


@dataclass(frozen=True)
class RecordedVersion:
    """What a version left of itself.

    ``scores``: customer_id, cutoff, churned and "model" of every test row. ``arithmetic``: None where a version was
    trained before it was recorded.
    """

    version: str
    lineage: Lineage
    recipe: Recipe
    scores: pd.DataFrame
    arithmetic: NumericEnvironment | None


@dataclass(frozen=True)
class Reproduction:
    """What came of it. ``differences`` has the first cause first; an identical one may differ in code.

    ``left_out``: batches on disk that arrived in time but are not of the lineage.
    """

    version: str
    identical: bool
    rows: int
    differences: list[ReproductionDifference]
    left_out: list[str] = field(default_factory=list)


def load_recorded_version(client: MlflowClient, version: str) -> RecordedVersion:
    """What was recorded of a version: a number, ``champion`` or ``challenger``.

    Raises:
        UnknownVersionError: There is none.
        RunUnavailableError, NoLineageError, ReproductionError: Too little of it is left.
    """
    registered = resolve_version(client, version)
    about = f"{MODEL_NAME} version {registered.version}, MLflow run {registered.run_id},"
    files = read_files(client, str(registered.run_id), (LINEAGE_FILE, RECIPE_FILE, PREDICTIONS_FILE))
    lineage = parse_lineage(files, about)
    if missing := sorted({RECIPE_FILE, PREDICTIONS_FILE} - files.keys()):
        raise ReproductionError(f"{about} has no {' and no '.join(missing)}: it cannot be made again.")
    return RecordedVersion(
        str(registered.version),
        lineage,
        Recipe.model_validate_json(files[RECIPE_FILE]),
        pd.read_parquet(BytesIO(files[PREDICTIONS_FILE])),
        parse_numeric_environment(files),
    )


def reproduce(settings: Settings, recorded: RecordedVersion, say: Callable[[str], object]) -> Reproduction:
    """Make it again in a clean process and compare. Changes neither the data folder nor the registry.

    Raises:
        ReproductionError: The clean process failed.
    """
    on_disk = list_batches(settings)
    if gone := differences.diff_batches(recorded.lineage, on_disk, settings.batches):
        return Reproduction(recorded.version, False, len(recorded.scores), gone)
    outcome = retrain_isolated(settings, recorded.lineage, recorded.recipe, recorded.arithmetic, say)
    return compare(recorded, outcome, differences.list_extra_batches(recorded.lineage, on_disk))


def compare(recorded: RecordedVersion, outcome: RetrainingOutcome, left_out: list[str]) -> Reproduction:
    """Hold what was made beside what was recorded."""
    rows, lineage, made = len(recorded.scores), recorded.lineage, outcome.made
    causes = differences.diff_definitions(lineage, outcome.present) + differences.diff_code(lineage, outcome.present)
    causes += differences.diff_numeric_environment(recorded.arithmetic, outcome.arithmetic)
    if made is None:
        refused = [ReproductionDifference("training set", outcome.refusal)] if outcome.refusal else []
        return Reproduction(recorded.version, False, rows, causes + refused, left_out)
    data = differences.diff_data(recorded.recipe.digests, made.digests)
    data += differences.diff_test_rows(recorded.scores, made.scores)
    scores = differences.diff_scores(recorded.scores, made.scores)
    if scores and not causes + data:
        causes = [ReproductionDifference("fit", _unexplained(recorded, outcome))]
    return Reproduction(recorded.version, not data + scores, rows, causes + data + scores, left_out)


def _unexplained(recorded: RecordedVersion, outcome: RetrainingOutcome) -> str:
    same = "definitions, code, rows, labels and inputs are the recorded ones: the recipe was changed"
    if recorded.arithmetic:
        return f"{same}, or the installed libraries are not those of the lock."
    return f"{same}, or another processor computed it (here {outcome.arithmetic}; then is not recorded)."
