"""Tests of the memory measurement."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.serving.memory import measure_memory
from tests.support.benchmark_servers import StartServer

pytestmark = pytest.mark.long


def test_measure_memory_measures_after_each_number_of_requests(start_server: StartServer, tmp_path: Path) -> None:
    bodies = tmp_path / "bodies.jsonl"
    bodies.write_text('{"customer_id": "c1"}\n')
    server = start_server(delay=0.01, mark="_bentoml_impl.worker.service")
    running = SimpleNamespace(
        url=server.url,
        process=server.process,
        contender=SimpleNamespace(path="/predict", requests="predict"),
        fixture=SimpleNamespace(requests=lambda name: bodies),
    )
    messages: list[str] = []
    memory = measure_memory(running, 4, messages.append, steps=(20, 900))  # type: ignore[arg-type]
    assert list(memory) == [20, 900]
    assert len(server.bodies) >= 900
    assert len(messages) >= 2
    (process,) = server.process.tree()
    assert 0.5 < memory[900] * 1e6 / process.memory_info().rss < 2
    assert memory[20] > 5
