"""A backtest of the small shop, in real processes: what it leaves, and that nothing after a step was known there."""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from feature_repo.settings import REPLAY_MARKER, Settings
from holdfast.backtesting.paths import create_state_folder, plot_path, result_path, scores_folder, state_folder
from holdfast.backtesting.plan import BacktestJob, BacktestPlan, BadWindowError, make_plan
from holdfast.backtesting.policies import Policy
from holdfast.backtesting.results import BacktestResult, BacktestStep, read_result
from holdfast.backtesting.settings import PolicySettings
from holdfast.batch_scoring.scores_table import read_scores, scores_path
from holdfast.core.errors import HoldfastError
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.models.contract import MODEL_NAME
from holdfast.shared_state.work_locks import BusyError, work_lock
from holdfast.training.settings import SearchSettings, TrainingSettings
from tests.support.small_shop import KNOWN_AT, copy_shop, fast_flows, ingest, transactions, use_data_folder

pytestmark = pytest.mark.long

FIRST, LAST = datetime(2023, 11, 1, tzinfo=UTC), datetime(2024, 2, 1, tzinfo=UTC)
TRAINING = TrainingSettings(search=SearchSettings(trials=1), resamples=50)
# On so small a shop, differences between models and baselines are random.
GATES = GateSettings(min_gain_over_baselines=-1, max_calibration_error=1, max_bias=1, max_instability=1)
RULES = PolicySettings(min_rows=50)


@dataclass(frozen=True)
class Backtested:
    """A shop after a backtest of the policy ``decay``."""

    settings: Settings
    plan: BacktestPlan
    result: BacktestResult
    output: str


@pytest.fixture(scope="module", autouse=True)
def same_code() -> Iterator[None]:
    """A file that is edited while the tests run makes no other plan."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("holdfast.backtesting.plan._hash_code", lambda: "this code")
        yield


def _replayed(folder: Path) -> Path:
    """The shop as a historical data set."""
    data = copy_shop(folder)
    (data / REPLAY_MARKER).touch()
    return data


def _plan(settings: Settings, first: datetime = FIRST, last: datetime = LAST) -> BacktestPlan:
    return make_plan(settings, first, last, "month", None, TRAINING, GATES, RULES)


@pytest.fixture(scope="module")
def backtested(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Backtested]:
    data = _replayed(tmp_path_factory.mktemp("backtest"))
    with pytest.MonkeyPatch.context() as patch, use_data_folder(data) as settings, fast_flows():
        from flows.backtest import backtest

        printed = tmp_path_factory.mktemp("printed") / "lines"
        with printed.open("w") as file:
            patch.setattr(sys, "stdout", file)
            (result,) = backtest(
                FIRST, LAST, policy="decay", training=TRAINING, thresholds=GATES, rules=RULES
            )  # fmt: skip
        yield Backtested(settings, _plan(settings), result, printed.read_text())


def _walk(data: Path, backtest_plan: BacktestPlan, policy: Policy) -> list[BacktestStep]:
    """A replay of a policy in this process, in its own state folder."""
    state = create_state_folder(Settings(data=data), policy)
    with use_data_folder(state), fast_flows():
        from flows.backtest_policy import replay_policy

        return replay_policy(BacktestJob(plan=backtest_plan, policy=policy))


def test_backtest_result_is_one_json_file_of_the_schema(backtested: Backtested) -> None:
    path = result_path(backtested.settings, "decay")
    assert read_result(path, backtested.plan.key) == backtested.result
    content = json.loads(path.read_text())
    assert content["policy"] == "decay"
    assert [content["from"][:10], content["to"][:10], content["every"]] == ["2023-11-01", "2024-02-01", "month"]
    assert [step["as_of"][:10] for step in content["steps"]] == ["2023-11-01", "2023-12-01", "2024-01-01", "2024-02-01"]


def test_backtest_decay_trains_first_and_on_measured_decay(backtested: Backtested) -> None:
    first, second, third, fourth = backtested.result.steps
    assert (first.train, first.why) == (True, "there is no champion yet")
    assert first.training is not None
    assert (first.training.version, first.training.promoted, first.champion) == ("1", True, "1")
    assert first.champion_as_of == FIRST
    for step in (second, third):
        assert (step.train, step.champion) == (False, "1")
        assert step.why == "no cohort that the champion scored has matured"
    assert fourth.matured == [FIRST]  # its 90 days ended on 30 January
    assert fourth.why.startswith("cohort 2023-11-01 is ")
    assert [step.matured for step in (first, second, third)] == [[], [], []]


def test_backtest_every_step_has_scores_and_outcome(backtested: Backtested) -> None:
    for step in backtested.result.steps:
        scores = read_scores(scores_path(scores_folder(backtested.settings, "decay"), step.as_of))
        assert len(scores) == step.customers > 50
        assert scores["churn_probability"].mean() == pytest.approx(step.mean_score)
        assert set(scores["model_version"]) == {step.champion}
        assert step.outcome is not None
        assert step.outcome.matured_at == step.as_of + timedelta(days=90)
        assert step.outcome.measures.keys() == {"roc_auc", "brier", "ece", "bias", "earned"}
        bias = step.outcome.measures["bias"].value
        assert bias == pytest.approx(scores["churn_probability"].mean() - step.outcome.base_rate)
    assert backtested.result.overall is not None
    assert backtested.result.overall.cohorts == 4


def test_backtest_prints_each_step(backtested: Backtested) -> None:
    lines = backtested.output.splitlines()
    assert [line[:17] for line in lines] == [f"decay  {step.as_of:%Y-%m-%d}" for step in backtested.result.steps]
    assert "promoted; version 1 scored" in lines[0]


def test_backtest_writes_the_plot(backtested: Backtested) -> None:
    plot = plot_path(backtested.settings)
    assert plot.name == "backtest.png"
    assert plot.read_bytes().startswith(b"\x89PNG")


def test_backtest_does_not_change_registry_and_features(backtested: Backtested) -> None:
    left = {path.name for path in backtested.settings.data.iterdir()}
    assert left <= {"batches", "locks", "staging", "snapshots", "search", "backtest", REPLAY_MARKER}


@pytest.fixture(scope="module")
def walked(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[BacktestStep]]:
    """Another policy on a shop where everybody buys, day after day, from the first step on, and one step earlier."""
    data = _replayed(tmp_path_factory.mktemp("injected"))
    everybody = {row.customer_id for row in transactions()}
    injected = [
        transactions()[0]._replace(customer_id=customer, event_timestamp=FIRST + timedelta(days=day), amount=999.0)
        for customer in everybody
        for day in range(60)
    ]
    ingest(data, injected, KNOWN_AT + timedelta(days=1))
    backtest_plan = _plan(Settings(data=data), datetime(2023, 3, 1, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC))
    moments = (backtest_plan.steps[0], FIRST, backtest_plan.steps[-1])
    return data, _walk(data, backtest_plan.model_copy(update={"steps": moments}), "drift")


def test_walk_later_transactions_do_not_change_earlier_steps(
    backtested: Backtested, walked: tuple[Path, list[BacktestStep]]
) -> None:
    """Also: two walks from the same data, each in a world of its own, give the same to the bit."""
    data, (_, then, _) = walked
    expected = backtested.result.steps[0]
    assert then.training == expected.training
    assert (then.mean_score, then.customers) == (expected.mean_score, expected.customers)
    drift_scores = read_scores(scores_path(state_folder(Settings(data=data), "drift") / "scores", FIRST))
    decay_scores = read_scores(scores_path(scores_folder(backtested.settings, "decay"), FIRST))
    pd.testing.assert_frame_equal(drift_scores, decay_scores, check_exact=True)


def test_walk_earlier_transactions_change_later_steps(
    backtested: Backtested, walked: tuple[Path, list[BacktestStep]]
) -> None:
    _, (_, _, after) = walked
    assert after.customers > backtested.result.steps[1].customers
    assert after.train
    assert after.why.startswith("PSI of the score ")
    assert {"score", "tenure_days", "purchase_days_30d"} <= {item.name for item in after.drift}
    assert [item.psi for item in after.drift] == sorted((item.psi for item in after.drift), reverse=True)


def test_walk_short_history_is_recorded_and_scores_no_customer(walked: tuple[Path, list[BacktestStep]]) -> None:
    data, (early, _, _) = walked
    assert early.train
    assert early.training is not None
    assert early.training.version is None
    assert "needs more history" in early.training.problem
    assert (early.champion, early.customers, early.mean_score) == (None, 0, None)
    assert not scores_path(state_folder(Settings(data=data), "drift") / "scores", early.as_of).exists()


def test_backtest_scores_are_reproducible(backtested: Backtested) -> None:
    from holdfast.batch_scoring.champion_model import InputMismatchError, load_champion
    from holdfast.batch_scoring.population import ScoringPopulation, load_active_customers
    from holdfast.batch_scoring.scores_table import build_scores

    step = backtested.result.steps[1]
    with use_data_folder(state_folder(backtested.settings, "decay")) as settings:
        champion = load_champion(settings)
        customers = load_active_customers(
            settings, champion.contract.definitions, step.as_of, backtested.plan.known_at(step.as_of)
        )
        again = build_scores(customers, champion)
        stored = read_scores(scores_path(scores_folder(backtested.settings, "decay"), step.as_of))
        pd.testing.assert_frame_equal(again, stored, check_exact=True)
        others = ScoringPopulation(customers.as_of, customers.ids, customers.x[:, ::-1], customers.inputs[::-1])
        with pytest.raises(InputMismatchError, match=r"version 1 reads \['purchase_days'.*python -m flows.train"):
            champion.score(others)


def test_load_training_rows_of_champion_equals_its_development_set(backtested: Backtested) -> None:
    from holdfast.monitoring.drift.reference import load_training_rows
    from holdfast.training.mlflow_client import open_tracking
    from holdfast.training.recipe import RECIPE_FILE, Recipe

    with use_data_folder(state_folder(backtested.settings, "decay")) as settings:
        client = open_tracking(settings)
        run_id = str(client.get_model_version(MODEL_NAME, "1").run_id)
        recipe = Recipe.model_validate_json(Path(client.download_artifacts(run_id, RECIPE_FILE)).read_bytes())
        assert load_training_rows(client, settings, "1").digests() == recipe.digests["development"]


def test_compile_results_second_policy_is_compared_with_earlier_results(backtested: Backtested, tmp_path: Path) -> None:
    """A policy that did exactly the same differs by nothing; of another plan, nothing is taken up."""
    from holdfast.backtesting.compile_results import add_earlier_steps, compile_results

    settings, steps = backtested.settings, backtested.result.steps
    same = scores_folder(settings, "never")
    same.parent.mkdir()
    same.symlink_to(scores_folder(settings, "decay"))
    both = add_earlier_steps(settings, backtested.plan, {"never": steps})
    assert both.keys() == {"never", "decay"}
    never, decay = compile_results(settings, backtested.plan, both)
    assert decay.over["never"].cohorts == 4
    assert {item.value for item in decay.over["never"].measures.values()} == {0}
    assert decay.overall == never.overall == backtested.result.overall
    other = backtested.plan.model_copy(update={"every": "week"})
    assert add_earlier_steps(settings, other, {"never": steps}).keys() == {"never"}


@pytest.mark.parametrize(
    ("window", "error", "message"),
    [
        ((LAST, FIRST), BadWindowError, "--from 2024-02-01 is after --to 2023-11-01"),
        ((datetime(2022, 1, 1), datetime(2022, 5, 1)), HoldfastError, "No transaction before 2022-01-01"),  # noqa: DTZ001
    ],
)
def test_backtest_invalid_window_raises_and_writes_nothing(
    flows_in_process: None, tmp_path: Path, window: tuple[datetime, datetime], error: type[Exception], message: str
) -> None:
    with use_data_folder(_replayed(tmp_path)) as settings:
        from flows.backtest import backtest

        with pytest.raises(error, match=message):
            backtest(*window)
        assert not (settings.data / "backtest").exists()


def test_backtest_second_concurrent_run_raises(flows_in_process: None, tmp_path: Path) -> None:
    with use_data_folder(_replayed(tmp_path)) as settings:
        from flows.backtest import backtest

        with (
            work_lock(settings, "backtest-churn"),
            pytest.raises(BusyError, match="Another backtest-churn is running in"),
        ):
            backtest(FIRST, LAST, policy="never")


def test_backtest_failed_policy_keeps_earlier_results(
    backtested: Backtested, flows_in_process: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    def files() -> dict[Path, bytes]:
        found = [result_path(backtested.settings, "decay"), *scores_folder(backtested.settings, "decay").iterdir()]
        return {path: path.read_bytes() for path in found}

    before = files()
    with use_data_folder(backtested.settings.data):
        from flows.backtest import backtest
        from holdfast.runtime.parallel_commands import CommandError

        monkeypatch.setattr("flows.backtest.JOB_FILE", "elsewhere.json")  # the process does not find its plan
        with pytest.raises(CommandError, match=r"(?s)decay ended with status 1. The end of .*job\.json"):
            backtest(FIRST, LAST, policy="decay")
    assert files() == before


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--to", "2024-01-01"], 2, "Missing option"),
        (["--from", "2023-01-01", "--to", "2024-01-01", "--policy", "hope"], 2, "'hope' is not one of"),
        (["--from", "2023-01-01", "--to", "2024-01-01", "--every", "year"], 2, "'year' is not one of"),
        (["--from", "soon", "--to", "2024-01-01"], 2, "valid datetime"),
        (["--from", "2023-01-01", "--to", "2024-01-01", "--rules", '{"max_psi": -1}'], 1, "greater than 0"),
    ],
)
def test_backtest_command_invalid_options_exit_with_message(
    options: list[str], code: int, message: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows._cli import run_flow
    from flows.backtest import backtest

    monkeypatch.setattr(sys, "argv", ["backtest", *options])
    with pytest.raises(SystemExit) as ended:
        run_flow(backtest)
    assert ended.value.code == code
    printed: Any = capsys.readouterr()
    assert message in " ".join((printed.out + printed.err).replace("│", " ").split())
