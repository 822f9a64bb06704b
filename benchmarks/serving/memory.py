"""Whether the worker grows: its memory after some requests, and after many more."""

from collections.abc import Callable, Sequence

from benchmarks.serving.load import send_load
from benchmarks.serving.running_contender import Running, bentoml_workers

STEPS = (50_000, 300_000)
_CHUNK_SECONDS = 2


def worker_rss(running: Running) -> int:
    """Bytes that BentoML's workers hold; its supervisor does not serve."""
    return sum(worker.memory_info().rss for worker in bentoml_workers(running.process))


def measure_memory(
    running: Running, connections: int, tell: Callable[[str], None], steps: Sequence[int] = STEPS
) -> dict[int, float]:
    """Requests answered to megabytes held, at each step."""
    answered, found = 0, {}
    contender = running.contender
    bodies = running.scene.questions(contender.questions)
    for step in steps:
        while answered < step:
            tell(f"memory: {answered:,} of {steps[-1]:,} requests")
            load = send_load(f"{running.url}{contender.path}", bodies, connections, _CHUNK_SECONDS, answered)
            answered += load.requests
        found[step] = round(worker_rss(running) / 1e6, 1)
    return found
