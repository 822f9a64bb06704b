"""Benchmark of the costs by the size of a shop: each work runs, finds what the works before left, and is reported."""

from pathlib import Path

import pytest

from benchmarks.bench_scale import measure_work, run_works
from benchmarks.scale.shop_generator import MAPPING, write_shop
from benchmarks.scale.works import WORKS


def test_measure_work_reports_time_memory_and_goal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_DATA", str(tmp_path / "data"))
    write_shop(tmp_path, 1000)
    (tmp_path / "shop.yaml").write_text(MAPPING)
    result = measure_work("ingest", tmp_path)
    assert result["rows"] > 500  # type: ignore[operator]
    assert (result["goal"], result["reference"]) == (WORKS["ingest"].goal, WORKS["ingest"].reference)
    assert min(float(result[name]) for name in ("seconds", "reference_seconds", "peak_mb", "rows_per_second")) > 0
    assert result["reached"] == (float(result["ratio"]) <= WORKS["ingest"].goal)


@pytest.mark.long
def test_run_works_measures_every_work(tmp_path: Path) -> None:
    results = run_works(1000, "csv", tmp_path)
    assert [result["work"] for result in results] == list(WORKS)
    assert {result["size"] for result in results} == {1000}
