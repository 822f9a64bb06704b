"""The serving benchmark itself, as short as it can be."""

import json
import sys
from pathlib import Path

import pytest

from tests.support.main_job import environment_of, run


@pytest.mark.long
def test_it_measures_real_servers_and_writes_what_it_found(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.bench_serving", "--quick", "--only", "holdfast,noop_tuned"]
    place = tmp_path / "temporary"
    place.mkdir()
    environment = environment_of(tmp_path) | {"TMPDIR": str(place)}
    said = run([*command, "--customers", "300", "--rounds", "1", "--patience", "0"], environment)
    result = json.loads((tmp_path / "bench-serving.json").read_text())
    assert set(result["contenders"]) == {"holdfast", "holdfast_batch", "noop_tuned"}
    for name in ("holdfast", "noop_tuned"):
        assert set(result["contenders"][name]) == {"1", "8", "32"}
        for line in result["contenders"][name].values():
            assert line["requests_per_second"] > 10
            assert 0 < line["p50_ms"] <= line["p99_ms"]
            assert line["errors"] == 0
    told = {goal["name"]: goal for goal in result["goals"]}
    ratio = told["throughput / tuned no-op"]
    ours, noop = (result["contenders"][name]["8"]["requests_per_second"] for name in ("holdfast", "noop_tuned"))
    assert ratio["value"] == pytest.approx(ours / noop, rel=0.01)
    assert ratio["met"] == (ratio["value"] >= 0.8)
    assert told["start to ready, seconds"]["value"] > 1
    assert "throughput / tuned no-op" in said
    assert list(place.glob("holdfast-*")) == []
    assert not (tmp_path / "bentoml").exists()
