"""Resumable hyperparameter search of each model family with Optuna, on time-ordered folds."""

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from filelock import FileLock
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState

from feature_repo.database_urls import sqlite_url
from feature_repo.settings import Settings
from holdfast.core.threads import limit_threads
from holdfast.training.calibration import FoldScores
from holdfast.training.dataset import TrainingSet
from holdfast.training.fitting import PreparedFold
from holdfast.training.metrics import level_free_log_loss
from holdfast.training.model_families import FAMILIES, Family, describe_model, list_families
from holdfast.training.recipe import FoldCutoffs
from holdfast.training.settings import SearchSettings

_FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
_BOUND_SHARE = 0.01
_RANDOM_TRIALS = 4  # before the sampler and the pruner use earlier trials

optuna.logging.set_verbosity(optuna.logging.WARNING)
logging.getLogger("alembic").setLevel(logging.WARNING)


@dataclass(frozen=True)
class SearchTrial:
    """Finished trial of the search.

    Attributes:
        fold_log_loss: Log loss on each evaluated fold, without the level.
        log_loss: Mean over all folds; None for a pruned trial.
        on_bound: Hyperparameters whose value lies on a bound of the search.
        scores: Out-of-fold scores; None for a pruned trial and for one of a killed search.
    """

    family: str
    number: int
    params: dict[str, Any]
    fold_log_loss: list[float]
    log_loss: float | None
    seconds: float
    on_bound: tuple[str, ...] = ()
    scores: tuple[FoldScores, ...] | None = field(default=None, compare=False, repr=False)

    @property
    def name(self) -> str:
        """Return the name of the trial's MLflow run."""
        return describe_model(self.family, self.params)


@contextmanager
def open_search_storage(settings: Settings, key: str) -> Iterator[Path]:
    """Lock and return the file with the state of a training's search.

    Args:
        settings: Settings with the data folder.
        key: Training key.

    Yields:
        SQLite file, which may not exist yet.
    """
    folder = settings.data / "search"
    with FileLock(folder / f"{key}.lock"):
        yield folder / f"{key}.db"


def search_families(
    data: TrainingSet,
    folds: Sequence[FoldCutoffs],
    budget: SearchSettings,
    seed: int,
    storage: Path,
    candidates: Sequence[str] | None = None,
) -> Iterator[SearchTrial]:
    """Search the hyperparameters of every family, and resume an earlier, killed search.

    Families are searched in parallel, each by a sequence of trials that depends only on ``seed`` and on the earlier
    trials: a search that ends by number of trials gives the same trials however often it is killed.

    Args:
        data: Training set.
        folds: Cut-offs of the folds.
        budget: Number of trials and time limit.
        seed: Seed of the sampler and the classifiers.
        storage: SQLite file with the state of the search.
        candidates: Names of the families; all when None.

    Yields:
        Finished trials, those of the earlier search first.
    """
    families = list_families(data, candidates)
    studies = {family.name: _study(family, storage) for family in families}
    for name, study in studies.items():
        yield from (_convert_trial(name, trial) for trial in study.get_trials(deepcopy=False, states=_FINISHED))
    finished: queue.Queue[SearchTrial | None] = queue.Queue()
    deadline, abandoned = time.monotonic() + budget.seconds, threading.Event()

    def may_start(done: int, planned: int) -> bool:
        return done < planned and (done == 0 or time.monotonic() < deadline) and not abandoned.is_set()

    def run(family: Family) -> None:
        try:
            with limit_threads("openmp"):  # OpenMP limits each thread, BLAS the process
                within_budget = partial(may_start, planned=family.planned_trials(budget.trials))
                _run_trials(studies[family.name], family, data, folds, within_budget, seed, finished.put)
        finally:
            finished.put(None)

    with limit_threads("blas"), ThreadPoolExecutor(len(studies)) as pool:
        running = [pool.submit(run, family) for family in families]
        try:
            for _ in running:
                yield from iter(finished.get, None)
        finally:
            abandoned.set()  # after Ctrl-C or an error of the consumer, no further trial starts
        for future in running:
            future.result()


def select_best_trials(trials: Sequence[SearchTrial]) -> list[SearchTrial]:
    """Select the best trial of each family.

    Args:
        trials: Finished trials, with at least one completed trial per family.

    Returns:
        Trial per family, simplest family first.
    """
    best = []
    searched = {trial.family for trial in trials}
    for family in sorted((FAMILIES[name] for name in searched), key=lambda item: item.complexity):
        completed = [trial for trial in trials if trial.family == family.name and trial.log_loss is not None]
        best.append(min(completed, key=lambda trial: (trial.log_loss, trial.number)))
    return best


def default_trial(family: Family) -> SearchTrial:
    """Create the trial of a family's defaults, where there are no folds for a search.

    Args:
        family: Model family.

    Returns:
        Trial without losses.
    """
    return SearchTrial(family.name, 0, family.defaults, [], None, 0.0)


def describe_bounds(best: Sequence[SearchTrial]) -> list[str]:
    """Describe the best values that lie on a bound of the search: a better value may lie beyond it.

    Args:
        best: Best trial of each family.

    Returns:
        A sentence per family with such a value.
    """
    return [
        f"The best {trial.name} of the search lies on a bound in {', '.join(trial.on_bound)}: a better value may lie "
        "beyond it."
        for trial in best
        if trial.on_bound
    ]


def _study(family: Family, storage: Path) -> optuna.Study:
    url = sqlite_url(storage).replace("{", "{{").replace("}", "}}")  # Optuna formats the URL
    study = optuna.create_study(
        storage=optuna.storages.RDBStorage(url, engine_kwargs={"connect_args": {"timeout": 60}}),
        study_name=family.name,
        direction="minimize",
        load_if_exists=True,
        pruner=optuna.pruners.MedianPruner(n_startup_trials=_RANDOM_TRIALS, n_warmup_steps=1),
    )
    for trial in study.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
        study.tell(trial.number, state=TrialState.FAIL)  # a trial of a killed search is repeated
    return study


def _run_trials(
    study: optuna.Study,
    family: Family,
    data: TrainingSet,
    folds: Sequence[FoldCutoffs],
    may_start: Callable[[int], bool],
    seed: int,
    report: Callable[[SearchTrial], None],
) -> None:
    done = len(study.get_trials(deepcopy=False, states=_FINISHED))
    prepared: list[PreparedFold] = []
    while may_start(done):
        prepared = prepared or [PreparedFold(family, data, fold, seed) for fold in folds]
        # The draws of a trial depend on how many are finished, not on how often the search was killed.
        study.sampler = optuna.samplers.TPESampler(seed=seed * 10_000 + done, n_startup_trials=_RANDOM_TRIALS)
        if done == 0 and not study.get_trials(deepcopy=False, states=(TrialState.WAITING,)):
            study.enqueue_trial(family.defaults)
        trial = study.ask()
        values, scores = _objective(trial, family.suggest(trial), prepared)
        is_complete = len(values) == len(folds)
        if is_complete:
            study.tell(trial, float(np.mean(values)))
        else:
            study.tell(trial, state=TrialState.PRUNED)
        found = _convert_trial(family.name, study.get_trials(deepcopy=False)[trial.number])
        report(replace(found, scores=scores) if is_complete else found)
        done += 1


def _objective(
    trial: optuna.Trial, params: dict[str, Any], folds: Sequence[PreparedFold]
) -> tuple[list[float], tuple[FoldScores, ...]]:
    """Compute the log loss without the level, and the scores, on each fold in time until the trial is pruned.

    The base rate changes from period to period, and with it every metric of the level. A ranking metric would not see
    that too, but neither the shrinkage, and would leave the regularization to chance.
    """
    values: list[float] = []
    scores: list[FoldScores] = []
    for step, fold in enumerate(folds):
        scores.append(fold.score(params))
        values.append(float(level_free_log_loss(fold.validation.y, scores[-1].log_odds).mean()))
        trial.report(float(np.mean(values)), step)
        if step + 1 < len(folds) and trial.should_prune():
            break
    trial.set_user_attr("fold_log_loss", values)
    return values, tuple(scores)


def _convert_trial(family: str, trial: FrozenTrial) -> SearchTrial:
    return SearchTrial(
        family=family,
        number=trial.number,
        params=trial.params,
        fold_log_loss=trial.user_attrs["fold_log_loss"],
        log_loss=trial.value if trial.state == TrialState.COMPLETE else None,
        seconds=trial.duration.total_seconds() if trial.duration else 0.0,
        on_bound=tuple(name for name, value in trial.params.items() if _is_on_bound(value, trial.distributions[name])),
    )


def _is_on_bound(value: float, distribution: BaseDistribution) -> bool:
    """Return whether a value lies within 1% of the range (of logarithms, if so drawn) from one of its ends."""
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    scale = np.log if distribution.log else float
    low, high, here = scale(distribution.low), scale(distribution.high), scale(value)
    return bool(min(here - low, high - here) <= _BOUND_SHARE * (high - low))
