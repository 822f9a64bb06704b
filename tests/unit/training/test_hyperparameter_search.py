"""Hyperparameter search: reproducible after kills, without duplicates, within its budget."""

import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import optuna
import pytest
from optuna.distributions import BaseDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState
from sklearn.utils._openmp_helpers import _openmp_effective_n_threads
from threadpoolctl import threadpool_info, threadpool_limits

from feature_repo.settings import Settings
from holdfast.training import hyperparameter_search as searching
from holdfast.training.calibration import FoldScores
from holdfast.training.dataset import TrainingSet
from holdfast.training.fitting import PreparedFold
from holdfast.training.hyperparameter_search import (
    SearchTrial,
    default_trial,
    describe_bounds,
    open_search_storage,
    search_families,
    select_best_trials,
)
from holdfast.training.metrics import level_free_log_loss
from holdfast.training.model_families import FAMILIES, Family, describe_model, list_families
from holdfast.training.recipe import FoldCutoffs
from holdfast.training.settings import SearchSettings
from tests.support.small_shop import fork_server, join_process, start_process
from tests.support.training_sets import default_split, synthetic_training_set

BUDGET = SearchSettings(trials=6, seconds=600)

Outcome = tuple[dict[str, Any], list[float], float | None]


def _data() -> tuple[TrainingSet, tuple[FoldCutoffs, ...]]:
    data = synthetic_training_set(customers=60, months=14, curvature=1.0)
    return data, default_split(data).folds


def _names() -> list[str]:
    """Return the families that the search fits on the data, simplest first."""
    return [family.name for family in list_families(_data()[0])]


def _search(storage: Path, budget: SearchSettings = BUDGET, seed: int = 0) -> list[SearchTrial]:
    return list(search_families(*_data(), budget, seed, storage))


def _outcomes(trials: list[SearchTrial]) -> dict[str, list[Outcome]]:
    """Return the parameters and results of each family in order; trial numbers and times may differ."""
    return {
        family: [
            (trial.params, trial.fold_log_loss, trial.log_loss)
            for trial in sorted(trials, key=lambda trial: trial.number)
            if trial.family == family
        ]
        for family in _names()
    }


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[SearchTrial]]:
    """Run an undisturbed search and return its trials with its file."""
    storage = tmp_path_factory.mktemp("whole") / "search.db"
    return storage, _search(storage)


class TestTrials:
    def test_search_families_each_family_starts_with_defaults_and_uses_budget(
        self, whole: tuple[Path, list[SearchTrial]]
    ) -> None:
        for name, outcomes in _outcomes(whole[1]).items():
            assert len(outcomes) == FAMILIES[name].planned_trials(BUDGET.trials)
            assert outcomes[0][0] == FAMILIES[name].defaults
            assert len({repr(params) for params, _, _ in outcomes}) == len(outcomes)

    def test_search_families_objective_is_mean_over_folds(self, whole: tuple[Path, list[SearchTrial]]) -> None:
        data, folds = _data()
        best = select_best_trials(whole[1])[0]
        again = [PreparedFold(FAMILIES["logistic"], data, fold, 0).score(best.params) for fold in folds]
        expected = [level_free_log_loss(fold.validation.y, fold.log_odds).mean() for fold in again]
        assert best.fold_log_loss == expected
        assert best.log_loss == np.mean(expected)

    def test_search_families_bad_trial_pruned_before_late_folds(self, whole: tuple[Path, list[SearchTrial]]) -> None:
        folds = len(_data()[1])
        pruned = [trial for trial in whole[1] if trial.log_loss is None]
        completed = [trial for trial in whole[1] if trial.log_loss is not None]
        assert pruned, "nothing was pruned"
        assert {len(trial.fold_log_loss) for trial in completed} == {folds}
        for trial in pruned:
            came_to = len(trial.fold_log_loss)
            assert 2 <= came_to < folds  # never on the strength of one fold
            rivals = [t for t in completed if t.family == trial.family and t.number < trial.number]
            median = np.median([np.mean(t.fold_log_loss[:came_to]) for t in rivals])
            assert len(rivals) >= 4
            assert np.mean(trial.fold_log_loss) > median

    def test_search_families_other_seed_other_trials(
        self, whole: tuple[Path, list[SearchTrial]], tmp_path: Path
    ) -> None:
        few = SearchSettings(trials=2, seconds=600)
        same, other = _outcomes(_search(tmp_path / "a.db", few)), _outcomes(_search(tmp_path / "b.db", few, seed=1))
        for family, outcomes in _outcomes(whole[1]).items():
            assert same[family] == outcomes[:2]
            assert other[family][0] == outcomes[0]  # the defaults
            assert other[family][1][0] != outcomes[1][0]

    def test_search_trial_name_contains_parameters(self) -> None:
        trial = SearchTrial("logistic", 3, {"C": 0.0123456}, [0.7], None, 1.0)
        assert trial.name == describe_model("logistic", trial.params) == "logistic C=0.0123"


class TestFitting:
    def test_search_families_inputs_of_fold_transformed_once(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        made, logistic = [], FAMILIES["logistic"]

        def prepare(data: TrainingSet) -> Any:
            made.append(1)
            return logistic.prepare(data)

        monkeypatch.setitem(FAMILIES, "logistic", replace(logistic, prepare=prepare))
        _search(tmp_path / "search.db", SearchSettings(trials=2))
        assert len(made) == len(_data()[1])

    def test_search_families_each_fit_uses_one_thread(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        """OpenMP threads wait by spinning; a limit that is set in one thread does not apply to another."""
        limits: set[tuple[int, ...]] = set()
        score = PreparedFold.score

        def watched(self: PreparedFold, params: dict[str, Any]) -> FoldScores:
            limits.add((_openmp_effective_n_threads(), *_blas_threads()))
            return score(self, params)

        monkeypatch.setattr(PreparedFold, "score", watched)
        with threadpool_limits(limits=2, user_api="blas"):
            _search(tmp_path / "search.db", SearchSettings(trials=2))
            assert set(_blas_threads()) == {2}, "the limit outlives the search"
        assert {threads for each in limits for threads in each} == {1}


def _blas_threads() -> list[int]:
    return [library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"]


def _die_at(call: int, function: Callable[..., Any]) -> Callable[..., Any]:
    calls = 0

    def fatal(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == call:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **options)

    return fatal


def _killed_search(storage: Path, where: str, call: int) -> None:
    owner: Any = {"score": PreparedFold, "create_study": optuna}.get(where, optuna.Study)
    setattr(owner, where, _die_at(call, getattr(owner, where)))
    _search(storage)


def _stored(storage: Path, family: str) -> list[FrozenTrial]:
    """Read the trials in the file; a search killed at the start may lack families."""
    try:
        return optuna.load_study(study_name=family, storage=f"sqlite:///{storage}").get_trials()
    except KeyError:
        return []


@pytest.mark.long
class TestResume:
    @pytest.mark.parametrize(
        "kills",
        [
            # Between the two families, twice while the defaults wait to be tried, and while they are tried.
            pytest.param([("create_study", 2), ("ask", 2), ("ask", 1), ("score", 3)], id="as it begins"),
            # Kill after a finished trial is computed, within a fold, and in the first fold after a restart.
            pytest.param([("tell", 8), ("score", 8), ("score", 1)], id="later"),
        ],
    )
    def test_search_families_killed_search_resumes_with_same_trials(
        self, kills: list[tuple[str, int]], whole: tuple[Path, list[SearchTrial]], tmp_path: Path
    ) -> None:
        storage = tmp_path / "search.db"
        for where, call in kills:
            assert join_process(start_process(_killed_search, tmp_path, storage, where, call)) == -signal.SIGKILL
        finished = {
            (family, trial.number)
            for family in _names()
            for trial in _stored(storage, family)
            if trial.state in (TrialState.COMPLETE, TrialState.PRUNED)
        }
        again = _search(storage)
        assert {(trial.family, trial.number) for trial in again[: len(finished)]} == finished
        assert _outcomes(again) == _outcomes(whole[1])
        assert len({(trial.family, trial.number) for trial in again}) == len(again)
        for family in _names():
            states = {trial.state for trial in _stored(storage, family)}
            assert states <= {TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL}

    def test_search_families_finished_search_read_without_fit(
        self, whole: tuple[Path, list[SearchTrial]], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(searching, "PreparedFold", None)  # to prepare is to fail
        storage, trials = whole
        found = _search(storage)
        assert sorted(found, key=repr) == sorted(trials, key=repr)


class TestTermination:
    def test_search_families_without_time_runs_first_trial_of_each_family(self, tmp_path: Path) -> None:
        trials = _search(tmp_path / "search.db", SearchSettings(trials=5, seconds=1e-9))
        assert sorted(trial.family for trial in trials) == sorted(_names())
        assert all(trial.params == FAMILIES[trial.family].defaults for trial in trials)
        assert [trial.family for trial in select_best_trials(trials)] == _names()

    def test_search_families_error_in_family_raised(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        def broken(*_: Any) -> Any:
            raise ArithmeticError("no such model")

        monkeypatch.setitem(FAMILIES, "boosting", replace(FAMILIES["boosting"], prepare=broken))
        found, trials = [], search_families(*_data(), SearchSettings(trials=2), 0, tmp_path / "search.db")
        with pytest.raises(ArithmeticError, match="no such model"):
            found += [trial.family for trial in trials]
        assert set(found) <= {"logistic"}

    def test_search_families_closed_generator_starts_no_trial(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        """Ctrl-C, or an error of the consumer, does not wait for the rest of the search."""
        scored: list[int] = []
        score = PreparedFold.score

        def counted(self: PreparedFold, params: dict[str, Any]) -> FoldScores:
            scored.append(1)
            return score(self, params)

        monkeypatch.setattr(PreparedFold, "score", counted)
        trials: Any = search_families(*_data(), SearchSettings(trials=100, seconds=600), 0, tmp_path / "search.db")
        next(trials)
        trials.close()
        assert len(scored) < 10 * len(_data()[1])


class TestSelectBestTrials:
    def _trial(self, family: str, number: int, log_loss: float | None) -> SearchTrial:
        return SearchTrial(family, number, {}, [0.5], log_loss, 0.0)

    def test_select_best_trials_two_families_lowest_loss_of_each_simplest_first(self) -> None:
        trials = [
            self._trial("boosting", 0, 0.4),
            self._trial("logistic", 0, 0.6),
            self._trial("boosting", 1, None),
            self._trial("logistic", 1, 0.5),
            self._trial("logistic", 2, None),
            self._trial("boosting", 2, 0.7),
        ]
        assert select_best_trials(trials) == [trials[3], trials[0]]
        assert select_best_trials(trials[::-1]) == [trials[3], trials[0]]

    def test_select_best_trials_equal_trials_returns_first(self) -> None:
        trials = [self._trial(family, number, 0.7) for number in (2, 0, 1) for family in FAMILIES]
        assert [trial.number for trial in select_best_trials(trials)] == [0] * len(FAMILIES)

    @pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
    def test_default_trial_has_defaults_and_no_losses(self, family: Family) -> None:
        trial = default_trial(family)
        assert (trial.family, trial.params) == (family.name, family.defaults)
        assert (trial.log_loss, trial.fold_log_loss, trial.on_bound) == (None, [], ())
        assert trial.name == describe_model(family.name, family.defaults)


class TestBounds:
    @pytest.mark.parametrize(
        ("name", "value", "distribution", "on_bound"),
        [
            ("C", 1e-5, FloatDistribution(1e-5, 100, log=True), True),
            ("C", 1.1e-5, FloatDistribution(1e-5, 100, log=True), True),
            ("C", 99.0, FloatDistribution(1e-5, 100, log=True), True),
            ("C", 1e-3, FloatDistribution(1e-5, 100, log=True), False),
            ("rate", 0.0, FloatDistribution(0, 1), True),
            ("rate", 0.5, FloatDistribution(0, 1), False),
            ("leaves", 31, IntDistribution(3, 31, log=True), True),
            ("leaves", 30, IntDistribution(3, 31), False),
        ],
    )
    def test_convert_trial_best_value_on_bound_is_named(
        self, name: str, value: float, distribution: BaseDistribution, on_bound: bool
    ) -> None:
        trial = optuna.trial.create_trial(
            params={name: value}, distributions={name: distribution}, value=0.5, user_attrs={"fold_log_loss": [0.5]}
        )
        found = searching._convert_trial("logistic", trial)
        assert found.on_bound == ((name,) if on_bound else ())
        notes = describe_bounds([found])
        assert len(notes) == on_bound
        assert all(f"lies on a bound in {name}: a better value may lie beyond it." in note for note in notes)


def _hold(inside: Any, leave: Any, key: str) -> None:
    with open_search_storage(Settings.from_environment(), key):
        inside.set()
        leave.wait(30)


class TestStorage:
    @pytest.mark.long
    def test_open_search_storage_killed_holder_releases_lock(self, tmp_path: Path) -> None:
        # Each has its own event to wait on: after a waiting process is killed, its event can never be set.
        inside, leave = [fork_server().Event() for _ in range(3)], [fork_server().Event() for _ in range(3)]
        first = start_process(_hold, tmp_path, inside[0], leave[0], "key")
        assert inside[0].wait(30)
        second = start_process(_hold, tmp_path, inside[1], leave[1], "key")
        other = start_process(_hold, tmp_path, inside[2], leave[2], "another key")
        assert inside[2].wait(30)
        assert not inside[1].wait(0.5)
        first.kill()
        assert join_process(first) == -signal.SIGKILL
        assert inside[1].wait(30)
        for event in leave[1:]:
            event.set()
        assert (join_process(second), join_process(other)) == (0, 0)
