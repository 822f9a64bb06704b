"""Retraining of a version in a clean process, which has the batches and settings of the version and no registry."""

import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from feature_repo.settings import Settings
from holdfast.core.definition_hashes import definitions_version
from holdfast.core.errors import HoldfastError
from holdfast.core.parquet_files import read_parquet_file
from holdfast.core.path_names import require_path_name
from holdfast.feast_stores.open_store import open_store, version_folder
from holdfast.lineage import retrain_worker
from holdfast.lineage.retrain_worker import RetrainedModel
from holdfast.models.declaration import load_declaration
from holdfast.models.label import SETTINGS_LABEL
from holdfast.runtime.processes import log_tail, start_process
from holdfast.training.lineage import LINEAGE, ROOT, Lineage
from holdfast.training.numeric_environment import PINNING_VARIABLES, pinned_environment
from holdfast.training.recipe import RECIPE_FILE, Recipe

# No variable that names a store or a registry: those of the clean process are in its data folder.
_REGISTRY = "registry.db"  # of feature_repo/feature_store.yaml, which the clean process uses
_INHERITED = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


class ReproductionError(HoldfastError):
    """A version cannot be reproduced at all."""


@dataclass(frozen=True)
class RetrainingOutcome:
    """Result of the clean process.

    Attributes:
        current: Lineage that this checkout would record, with the numeric environment of the process.
        model: None if the definitions differ, or after ``error``.
        error: Reason why the batches give no training set.
    """

    current: Lineage
    model: RetrainedModel | None
    error: str | None = None


def retrain_isolated(
    settings: Settings, lineage: Lineage, recipe: Recipe, report: Callable[[str], object]
) -> RetrainingOutcome:
    """Retrain a model in a temporary folder, which is removed.

    Args:
        settings: Name the folder of batches.
        lineage: Gives batches, times, label, and the numeric environment, which the process is pinned to if it was
            recorded.
        recipe: Model that is fitted.
        report: Called with each line of progress.

    Returns:
        The model, or the reason why there is none.

    Raises:
        ReproductionError: The process failed.
    """
    with tempfile.TemporaryDirectory(prefix="holdfast-reproduce-") as name:
        folder = Path(name)
        batches = folder / "data" / "batches"
        batches.mkdir(parents=True)
        for batch_id in lineage.batches:
            require_path_name(batch_id, "batch id")
            (batches / batch_id).symlink_to(settings.batches / batch_id)
        _copy_definitions(settings, folder / "data", definitions_version(lineage.fingerprint))
        (folder / retrain_worker.RECORDED_FILE).write_bytes(LINEAGE.dump_json(lineage))
        (folder / RECIPE_FILE).write_text(recipe.model_dump_json())
        _run(folder, _environment(settings, folder / "data", lineage), report)
        return _read_outcome(folder)


def _copy_definitions(settings: Settings, data: Path, version: str) -> None:
    """Copy the registry of the recorded feature definitions, where this data folder still has it."""
    folder = version_folder(version)
    registry = settings.data / folder / Path(open_store().config.registry.path).name
    if registry.exists():
        (data / folder).mkdir(parents=True)
        shutil.copy(registry, data / folder / _REGISTRY)


def _environment(settings: Settings, data: Path, lineage: Lineage) -> dict[str, str]:
    recorded, declared = lineage.numeric_environment, load_declaration(lineage.model).label
    inherited = _INHERITED if recorded else _INHERITED + PINNING_VARIABLES
    return {name: os.environ[name] for name in inherited if name in os.environ} | {
        "HOLDFAST_DATA": str(data),
        "HOLDFAST_DATABASE": "",
        "HOLDFAST_LABEL": lineage.label if declared == SETTINGS_LABEL else settings.label,
        "HOLDFAST_HORIZON_DAYS": str(lineage.horizon_days),
        "HOLDFAST_ACTIVITY_DAYS": str(lineage.activity_days),
        "HOLDFAST_GRACE_DAYS": str(lineage.grace_days),
        **(pinned_environment(recorded) if recorded else {}),
    }


def _run(folder: Path, environment: dict[str, str], report: Callable[[str], object]) -> None:
    command = [sys.executable, "-s", "-m", retrain_worker.__name__, str(folder)]
    process = start_process("retraining", command, environment, folder / "log.txt", ROOT, capture_output=True)
    if status := process.report_output(lambda line: report(line.strip())):
        raise ReproductionError(f"The clean process ended with code {status}. {log_tail(process.log)}")


def _read_outcome(folder: Path) -> RetrainingOutcome:
    current = LINEAGE.validate_json((folder / retrain_worker.CURRENT_FILE).read_bytes())
    if (error := folder / retrain_worker.ERROR_FILE).exists():
        return RetrainingOutcome(current, None, error.read_text())
    if not (scores := folder / retrain_worker.SCORES_FILE).exists():
        return RetrainingOutcome(current, None)
    digests = retrain_worker.DIGESTS.validate_json((folder / retrain_worker.DIGESTS_FILE).read_bytes())
    return RetrainingOutcome(current, RetrainedModel(digests, read_parquet_file(scores).to_pandas()))
