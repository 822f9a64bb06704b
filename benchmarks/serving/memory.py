"""Memory of the workers after numbers of requests."""

from collections.abc import Callable, Sequence

from benchmarks.serving.load import send_load
from benchmarks.serving.running_contender import RunningContender, bentoml_workers

STEPS = (50_000, 300_000)
_CHUNK_SECONDS = 2


def measure_memory(
    running: RunningContender, connections: int, report: Callable[[str], None], steps: Sequence[int] = STEPS
) -> dict[int, float]:
    """Measure the memory of the workers at each step.

    Args:
        running: Contender.
        connections: Number of connections.
        report: Called with the progress.
        steps: Numbers of requests.

    Returns:
        Number of requests to megabytes.
    """
    count, memory = 0, {}
    contender = running.contender
    bodies = running.fixture.requests(contender.requests)
    for step in steps:
        while count < step:
            report(f"memory: {count:,} of {steps[-1]:,} requests")
            load = send_load(f"{running.url}{contender.path}", bodies, connections, _CHUNK_SECONDS, count)
            count += load.requests
        resident = sum(worker.memory_info().rss for worker in bentoml_workers(running.process))
        memory[step] = round(resident / 1e6, 1)
    return memory
