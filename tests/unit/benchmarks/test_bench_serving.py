"""Test of the whole serving benchmark, as short as possible."""

import json
import sys
from pathlib import Path

import pytest

from tests.support.main_job import environment_of, run


@pytest.mark.long
def test_bench_serving_measures_servers_and_writes_the_result(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "benchmarks.bench_serving", "--quick", "--only", "holdfast,noop_tuned"]
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    environment = environment_of(tmp_path) | {"TMPDIR": str(temporary)}
    output = run([*command, "--customers", "300", "--rounds", "1", "--patience", "0"], environment)
    result = json.loads((tmp_path / "bench-serving.json").read_text())
    assert set(result["contenders"]) == {"holdfast", "holdfast_batch", "noop_tuned"}
    for name in ("holdfast", "noop_tuned"):
        assert set(result["contenders"][name]) == {"1", "8", "32"}
        for summary in result["contenders"][name].values():
            assert summary["requests_per_second"] > 10
            assert 0 < summary["p50_ms"] <= summary["p99_ms"]
            assert summary["errors"] == 0
    goals = {goal["name"]: goal for goal in result["goals"]}
    ratio = goals["throughput / tuned no-op"]
    holdfast, noop = (result["contenders"][name]["8"]["requests_per_second"] for name in ("holdfast", "noop_tuned"))
    assert ratio["value"] == pytest.approx(holdfast / noop, rel=0.01)
    assert ratio["met"] == (ratio["value"] >= 0.8)
    assert goals["start to ready, seconds"]["value"] > 1
    assert "throughput / tuned no-op" in output
    assert list(temporary.glob("holdfast-*")) == []
    assert not (tmp_path / "bentoml").exists()
