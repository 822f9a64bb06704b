"""Reproduction of a model version, and its comparison with the recorded results."""

from collections.abc import Callable
from dataclasses import dataclass, field
from io import BytesIO

import pandas as pd

from feature_repo.settings import Settings
from holdfast.ingestion.batches import list_batches
from holdfast.lineage import differences
from holdfast.lineage.differences import ReproductionDifference
from holdfast.lineage.isolated_retraining import ReproductionError, RetrainingOutcome, retrain_isolated
from holdfast.lineage.version_history import parse_lineage
from holdfast.model_versions.aliases import resolve_version
from holdfast.training.lineage import Lineage
from holdfast.training.mlflow_client import ModelClient
from holdfast.training.mlflow_tracking import LINEAGE_FILE, PREDICTIONS_FILE
from holdfast.training.recipe import RECIPE_FILE, Recipe
from holdfast.training.run_artifacts import read_files


@dataclass(frozen=True)
class RecordedVersion:
    """Records of a version that a reproduction needs.

    Attributes:
        version: Number.
        lineage: Batches, times, definitions and code of the training.
        recipe: Fitted model and its cut-offs.
        scores: customer_id, cutoff, churned and "model" of every test row; after a refit also "served".
    """

    version: str
    lineage: Lineage
    recipe: Recipe
    scores: pd.DataFrame


@dataclass(frozen=True)
class Reproduction:
    """Result of a reproduction.

    Attributes:
        version: Number.
        identical: All test predictions, of the tested and of the shipped model, and the data behind them are
            bit-identical.
        rows: Number of test rows.
        differences: First cause first; an identical reproduction may differ in code.
        unused_batches: Batches on disk that arrived in time and are not part of the lineage.
    """

    version: str
    identical: bool
    rows: int
    differences: list[ReproductionDifference]
    unused_batches: list[str] = field(default_factory=list)


def load_recorded_version(client: ModelClient, version: str) -> RecordedVersion:
    """Read the records of a version.

    Args:
        client: Client of the registry.
        version: Number, ``champion`` or ``challenger``.

    Returns:
        The records.

    Raises:
        UnknownVersionError: The version does not exist.
        RunUnavailableError, NoLineageError, ReproductionError: A record is missing.
    """
    registered = resolve_version(client, version)
    label = f"{client.model_name} version {registered.version}, MLflow run {registered.run_id},"
    files = read_files(client, str(registered.run_id), (LINEAGE_FILE, RECIPE_FILE, PREDICTIONS_FILE))
    lineage = parse_lineage(files, label)
    if missing := sorted({RECIPE_FILE, PREDICTIONS_FILE} - files.keys()):
        raise ReproductionError(f"{label} has no {' and no '.join(missing)}: it cannot be reproduced.")
    return RecordedVersion(
        str(registered.version),
        lineage,
        Recipe.model_validate_json(files[RECIPE_FILE]),
        pd.read_parquet(BytesIO(files[PREDICTIONS_FILE])),
    )


def reproduce_version(settings: Settings, recorded: RecordedVersion, report: Callable[[str], object]) -> Reproduction:
    """Retrain a version in a clean process and compare. The data folder and the registry do not change.

    Args:
        settings: Name the folder of batches.
        recorded: Records of the version.
        report: Called with each line of progress.

    Returns:
        The differences.

    Raises:
        ReproductionError: The clean process failed.
    """
    on_disk = list_batches(settings)
    if missing := differences.diff_batches(recorded.lineage, on_disk, settings.batches):
        return Reproduction(recorded.version, False, len(recorded.scores), missing)
    outcome = retrain_isolated(settings, recorded.lineage, recorded.recipe, report)
    return compare_with_records(recorded, outcome, differences.list_unused_batches(recorded.lineage, on_disk))


def compare_with_records(
    recorded: RecordedVersion, outcome: RetrainingOutcome, unused_batches: list[str]
) -> Reproduction:
    """Compare a retrained model with the records of the version.

    Args:
        recorded: Records of the version.
        outcome: Result of the clean process.
        unused_batches: Passed on to the result.

    Returns:
        The differences.
    """
    rows, lineage, model = len(recorded.scores), recorded.lineage, outcome.model
    causes = differences.diff_definitions(lineage, outcome.current) + differences.diff_code(lineage, outcome.current)
    causes += differences.diff_numeric_environment(lineage, outcome.current)
    if model is None:
        failed = [ReproductionDifference("training set", outcome.error)] if outcome.error else []
        return Reproduction(recorded.version, False, rows, causes + failed, unused_batches)
    data = differences.diff_data(recorded.recipe.digests, model.digests)
    data += differences.diff_test_rows(recorded.scores, model.scores)
    scores = differences.diff_scores(recorded.scores, model.scores)
    if scores and not causes + data:
        causes = [ReproductionDifference("fit", _explain_fit(recorded, outcome))]
    return Reproduction(recorded.version, not data + scores, rows, causes + data + scores, unused_batches)


def _explain_fit(recorded: RecordedVersion, outcome: RetrainingOutcome) -> str:
    same = "definitions, code, rows, labels and inputs are the recorded ones: the recipe was changed"
    if recorded.lineage.numeric_environment:
        return f"{same}, or the installed libraries are not those of the lock."
    return f"{same}, or another processor computed it (here {outcome.current.numeric_environment}; then not recorded)."
