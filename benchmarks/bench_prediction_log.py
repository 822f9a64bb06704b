"""Benchmark of the prediction log: CPU time per row, including the writer thread, compared with bentoml.monitor.

    python -m benchmarks.bench_prediction_log

The rows are those of the service: micro-batches of 8 single requests at 2,500 requests per second, and batches of 1,000
customers at 20,000 rows per second. The CPU time of the same loop without a log is subtracted.
"""

import json
import logging
import tempfile
import time
import uuid
from collections.abc import Callable
from pathlib import Path

import bentoml
import numpy as np

from holdfast.core.prediction_log import ScoredBatch, read_predictions
from services.prediction_log.writer import PredictionLog

INPUTS = [f"input_number_{number}" for number in range(18)]
VIEWS = ["customer_purchase_history", "customer_recent_activity", "customer_purchase_rhythm"]
SECONDS = 4.0
PACES = {"batches of 8": (8, 2_500), "batches of 1000": (1_000, 20_000)}


def main() -> None:
    """Run the benchmark and print the figures as JSON."""
    with tempfile.TemporaryDirectory() as name:
        print(json.dumps(_measure(Path(name)), indent=2))


def _measure(folder: Path) -> dict[str, dict[str, float]]:
    logging.getLogger("bentoml").setLevel(logging.ERROR)  # the monitor warns about each new column
    return {label: _compare(folder / label, *pace) for label, pace in PACES.items()}


def _compare(folder: Path, rows: int, per_second: int) -> dict[str, float]:
    batch = _create_batch(rows)
    idle = _cpu_per_row(lambda _: None, batch, per_second)
    log = PredictionLog(folder / "holdfast")
    holdfast = _cpu_per_row(log.append, batch, per_second)
    log.close()
    assert read_predictions(folder / "holdfast").num_rows == log.written_rows, "a prediction is missing"
    monitored = _cpu_per_row(_bentoml_monitor(folder), batch, per_second)
    return {
        "holdfast_us_per_row": round(holdfast - idle, 2),
        "holdfast_bytes_per_row": round(_total_bytes(folder / "holdfast") / log.written_rows),
        "bentoml_monitor_us_per_row": round(monitored - idle, 2),
        "bentoml_monitor_bytes_per_row": round(_total_bytes(folder / folder.name / "data") / log.written_rows),
    }


def _total_bytes(folder: Path) -> int:
    return sum(file.stat().st_size for file in folder.rglob("*.*"))


def _cpu_per_row(log: Callable[[ScoredBatch], None], batch: ScoredBatch, per_second: int) -> float:
    """Measure the CPU time per row in microseconds."""
    pause = batch.rows / per_second
    count = round(SECONDS / pause)
    start, cpu_start = time.monotonic(), time.process_time()
    for number in range(count):
        log(batch)
        time.sleep(max(0.0, start + (number + 1) * pause - time.monotonic()))
    return (time.process_time() - cpu_start) / (count * batch.rows) * 1e6


def _create_batch(rows: int) -> ScoredBatch:
    rng = np.random.default_rng(7)
    now = time.time_ns() // 1000
    inputs = np.round(rng.lognormal(3, 1, (rows, len(INPUTS))), 2) / 7
    inputs[:, :9] = rng.integers(0, 30, (rows, 9))
    return ScoredBatch(
        version="1",
        route="champion",
        answered_at_us=now,
        request_ids=[str(uuid.uuid4()) for _ in range(rows)],
        customer_ids=[f"{number:05d}" for number in rng.integers(0, 23_502, rows)],
        as_of_us=np.full(rows, now),
        input_names=INPUTS,
        inputs=inputs,
        views=VIEWS,
        timestamps_us=np.full((rows, len(VIEWS)), now),
        predictions=rng.random(rows),
        stale=np.zeros(rows, dtype=bool),
    )


def _bentoml_monitor(folder: Path) -> Callable[[ScoredBatch], None]:
    """Create a function that logs a batch with bentoml.monitor, one column at a time as documented."""

    def log(batch: ScoredBatch) -> None:
        numbers: dict[str, np.ndarray] = {name: batch.inputs[:, i] for i, name in enumerate(batch.input_names)}
        numbers |= {f"{view}__timestamp": batch.timestamps_us[:, i] for i, view in enumerate(batch.views)}
        numbers |= {"as_of": batch.as_of_us, "stale": batch.stale}
        with bentoml.monitor(
            folder.name, monitor_class="default", monitor_options={"log_path": str(folder)}
        ) as monitor:
            for name, texts in {"prediction_id": batch.request_ids, "customer_id": batch.customer_ids}.items():
                monitor.log_batch(texts, name, "feature", "categorical")
            for name, text in {"version": batch.version, "route": batch.route}.items():
                monitor.log_batch([text] * batch.rows, name, "feature", "categorical")
            for name, values in numbers.items():
                monitor.log_batch(values.tolist(), name, "feature", "numerical")
            monitor.log_batch(batch.predictions.tolist(), "churn_probability", "prediction", "numerical")

    return log


if __name__ == "__main__":
    main()
