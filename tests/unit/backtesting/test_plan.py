"""Steps of a plan, and the data known at each."""

from datetime import UTC, datetime, timedelta

import pytest

from feature_repo.settings import REPLAY_MARKER, Settings
from holdfast.backtesting.plan import BacktestPlan, BadWindowError, StepInterval, list_step_times, make_plan
from holdfast.backtesting.settings import PolicySettings
from holdfast.feature_store.snapshots import NoDataError
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.training.settings import TrainingSettings
from tests.support.small_shop import ARRIVALS, KNOWN_AT, copy_shop, shop_folder


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("start", "end", "every", "expected"),
    [
        ("1997-10-01", "1998-03-01", "month", ["1997-10-01", "1997-11-01", "1997-12-01", "1998-01-01",
         "1998-02-01", "1998-03-01"]),
        ("2024-01-31", "2024-04-30", "month", ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-30"]),
        ("2024-01-15", "2024-02-14", "month", ["2024-01-15"]),
        ("2024-02-20", "2024-03-06", "week", ["2024-02-20", "2024-02-27", "2024-03-05"]),
        ("2024-02-20", "2024-02-20", "week", ["2024-02-20"]),
    ],
)  # fmt: skip
def test_list_step_times_months_and_weeks_returns_each_step(
    start: str, end: str, every: StepInterval, expected: list[str]
) -> None:
    assert list_step_times(_day(start), _day(end), every) == tuple(map(_day, expected))


def test_list_step_times_start_after_end_raises() -> None:
    with pytest.raises(BadWindowError, match="--from 2024-02-01 is after --to 2024-01-01"):
        list_step_times(_day("2024-02-01"), _day("2024-01-01"), "month")


def _plan(settings: Settings, start: str, end: str, known_at: datetime | None = None) -> BacktestPlan:
    defaults = TrainingSettings(), GateSettings(), PolicySettings()
    return make_plan(settings, _day(start), _day(end), "month", known_at, *defaults)


def test_plan_known_at_arriving_data_returns_step() -> None:
    plan = _plan(Settings(data=shop_folder()), "2024-02-01", "2024-04-01")
    assert [plan.known_at(step) for step in plan.steps] == list(plan.steps)
    assert plan.arrived == ARRIVALS[-1][1]


def test_plan_known_at_replayed_data_returns_latest_arrival(tmp_path) -> None:  # type: ignore[no-untyped-def]
    data = copy_shop(tmp_path)
    (data / REPLAY_MARKER).touch()
    plan = _plan(Settings(data=data), "2023-06-01", "2024-04-01")
    assert {plan.known_at(step) for step in plan.steps} == {KNOWN_AT}


def test_plan_known_at_given_returns_given_time() -> None:
    plan = _plan(Settings(data=shop_folder()), "2023-06-01", "2023-07-01", KNOWN_AT + timedelta(days=9))
    assert {plan.known_at(step) for step in plan.steps} == {KNOWN_AT + timedelta(days=9)}


def test_make_plan_without_data_at_first_step_raises_naming_option() -> None:
    with pytest.raises(NoDataError, match=r"before 2024-01-01.*If history was imported at once.*--known-at"):
        _plan(Settings(data=shop_folder()), "2024-01-01", "2024-03-01")
    with pytest.raises(NoDataError, match=r"before 2022-01-01 00:00 UTC had arrived") as error:
        _plan(Settings(data=shop_folder()), "2022-01-01", "2024-03-01", KNOWN_AT)
    assert "imported at once" not in str(error.value)


def test_make_plan_step_after_data_raises() -> None:
    settings = Settings(data=shop_folder())
    assert _plan(settings, "2024-06-01", "2024-07-31").steps[-1] == _day("2024-07-01")
    with pytest.raises(BadWindowError, match=r"the step of 2024-08-01 is after the data, whose last day is 2024-06-30"):
        _plan(settings, "2024-06-01", "2024-08-31")


def test_make_plan_search_not_limited_by_time() -> None:
    plan = _plan(Settings(data=shop_folder()), "2024-02-01", "2024-04-01")
    assert plan.training.search.seconds >= 3600
    assert plan.training.search.trials == TrainingSettings().search.trials


def test_plan_key_changed_setting_other_key() -> None:
    one = _plan(Settings(data=shop_folder()), "2024-02-01", "2024-04-01")
    assert _plan(Settings(data=shop_folder()), "2024-02-01", "2024-04-01").key == one.key
    assert BacktestPlan.model_validate_json(one.model_dump_json()) == one
    assert _plan(Settings(data=shop_folder()), "2024-02-01", "2024-05-01").key != one.key
    assert _plan(Settings(data=shop_folder(), horizon_days=60), "2024-02-01", "2024-04-01").key != one.key
    assert one.model_copy(update={"code": "another"}).key != one.key
    assert one.model_copy(update={"batches": one.batches[:-1]}).key != one.key
