"""Performance goals of the service."""

from collections.abc import Sequence

from benchmarks.serving.fixture import BATCH
from benchmarks.serving.report import Goal, GoalEvaluator
from benchmarks.serving.rounds import Rounds
from benchmarks.serving.two_versions import add_goals

CONNECTIONS = 8  # for throughput and tail latency
CONNECTIONS_PER_WORKER = 32  # for the comparison of two workers with one
BATCH_NAME = "holdfast_batch"
NO_LOG = "holdfast_without_log"
TWO_WORKERS = "holdfast_two_workers"
SHADOW = "holdfast_shadow"


def evaluate_goals(rounds: Rounds, seconds_to_ready: Sequence[float], memory: Sequence[float]) -> list[Goal]:
    """Evaluate all goals that were measured.

    Args:
        rounds: All measurements.
        seconds_to_ready: Start times of Holdfast.
        memory: Memory of the worker after fewer and after more requests; empty: not measured.

    Returns:
        The goals.
    """
    evaluator = GoalEvaluator(rounds)
    holdfast = ("holdfast", CONNECTIONS)
    evaluator.add_ratio("throughput / tuned no-op", holdfast, ("noop_tuned", CONNECTIONS), ">=", 0.8)
    evaluator.add_ratio("throughput / naive service", holdfast, ("naive", CONNECTIONS), ">=", 6)
    evaluator.add_ratio("throughput / feast serve", holdfast, ("feast_serve", CONNECTIONS), ">=", 6)
    evaluator.add_tail(f"p99 / p50, {CONNECTIONS} connections", holdfast, 3)
    evaluator.add_ratio(
        "p50 / p50 of the tuned no-op, 1 connection", ("holdfast", 1), ("noop_tuned", 1), "<=", 2, "p50_ms"
    )
    evaluator.add_throughput(f"/predict_batch of {BATCH}, customers/s", (BATCH_NAME, 1), BATCH, 20_000, "customers/s")
    evaluator.add_median("start to ready, seconds", seconds_to_ready, "<=", 6, "s")
    evaluator.add_ratio("throughput / without the prediction log", holdfast, (NO_LOG, CONNECTIONS), ">=", 0.90)
    for connections in (1, CONNECTIONS):
        name = f"p50 with a challenger in shadow / without, {connections}"
        evaluator.add_ratio(name, (SHADOW, connections), ("holdfast", connections), "<=", 1.20, "p50_ms")
    add_goals(evaluator, (1, CONNECTIONS))
    # The same number of clients per worker: the CPU time of a request depends on the number of concurrent requests.
    two, one = (TWO_WORKERS, 2 * CONNECTIONS_PER_WORKER), ("holdfast", CONNECTIONS_PER_WORKER)
    evaluator.add_ratio(
        f"throughput of 2 workers / of 1, {CONNECTIONS_PER_WORKER} connections each", two, one, ">=", 1.6
    )
    if memory:
        evaluator.add_median("memory after 300,000 requests / after 50,000", [memory[1] / memory[0]], "<=", 1.10, "x")
    return evaluator.all
