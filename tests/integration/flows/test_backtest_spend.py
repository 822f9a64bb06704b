"""A backtest of the spend model on the small shop: the steps of one policy, and their outcomes."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from feature_repo.settings import REPLAY_MARKER, Settings
from holdfast.backtesting.compile_results import compile_results
from holdfast.backtesting.paths import create_state_folder, publish_scores, result_path, scores_folder
from holdfast.backtesting.plan import BacktestJob, make_plan
from holdfast.backtesting.settings import PolicySettings
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.models.declaration import CHURN
from tests.support.shop_fixtures import QUICK
from tests.support.small_shop import copy_shop, fast_flows, use_data_folder

pytestmark = pytest.mark.long

FIRST, LAST = datetime(2023, 12, 1, tzinfo=UTC), datetime(2024, 3, 1, tzinfo=UTC)


def test_backtest_of_the_spend_model_scores_and_measures_each_step(prefect_server: None, tmp_path: Path) -> None:
    data = copy_shop(tmp_path)
    (data / REPLAY_MARKER).touch()
    settings = Settings(data=data)
    with use_data_folder(data):
        plan = make_plan(
            settings, FIRST, LAST, "month", None, QUICK, GateSettings(), PolicySettings(min_rows=20), "spend"
        )
        churn = make_plan(settings, FIRST, LAST, "month", None, QUICK, GateSettings(), PolicySettings(min_rows=20))
    assert plan.key != churn.key
    state = create_state_folder(settings, "decay", "spend")
    assert state != create_state_folder(settings, "decay", CHURN)
    with use_data_folder(state), fast_flows():
        from flows.backtest_policy import replay_policy

        steps = replay_policy(BacktestJob(plan=plan, policy="decay"))
    publish_scores(settings, "decay", "spend")
    (result,) = compile_results(settings, plan, {"decay": steps})
    assert result.model == "spend"
    assert [step.as_of for step in result.steps] == list(plan.steps)
    assert result.steps[0].training is not None
    assert result.steps[0].training.promoted, result.steps[0].training
    for step in result.steps:
        assert step.customers > 50
        table = scores_folder(settings, "decay", "spend") / f"{step.as_of:%Y-%m-%d}.parquet"
        assert table.is_file()
        assert step.outcome is not None
        assert step.outcome.measures.keys() == {"deviance", "total", "mae"}
    assert result.steps[3].matured == [FIRST]
    assert result.steps[3].why.startswith("cohort 2023-12-01 is ")
    assert result.steps[3].outcome is not None
    assert result.steps[3].outcome.matured_at == LAST + timedelta(days=settings.horizon_days)
    assert result_path(settings, "decay", "spend") != result_path(settings, "decay")
