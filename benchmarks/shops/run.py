"""Run of the library on one shop at several dates: `python -m benchmarks.shops.run` with HOLDFAST_DATA as its folder.

The run does what the flows do, without Prefect: ingest, snapshots, materialization and parity, training, gates of a
first champion. One process per shop, because Feast's definitions contain the path of the data folder.
"""

import contextlib
import gc
import io
import logging
import shutil
import sys
import time
import warnings
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict

from benchmarks.shops.results import ShopResult, Status, score_predictions
from feature_repo.settings import Settings, apply_environment
from holdfast.core.errors import HoldfastError
from holdfast.training.label_query import current_label
from holdfast.training.settings import TrainingSettings

if TYPE_CHECKING:
    from holdfast.model_versions.candidate import ModelCandidate
    from holdfast.training.dataset import TrainingSet
    from holdfast.training.hyperparameter_search import SearchTrial

JOB_FILE = "shop.json"
_SEASON = pd.Timedelta(days=365)


class ShopJob(BaseModel):
    """Shop and dates of a run.

    Attributes:
        key: Key of the results.
        source: Transactions.
        mapping: Column mapping of ``source``.
        months_earlier: Months from each date to the end of the data, descending.
        level_known: False for a shop with a break in its base rate.
        folder: Folder for the results.
    """

    model_config = ConfigDict(frozen=True)

    key: str
    shop: str
    is_real: bool
    source: Path
    mapping: Path
    months_earlier: tuple[int, ...]
    level_known: bool
    folder: Path
    training: TrainingSettings


class GateOutcome(NamedTuple):
    """Status, failed gates with their values, and the share of customers with a wrong direction."""

    status: Status
    failed: list[str]
    wrong_direction: float | None


def run_job(settings: Settings, job: ShopJob, report: Callable[[str], object] = print) -> list[ShopResult]:
    """Run the library on a shop at each date and write the results.

    Args:
        settings: Settings with the empty data folder of the shop.
        job: Shop and dates.
        report: Called with a line per result.

    Returns:
        Result per date.
    """
    from holdfast.ingestion.batches import list_batches
    from holdfast.ingestion.history_extent import read_extent
    from tests.support.ingest_pipeline import run_ingest

    run_ingest(settings, job.source, job.mapping)
    batches = list_batches(settings)
    extent = read_extent(settings)
    assert extent is not None  # the benchmark has no shop without transactions
    results = []
    for months in job.months_earlier:
        as_of = (pd.Timestamp(extent.end) - pd.DateOffset(months=months)).to_pydatetime()
        result = _run_date(settings, job, months, as_of, batches[-1].ingested_at)
        result.write(job.folder)
        report(_describe(result))
        results.append(result)
    return results


def _run_date(settings: Settings, job: ShopJob, months: int, as_of: datetime, known_at: datetime) -> ShopResult:
    start = time.perf_counter()
    measured = ShopResult(
        key=job.key,
        shop=job.shop,
        is_real=job.is_real,
        months_earlier=months,
        as_of=as_of,
        status="error",
        reason="",
        seconds=0,
    )
    try:
        definitions = store_features(settings, as_of, known_at)
        measured = _train(settings, job, measured, definitions, known_at)
    except HoldfastError as error:
        measured = measured.model_copy(update={"status": _status(error), "reason": str(error)})
    except Exception as error:  # a fault of the library: the benchmark goes on and reports it
        measured = measured.model_copy(update={"reason": f"{type(error).__name__}: {error}"})
    gc.collect()
    return measured.model_copy(update={"seconds": round(time.perf_counter() - start, 1)})


def store_features(settings: Settings, as_of: datetime, known_at: datetime) -> str:
    """Register the feature definitions, build the snapshots of a time, fill the online store, compare every value.

    Args:
        settings: Settings with the data folder.
        as_of: Time of the features.
        known_at: Latest arrival of the data.

    Returns:
        Id of the version of the feature definitions.

    Raises:
        NoDataError: There is no transaction, or no customer.
        ParityError: Values of training and serving differ.
    """
    from holdfast.core.definition_hashes import feature_fingerprint
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.definition_versions import open_version
    from holdfast.feature_store.feast_registry import find_applied_version
    from holdfast.feature_store.materialization import materialize
    from holdfast.feature_store.parity import check_parity, require_parity, save_parity
    from holdfast.feature_store.snapshots import build_snapshots, read_customers

    definitions = find_applied_version(settings, open_store())
    online = open_version(settings, definitions)
    snapshot = build_snapshots(settings, online, as_of, known_at)[0]
    materialize(settings, definitions, snapshot)
    offline = open_version(settings, definitions, snapshot.known_at)
    report = check_parity(online, offline, read_customers(snapshot), as_of)
    save_parity(settings, definitions, report, snapshot.known_at, feature_fingerprint(online))
    require_parity(report)
    return definitions


def _train(settings: Settings, job: ShopJob, measured: ShopResult, definitions: str, known_at: datetime) -> ShopResult:
    """Search, choose, test and register a model, evaluate its gates, and score the simple models beside it."""
    from holdfast.feature_store.definition_versions import open_version
    from holdfast.model_versions.candidate import ModelCandidate
    from holdfast.models.fingerprint import fingerprint
    from holdfast.training.dataset import build_training_set, find_labeled_cutoffs
    from holdfast.training.hyperparameter_search import open_search_storage, search_families, select_best_trials
    from holdfast.training.lineage import build_lineage
    from holdfast.training.mlflow_client import open_tracking
    from holdfast.training.mlflow_tracking import training_run
    from holdfast.training.model_selection import choose_model, drop_single_class_folds
    from holdfast.training.registration import evaluate_and_register

    as_of, training = measured.as_of, job.training
    labeled = find_labeled_cutoffs(settings, as_of, known_at, training.min_history_days)
    split = labeled.split(training)
    data = build_training_set(settings, definitions, split.cutoffs, as_of, known_at)
    split = drop_single_class_folds(split, data)
    parts = fingerprint(open_version(settings, definitions), current_label(settings))
    lineage = build_lineage(settings, training, parts, as_of, known_at)
    best = []
    if split.folds:
        with open_search_storage(settings, lineage.key) as storage:
            best = select_best_trials(list(search_families(data, split.folds, training.search, training.seed, storage)))
    choice = choose_model(best, data, split, training, settings.horizon_days)
    client = open_tracking(settings)
    with training_run(client, settings, lineage) as run_id:
        registered = evaluate_and_register(settings, training, lineage, choice, data, run_id).registered
    candidate = ModelCandidate(client, registered.version)
    outcome = evaluate_first_champion(settings, registered.version)
    evaluation, predictions = candidate.evaluation, candidate.predictions
    simple = list(evaluation.over_baselines)
    families = _score_families(candidate, best, data)
    scores = {name: score_predictions(predictions, name) for name in ["model", *simple]}
    scores |= {
        name: score_predictions(predictions.assign(family=values), "family") for name, values in families.items()
    }
    return measured.model_copy(
        update={
            "status": outcome.status,
            "reason": "; ".join(outcome.failed) or "passed every gate",
            "rows": evaluation.rows,
            "base_rate": evaluation.base_rate,
            "level_known": job.level_known and pd.Timestamp(split.development[0]) + _SEASON <= split.test[0],
            "has_signal": any(evaluation.metrics[name]["roc_auc"].low > 0.5 for name in simple if name != "base_rate"),
            "chosen": f"{evaluation.chosen}; calibration: {evaluation.calibration}",
            "wrong_direction": outcome.wrong_direction,
            "scores": scores,
            "simple": simple,
        }
    )


def evaluate_first_champion(settings: Settings, version: str) -> GateOutcome:
    """Evaluate the gates of a version as those of a first champion.

    Args:
        settings: Settings with the data folder.
        version: Registered version.

    Returns:
        Status, failed gates and direction; a version without signal is a result, not a refusal.
    """
    from holdfast.model_versions.gate_settings import GateSettings
    from holdfast.promotion.evaluation_context import load_evaluation_context
    from holdfast.promotion.evidence_collection import collect_evidence
    from holdfast.promotion.gates import evaluate_gates
    from holdfast.promotion.safety_gates import SIGNAL_GATES
    from holdfast.training.mlflow_client import open_registry

    client, thresholds = open_registry(settings), GateSettings()
    context = load_evaluation_context(client, settings, version)
    evidence = collect_evidence(client, settings, version, context, thresholds)
    failed = [gate for gate in evaluate_gates(evidence, thresholds) if gate.verdict == "failed"]
    status: Status = "no signal" if {gate.name for gate in failed} & set(SIGNAL_GATES) else "refused"
    described = [f"{gate.name} ({gate.cells[2]}, required {gate.cells[3]})" for gate in failed]
    direction = evidence.wrong_direction
    return GateOutcome(status if failed else "served", described, direction if isinstance(direction, float) else None)


def _score_families(
    candidate: "ModelCandidate", best: "list[SearchTrial]", data: "TrainingSet"
) -> dict[str, np.ndarray]:
    """Score the test rows by the best trial of each family, without calibration: hindsight, never used by a choice."""
    from holdfast.training.fitting import fit_model, predict_churn

    recipe = candidate.recipe
    development, test = data.at_cutoffs(recipe.development), data.at_cutoffs(recipe.test)
    return {
        f"family {trial.family}": predict_churn(fit_model(trial.family, trial.params, development, recipe.seed), test.x)
        for trial in best
    }


def _status(error: HoldfastError) -> Status:
    from holdfast.feature_store.snapshots import NoDataError
    from holdfast.training.time_split import NotEnoughHistoryError, SingleClassError

    if isinstance(error, NotEnoughHistoryError | NoDataError):
        return "too little history"
    return "no signal" if isinstance(error, SingleClassError) else "refused"


def _describe(result: ShopResult) -> str:
    text = f"{result.as_of:%Y-%m-%d}: {result.status}"
    if model := result.scores.get("model"):
        text += f", ROC-AUC {model.roc_auc:.3f}, Brier {model.brier:.3f}, calibration error {model.ece:.3f}"
    first = result.reason.splitlines()[0][:160] if result.reason else ""
    return f"{text}, {result.seconds:.0f} s" + (f" ({first})" if result.status != "served" else "")


def main() -> None:
    """Run the job in the data folder."""
    settings = Settings.from_environment()
    apply_environment()
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    job = ShopJob.model_validate_json((settings.data / JOB_FILE).read_bytes())
    with contextlib.redirect_stdout(io.StringIO()):  # of libraries
        run_job(settings, job, lambda line: print(line, file=sys.__stdout__, flush=True))
    shutil.rmtree(settings.data)


if __name__ == "__main__":
    main()
