"""The worker's memory over many requests."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from benchmarks.serving.memory import measure_memory
from tests.unit.benchmarks.conftest import StartTiny

pytestmark = pytest.mark.long


def test_the_workers_memory_is_looked_at_after_each_number_of_requests(tiny: StartTiny, tmp_path: Path) -> None:
    bodies = tmp_path / "bodies.jsonl"
    bodies.write_text('{"customer_id": "c1"}\n')
    server = tiny(delay=0.01, mark="_bentoml_impl.worker.service")
    running = SimpleNamespace(
        url=server.url,
        process=server.process,
        contender=SimpleNamespace(path="/predict", questions="predict"),
        scene=SimpleNamespace(questions=lambda name: bodies),
    )
    told: list[str] = []
    found = measure_memory(running, 4, told.append, steps=(20, 900))  # type: ignore[arg-type]
    assert list(found) == [20, 900]
    assert len(server.asked) >= 900
    assert len(told) >= 2
    (process,) = server.process.tree()
    assert 0.5 < found[900] * 1e6 / process.memory_info().rss < 2
    assert found[20] > 5
