"""The load generators, against a real server: what they send, what they count, and how fast they are."""

import json
import shutil
import time
from collections import Counter
from pathlib import Path

import pytest

from benchmarks.serving import python_load
from benchmarks.serving.generator_limit import ceiling
from benchmarks.serving.load import LoadError, send_load
from benchmarks.serving.processes import HOST, Processes, free_port
from tests.unit.benchmarks.conftest import StartTiny

pytestmark = pytest.mark.long

GENERATORS = [
    pytest.param("wrk", marks=pytest.mark.skipif(not shutil.which("wrk"), reason="wrk is not installed")),
    "python",
]


@pytest.fixture
def bodies(tmp_path: Path) -> Path:
    """Seven questions."""
    file = tmp_path / "bodies.jsonl"
    file.write_text("".join(json.dumps({"customer_id": f"c{number}"}) + "\n" for number in range(7)))
    return file


@pytest.mark.parametrize("generator", GENERATORS)
def test_each_body_is_sent_in_turn_beginning_with_the_one_named(generator: str, tiny: StartTiny, bodies: Path) -> None:
    server = tiny(delay=0.005)
    load = send_load(f"{server.url}/predict", bodies, 1, 1, first=9, generator=generator)
    asked = [json.loads(body)["customer_id"] for body in server.asked]
    assert asked[:8] == ["c2", "c3", "c4", "c5", "c6", "c0", "c1", "c2"]
    counts = Counter(asked)
    assert len(counts) == 7
    assert max(counts.values()) - min(counts.values()) <= 1
    assert 0 <= len(asked) - load.requests <= 1  # one may have been under way at the end


@pytest.mark.parametrize("generator", GENERATORS)
def test_latency_and_throughput_are_those_of_the_server(generator: str, tiny: StartTiny, bodies: Path) -> None:
    server = tiny(delay=0.05)
    one = send_load(server.url + "/", bodies, 1, 1, generator=generator)
    eight = send_load(server.url + "/", bodies, 8, 1, generator=generator)
    assert 50 <= one.p50_ms < 150
    assert one.p50_ms <= one.p99_ms
    assert 5 <= one.requests_per_second <= 20
    assert 3 * one.requests_per_second < eight.requests_per_second <= 160
    assert one.errors == eight.errors == 0


@pytest.mark.parametrize("generator", GENERATORS)
def test_every_answer_other_than_200_is_an_error(generator: str, tiny: StartTiny, bodies: Path) -> None:
    load = send_load(tiny(delay=0.002, fail_every=10).url + "/", bodies, 4, 1, generator=generator)
    assert load.requests > 100
    assert load.errors == pytest.approx(load.requests / 10, abs=1)


@pytest.mark.parametrize("generator", GENERATORS)
def test_a_server_that_is_not_there_is_no_measurement(generator: str, bodies: Path) -> None:
    with pytest.raises(LoadError):
        send_load(f"http://{HOST}:{free_port()}/", bodies, 2, 1, generator=generator)


def test_after_the_end_nothing_is_under_way(tiny: StartTiny, bodies: Path) -> None:
    """Else the next measurement would wait for what the warming up has left."""
    server = tiny(delay=0.3)
    found = python_load.run(server.url + "/", bodies, 4, 0.1, 0)
    assert found["requests"] == 0
    assert len(server.asked) == 4
    start = time.perf_counter()
    python_load.run(server.url + "/", bodies, 4, 0.35, 0)
    assert len(server.asked) == 12  # four were answered within the time, and four more were under way
    assert time.perf_counter() - start < 1


def test_percentiles_are_nearest_ranks() -> None:
    from array import array

    hundred = array("d", [(101 - number) / 1000 for number in range(1, 101)])
    told = python_load._summary(hundred, 3, 2.0)
    assert told == {"requests": 100, "seconds": 2.0, "p50_ms": 50.0, "p99_ms": 99.0, "errors": 3}


def test_the_generator_in_python_is_no_bottleneck(processes: Processes, bodies: Path, tmp_path: Path) -> None:
    """BentoML's no-op, tuned, answers some thousand requests per second at most."""
    import os

    assert ceiling(processes, dict(os.environ), bodies, 8, "python") > 8_000
