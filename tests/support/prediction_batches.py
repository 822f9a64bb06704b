"""Scored batches for tests of the prediction log, and a process that logs predictions until it is ended.

    python -m tests.support.prediction_batches FOLDER ENDING

The process prints the id and time of each logged prediction.
"""

import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from feature_repo.timestamps import DAY_US
from holdfast.core.prediction_log import ScoredBatch, log_schema, read_predictions
from services.prediction_log.arrow_records import to_record
from services.prediction_log.files import PredictionFiles

NOON_US = 19_783 * DAY_US + DAY_US // 2  # 2024-03-01T12:00:00Z


def make_batch(ids: Sequence[str], **changes: Any) -> ScoredBatch:
    """Create a batch of two inputs and two views, with changed fields."""
    n = len(ids)
    values: dict[str, Any] = {
        "version": "1",
        "route": "champion",
        "answered_at_us": NOON_US,
        "request_ids": list(ids),
        "customer_ids": [f"c{number}" for number in ids],
        "as_of_us": np.full(n, NOON_US - 5),
        "input_names": ["recency", "gap"],
        "inputs": np.arange(2.0 * n).reshape(n, 2),
        "views": ["history", "rhythm"],
        "timestamps_us": np.full((n, 2), NOON_US - DAY_US),
        "predictions": np.linspace(0, 1, n),
        "stale": np.zeros(n, dtype=bool),
    }
    return ScoredBatch(**(values | changes))


def request_ids(table: pa.Table) -> list[str]:
    """Return the sorted request ids."""
    return sorted(table["request_id"].to_pylist())


def logged_request_ids(folder: Path) -> list[str]:
    """Return the sorted request ids in the log."""
    return request_ids(read_predictions(folder))


def write_log(folder: Path, *batches: ScoredBatch) -> None:
    """Write each batch as a record, without the thread of the log."""
    files = PredictionFiles(folder, 2**20, lambda: NOON_US)
    for batch in batches:
        files.append(batch.key, to_record([batch], log_schema(batch.key)))
    files.close()


def log_file_names(folder: Path) -> list[str]:
    """Return day and version of each file."""
    return sorted(f"{file.parent.name}/{file.name.split('-')[0]}" for file in folder.rglob("*.arrows"))


def log_until_ended(folder: Path, ending: str) -> None:
    """Log three predictions each 2 ms, until SIGTERM; with ``count``, a hundred batches."""
    from services.prediction_log.writer import PredictionLog

    log = PredictionLog(folder)
    ended = False

    def end(*_: object) -> None:
        nonlocal ended
        ended = True

    signal.signal(signal.SIGTERM, end)
    number = 0
    while not ended and not (ending == "count" and number == 99):
        log.append(make_batch([f"{number + i:06d}" for i in range(3)], answered_at_us=time.time_ns() // 1000))
        for i in range(3):
            print(f"{number + i:06d}", time.monotonic())
        sys.stdout.flush()
        number += 3
        time.sleep(0.002)
    if ending == "signal":  # as uvicorn: the shutdown hook, then the signal again
        log.close()
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)


if __name__ == "__main__":
    log_until_ended(Path(sys.argv[1]), sys.argv[2])
