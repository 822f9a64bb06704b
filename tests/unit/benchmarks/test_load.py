"""Tests of the load generators with a real server."""

import json
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.serving import python_load
from benchmarks.serving.generator_limit import measure_generator_limit
from benchmarks.serving.load import LoadError, send_load
from benchmarks.serving.processes import BenchmarkProcesses
from holdfast.runtime.processes import HOST, free_port
from tests.support.benchmark_servers import StartServer

pytestmark = pytest.mark.long

GENERATORS = [
    pytest.param("wrk", marks=pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")),
    "python",
]


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    """Seven request bodies."""
    file = tmp_path / "bodies.jsonl"
    file.write_text("".join(json.dumps({"customer_id": f"c{number}"}) + "\n" for number in range(7)))
    return file


@pytest.mark.parametrize("generator", GENERATORS)
def test_send_load_sends_each_body_in_turn_from_the_first(
    generator: str, start_server: StartServer, bodies: Path
) -> None:
    server = start_server(delay=0.005)
    load = send_load(f"{server.url}/predict", bodies, 1, 1, first=9, generator=generator)
    customers = [json.loads(body)["customer_id"] for body in server.bodies]
    assert customers[:8] == ["c2", "c3", "c4", "c5", "c6", "c0", "c1", "c2"]
    counts = Counter(customers)
    assert len(counts) == 7
    assert max(counts.values()) - min(counts.values()) <= 1
    assert 0 <= len(customers) - load.requests <= 1  # one request may be pending at the end


@pytest.mark.parametrize("generator", GENERATORS)
def test_send_load_measures_latency_and_throughput_of_the_server(
    generator: str, start_server: StartServer, bodies: Path
) -> None:
    server = start_server(delay=0.05)
    one = send_load(server.url + "/", bodies, 1, 1, generator=generator)
    eight = send_load(server.url + "/", bodies, 8, 1, generator=generator)
    assert 50 <= one.p50_ms < 150
    assert one.p50_ms <= one.p99_ms
    assert 5 <= one.requests_per_second <= 20
    assert 3 * one.requests_per_second < eight.requests_per_second <= 160
    assert one.errors == eight.errors == 0


@pytest.mark.parametrize("generator", GENERATORS)
def test_send_load_counts_responses_other_than_200_as_errors(
    generator: str, start_server: StartServer, bodies: Path
) -> None:
    load = send_load(start_server(delay=0.002, fail_every=10).url + "/", bodies, 4, 1, generator=generator)
    assert load.requests > 100
    assert load.errors == pytest.approx(load.requests / 10, abs=1)


@pytest.mark.parametrize("generator", GENERATORS)
def test_send_load_without_server_raises(generator: str, bodies: Path) -> None:
    with pytest.raises(LoadError):
        send_load(f"http://{HOST}:{free_port()}/", bodies, 2, 1, generator=generator)


def test_python_load_receives_pending_responses_before_returning(start_server: StartServer, bodies: Path) -> None:
    """Pending responses of the warm-up would delay the next measurement."""
    server = start_server(delay=0.3)
    result = python_load.run(server.url + "/", bodies, 4, 0.1, 0)
    assert result["requests"] == 0
    assert len(server.bodies) == 4
    start = time.perf_counter()
    python_load.run(server.url + "/", bodies, 4, 0.35, 0)
    assert len(server.bodies) == 12  # four within the time, and four pending
    assert time.perf_counter() - start < 1


def test_python_load_percentiles_are_nearest_ranks() -> None:
    from array import array

    hundred = array("d", [(101 - number) / 1000 for number in range(1, 101)])
    summary = python_load._summary(hundred, 3, 2.0)
    assert summary == {"requests": 100, "seconds": 2.0, "p50_ms": 50.0, "p99_ms": 99.0, "errors": 3}


def test_python_load_is_faster_than_the_fastest_contender(
    processes: BenchmarkProcesses, bodies: Path, tmp_path: Path
) -> None:
    """The tuned no-op of BentoML handles a few thousand requests per second at most."""
    import os

    assert measure_generator_limit(processes, dict(os.environ), bodies, 8, "python") > 8_000
