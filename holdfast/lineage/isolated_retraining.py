"""Has a version made again by a fresh interpreter that knows its batches and its settings, and no registry."""

import os
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.lineage import retrain_worker
from holdfast.lineage.retrain_worker import RetrainedModel
from holdfast.runtime.processes import log_tail, start_process
from holdfast.training.lineage import LINEAGE, ROOT, Lineage
from holdfast.training.numeric_environment import (
    NUMERIC_ENVIRONMENT,
    PINNING_VARIABLES,
    NumericEnvironment,
    pinned_environment,
)
from holdfast.training.recipe import RECIPE_FILE, Recipe

# Nothing that names a store or a registry: the definitions of this checkout go into a registry of the process's own.
_KEPT = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "LD_LIBRARY_PATH")


class ReproductionError(HoldfastError):
    """A version cannot be made again at all."""


@dataclass(frozen=True)
class RetrainingOutcome:
    """What the process found and made.

    ``present``: the lineage that this checkout would record. ``made`` is None where the definitions are others, or
    for the reason in ``refusal``.
    """

    present: Lineage
    arithmetic: NumericEnvironment
    made: RetrainedModel | None
    refusal: str = ""


def retrain_isolated(
    settings: Settings,
    lineage: Lineage,
    recipe: Recipe,
    arithmetic: NumericEnvironment | None,
    say: Callable[[str], object],
) -> RetrainingOutcome:
    """Make the model of a recipe from the batches of its lineage, in a temporary folder that is removed.

    Args:
        settings: Where the batches are.
        lineage: Its batches, times, horizon and activity window are used.
        recipe: What is fitted on them.
        arithmetic: What it was computed with, None where that is not known.
        say: Is told what is going on.

    Raises:
        ReproductionError: The process failed.
    """
    with tempfile.TemporaryDirectory(prefix="holdfast-reproduce-") as name:
        folder = Path(name)
        batches = folder / "data" / "batches"
        batches.mkdir(parents=True)
        for batch_id in lineage.batches:
            (batches / batch_id).symlink_to(settings.batches / batch_id)
        (folder / retrain_worker.RECORDED_FILE).write_bytes(LINEAGE.dump_json(lineage))
        (folder / RECIPE_FILE).write_text(recipe.model_dump_json())
        _run(folder, _environment(folder / "data", lineage, arithmetic), say)
        return _read(folder)


def _environment(data: Path, lineage: Lineage, arithmetic: NumericEnvironment | None) -> dict[str, str]:
    kept = _KEPT if arithmetic else _KEPT + PINNING_VARIABLES
    return {name: os.environ[name] for name in kept if name in os.environ} | {
        "HOLDFAST_DATA": str(data),
        "HOLDFAST_HORIZON_DAYS": str(lineage.horizon_days),
        "HOLDFAST_ACTIVITY_DAYS": str(lineage.activity_days),
        **(pinned_environment(arithmetic) if arithmetic else {}),
    }


def _run(folder: Path, environment: dict[str, str], say: Callable[[str], object]) -> None:
    command = [sys.executable, "-s", "-m", retrain_worker.__name__, str(folder)]
    process = start_process("retraining", command, environment, folder / "log.txt", ROOT, capture_output=True)
    if status := process.report_output(lambda line: say(line.strip())):
        raise ReproductionError(f"The clean process ended with code {status}. {log_tail(process.log)}")


def _read(folder: Path) -> RetrainingOutcome:
    present = LINEAGE.validate_json((folder / retrain_worker.CURRENT_FILE).read_bytes())
    arithmetic = NUMERIC_ENVIRONMENT.validate_json((folder / retrain_worker.ARITHMETIC_FILE).read_bytes())
    if (refusal := folder / retrain_worker.REFUSAL_FILE).exists():
        return RetrainingOutcome(present, arithmetic, None, refusal.read_text())
    if not (scores := folder / retrain_worker.SCORES_FILE).exists():
        return RetrainingOutcome(present, arithmetic, None)
    digests = TypeAdapter(dict[str, dict[str, str]]).validate_json((folder / retrain_worker.DIGESTS_FILE).read_bytes())
    return RetrainingOutcome(present, arithmetic, RetrainedModel(digests, pd.read_parquet(scores)))
