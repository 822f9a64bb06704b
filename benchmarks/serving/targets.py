"""What was promised, in numbers."""

from collections.abc import Sequence

from benchmarks.serving.fixture import BATCH
from benchmarks.serving.report import Goal, Goals, p50
from benchmarks.serving.rounds import Rounds

MANY = 8  # connections: where throughput and the tail are judged
EACH = 32  # connections of a worker, where two are compared with one
BATCH_NAME = "holdfast_batch"
NO_LOG = "holdfast_without_log"
TWO_WORKERS = "holdfast_two_workers"
SHADOW = "holdfast_shadow"


def goals(found: Rounds, seconds_to_ready: Sequence[float], rss: Sequence[float]) -> list[Goal]:
    """Every goal that was measured; ``rss`` is that of the worker after the fewer and the more requests."""
    told = Goals(found)
    ours = ("holdfast", MANY)
    told.ratio("throughput / tuned no-op", ours, ("noop_tuned", MANY), ">=", 0.8)
    told.ratio("throughput / naive service", ours, ("naive", MANY), ">=", 6)
    told.ratio("throughput / feast serve", ours, ("feast_serve", MANY), ">=", 6)
    told.tail(f"p99 / p50, {MANY} connections", ours, 3)
    told.ratio("p50 / p50 of the tuned no-op, 1 connection", ("holdfast", 1), ("noop_tuned", 1), "<=", 2, p50)
    told.throughput(f"/predict_batch of {BATCH}, customers/s", (BATCH_NAME, 1), BATCH, 20_000, "customers/s")
    told.number("start to ready, seconds", seconds_to_ready, "<=", 6, "s")
    told.ratio("throughput / without the prediction log", ours, (NO_LOG, MANY), ">=", 0.90)
    for connections in (1, MANY):
        name = f"p50 with a challenger in shadow / without, {connections}"
        told.ratio(name, (SHADOW, connections), ("holdfast", connections), "<=", 1.20, p50)
    # As many callers for each worker: what a worker computes for a request depends on how many it has at once.
    two, one = (TWO_WORKERS, 2 * EACH), ("holdfast", EACH)
    told.ratio(f"throughput of 2 workers / of 1, {EACH} connections each", two, one, ">=", 1.6)
    if rss:
        told.number("memory after 300,000 requests / after 50,000", [rss[1] / rss[0]], "<=", 1.10, "x")
    return told.all
