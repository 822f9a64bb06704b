"""Generated shops of any size: the same rows for a seed, and what the generator promises."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from benchmarks.scale import shop_generator
from benchmarks.scale.shop_generator import DAYS, FIRST_DAY, generate_parts, write_shop
from feature_repo.settings import Settings
from tests.support.ingest_pipeline import run_ingest


@pytest.fixture(scope="module")
def rows() -> pa.Table:
    return pa.concat_tables([table for table, _ in generate_parts(20_000)])


def test_generate_parts_of_a_seed_is_always_the_same(rows: pa.Table) -> None:
    assert pa.concat_tables([table for table, _ in generate_parts(20_000)]).equals(rows)
    assert not pa.concat_tables([table for table, _ in generate_parts(20_000, seed=2)]).equals(rows)


def test_generate_parts_with_more_customers_has_the_same_first_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shop_generator, "PART", 100)
    small, large = ([table for table, _ in generate_parts(size)] for size in (300, 500))
    assert [len(small), len(large)] == [3, 5]
    assert all(one.equals(other) for one, other in zip(small, large, strict=False))
    names = [set(table["customer"].to_pylist()) for table in large]
    assert len(set().union(*names)) == sum(map(len, names)) == 500


def test_generate_parts_has_purchases_returns_and_bad_rows_of_each_customer(rows: pa.Table) -> None:
    assert pc.count_distinct(rows["customer"]).as_py() == 20_000
    assert 9 < len(rows) / 20_000 < 16
    assert 0.015 < pc.mean(pc.less(rows["amount"], 0)).as_py() < 0.025
    assert 0.001 < rows["amount"].null_count / len(rows) < 0.003
    days = (rows["time"].to_numpy() - FIRST_DAY) / np.timedelta64(1, "D")
    assert days.min() >= 0
    assert days.max() < DAYS
    assert (np.diff(days) >= 0).all()


def test_generate_parts_sells_more_in_winter(rows: pa.Table) -> None:
    days = (rows["time"].to_numpy() - FIRST_DAY) / np.timedelta64(1, "D")
    day_of_year, second_year = days % 365, days >= 365
    winter = ((day_of_year >= 335) & second_year).sum() / 30
    summer = ((day_of_year >= 150) & (day_of_year < 200) & second_year).sum() / 50
    assert 1.4 < winter / summer < 2.6


@pytest.mark.parametrize("file_type", ["parquet", "csv"])
def test_written_shop_is_ingested_and_its_last_file_adds_rows(tmp_path: Path, file_type: str) -> None:
    history, day = write_shop(tmp_path, 2000, file_type=file_type)
    (tmp_path / "shop.yaml").write_text(shop_generator.MAPPING)
    settings = Settings(data=tmp_path / "data")
    first = run_ingest(settings, history, tmp_path / "shop.yaml")
    second = run_ingest(settings, day, tmp_path / "shop.yaml")
    ((table, arrives_last),) = generate_parts(2000)
    bad = table["amount"].is_null().to_numpy()
    assert [first.rows_added, second.rows_added] == [(~arrives_last & ~bad).sum(), (arrives_last & ~bad).sum()]
    quarantined = [(~arrives_last & bad).sum(), (arrives_last & bad).sum()]
    assert [first.rows_quarantined, second.rows_quarantined] == quarantined


def test_last_file_has_the_last_day_and_late_rows_of_the_days_before() -> None:
    parts = list(generate_parts(100_000))
    times = np.concatenate([table["time"].to_numpy()[arrives_last] for table, arrives_last in parts])
    lateness = DAYS - 1 - np.floor((times - FIRST_DAY) / np.timedelta64(1, "D"))
    assert set(lateness.tolist()) == {0, 1, 2, 3, 4, 5}
    assert (lateness == 0).mean() > 0.9
