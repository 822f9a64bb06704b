"""Run of the library on one shop: every end is a result, and the next date follows."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from benchmarks.bench_shops import QUICK
from benchmarks.shops import run
from benchmarks.shops.catalog import Shop
from benchmarks.shops.generators import KINDS
from benchmarks.shops.results import read_result
from benchmarks.shops.run import ShopJob, run_job
from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.feature_store.parity import ParityError
from holdfast.feature_store.snapshots import NoDataError
from holdfast.training.time_split import NotEnoughHistoryError, SingleClassError

pytestmark = pytest.mark.long


def _job(folder: Path) -> ShopJob:
    source, mapping = Shop("twenty_customers", kind=KINDS["twenty_customers"]).write_source(folder)
    return ShopJob(
        key="key",
        shop="twenty_customers",
        is_real=False,
        source=source,
        mapping=mapping,
        months_earlier=(8, 4, 0),
        level_known=True,
        folder=folder / "results",
        training=QUICK,
    )


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (NoDataError("no customer"), "too little history"),
        (NotEnoughHistoryError("10 days"), "too little history"),
        (SingleClassError("all churned"), "no signal"),
        (ParityError("values differ"), "refused"),
        (IndexError("list index"), "error"),
    ],
)
def test_every_end_is_a_result(error: Exception, status: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise error

    monkeypatch.setattr(run, "store_features", fail)
    lines: list[str] = []
    results = run_job(Settings(data=tmp_path / "data"), _job(tmp_path), lines.append)
    assert [result.status for result in results] == [status] * 3
    assert all(str(error) in result.reason for result in results)
    assert all(str(error) in line for line in lines)
    assert isinstance(error, HoldfastError) == (status != "error")
    for result in results:
        assert read_result(tmp_path / "results", "twenty_customers", result.months_earlier, "key") == result
        assert read_result(tmp_path / "results", "twenty_customers", result.months_earlier, "other key") is None


def test_dates_are_months_before_the_end_of_the_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: object) -> None:
        raise NoDataError("stop")

    monkeypatch.setattr(run, "store_features", stop)
    results = run_job(Settings(data=tmp_path / "data"), _job(tmp_path), lambda line: None)
    end = results[-1].as_of
    assert [(end.year - r.as_of.year) * 12 + end.month - r.as_of.month for r in results] == [8, 4, 0]
    assert end == datetime(end.year, end.month, end.day, tzinfo=UTC)
