"""Benchmark of the hyperparameter search, compared with a naive objective that loads the training set in each trial.

    python -m benchmarks.bench_search

On CDNOW, in a temporary folder. The naive objective runs the same trials as the search, without pruning, on every fold,
sequentially in one process, as a plain Optuna objective does.
"""

import json
import os
import tempfile
import time
from datetime import UTC, datetime

AS_OF = datetime(1998, 7, 1, tzinfo=UTC)


def main() -> None:
    """Run the benchmark and print the figures as JSON."""
    with tempfile.TemporaryDirectory() as name:
        os.environ["HOLDFAST_DATA"] = name  # before any module reads the variable
        print(json.dumps(_measure(), indent=2))


def _measure() -> dict[str, float]:
    from sklearn.metrics import roc_auc_score

    from feature_repo.settings import Settings
    from holdfast.feast_stores.open_store import open_store
    from holdfast.feature_store.feast_registry import find_applied_version
    from holdfast.ingestion.datasets import locate_dataset
    from holdfast.training.dataset import assemble_training_set, build_training_set, find_labeled_cutoffs
    from holdfast.training.fitting import fit_model
    from holdfast.training.hyperparameter_search import open_search_storage, search_families, select_best_trials
    from holdfast.training.settings import TrainingSettings
    from tests.support.ingest_pipeline import run_ingest

    settings, training = Settings.from_environment(), TrainingSettings()
    run_ingest(settings, *locate_dataset("cdnow"))
    known_at = datetime.now(UTC)
    labeled = find_labeled_cutoffs(settings, AS_OF, known_at, training.min_history_days)
    split = labeled.split(training)
    definitions = find_applied_version(settings, open_store())
    build_training_set(settings, definitions, split.cutoffs, AS_OF, known_at)  # warm imports and files for both

    start = time.perf_counter()
    data = assemble_training_set(settings, definitions, split.cutoffs, AS_OF, known_at)
    with open_search_storage(settings, "bench") as storage:
        trials = list(search_families(data, split.folds, training.search, training.seed, storage))
    search_seconds = time.perf_counter() - start

    start = time.perf_counter()
    for trial in trials:
        fetched = assemble_training_set(settings, definitions, split.cutoffs, AS_OF, known_at)
        for fold in split.folds:
            model = fit_model(trial.family, trial.params, fetched.at_cutoffs(fold.fit), training.seed)
            validation = fetched.at_cutoffs([fold.validation])
            roc_auc_score(validation.y, model.predict_proba(validation.x)[:, 1])
    naive_seconds = time.perf_counter() - start
    return {
        "rows": len(data.y),
        "trials": len(trials),
        "pruned": sum(trial.log_loss is None for trial in trials),
        "lowest_log_loss": round(min(trial.log_loss or 0 for trial in select_best_trials(trials)), 4),
        "search_seconds": round(search_seconds, 1),
        "naive_seconds": round(naive_seconds, 1),
        "ratio": round(naive_seconds / search_seconds, 1),
    }


if __name__ == "__main__":
    main()
