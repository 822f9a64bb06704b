"""The prediction log writes every prediction and never delays a response."""

import shutil
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest

from feature_repo.timestamps import DAY_US
from holdfast.core.prediction_log import LogKey
from services.prediction_log.files import PredictionFiles
from services.prediction_log.record_queue import PredictionQueue
from services.prediction_log.writer import PredictionLog
from tests.support.prediction_batches import NOON_US, log_file_names, logged_request_ids, make_batch
from tests.support.waiting import wait_for

pytestmark = pytest.mark.usefixtures("service_log")


class DiskGate:
    """A gate at the disk: the writer passes while it is open, and sets ``waiting`` before."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.waiting, self.open = threading.Event(), threading.Event()
        append = PredictionFiles.append

        def wait(files: PredictionFiles, key: LogKey, record: pa.RecordBatch) -> None:
            self.waiting.set()
            assert self.open.wait(60)
            append(files, key, record)

        monkeypatch.setattr(PredictionFiles, "append", wait)


def test_append_is_written_before_close(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path / "log")
    assert (log.queued_rows, log.written_rows, log.dropped_rows) == (0, 0, 0)
    log.append(make_batch(["a", "b"]))
    wait_for(lambda: log.written_rows == 2)
    assert logged_request_ids(tmp_path / "log") == ["a", "b"]
    assert (log.queued_rows, log.dropped_rows, log.degraded) == (0, 0, None)
    log.close()


@pytest.fixture
def hasty_threads() -> Iterator[None]:
    """Switch threads as often as possible."""
    usual = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(usual)


@pytest.mark.usefixtures("hasty_threads")
def test_append_by_threads_writes_each_batch_once(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, interval=0.0001)

    def append(name: str) -> None:
        for i in range(0, 300, 3):
            log.append(make_batch([f"{name}{i + j:03d}" for j in range(3)], version=name))

    threads = [threading.Thread(target=append, args=(name,)) for name in "abcd"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    log.close()
    assert logged_request_ids(tmp_path) == [f"{name}{i:03d}" for name in "abcd" for i in range(300)]
    assert (log.written_rows, log.queued_rows) == (1200, 0)


def test_logs_of_same_microsecond_write_separate_files(tmp_path: Path) -> None:
    logs = [PredictionLog(tmp_path, clock_us=lambda: NOON_US) for _ in range(2)]
    for name, log in zip("ab", logs, strict=True):
        log.append(make_batch([name]))
    for log in logs:
        log.close()
    assert logged_request_ids(tmp_path) == ["a", "b"]


def test_append_micro_batches_writes_one_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = DiskGate(monkeypatch)
    log = PredictionLog(tmp_path)
    log.append(make_batch(["first"]))
    assert gate.waiting.wait(60)
    for i in range(50):
        log.append(make_batch([f"{i}"]))
    gate.open.set()
    log.close()
    [file] = tmp_path.rglob("*.arrows")
    assert [record.num_rows for record in pa.ipc.open_stream(file.read_bytes())] == [1, 50]


def test_append_to_full_queue_drops_without_waiting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service_log: pytest.LogCaptureFixture
) -> None:
    gate = DiskGate(monkeypatch)
    log = PredictionLog(tmp_path, max_queued_rows=5)
    log.append(make_batch(["a", "b"]))
    assert gate.waiting.wait(60)  # the disk hangs
    log.append(make_batch(["c", "d"]))
    began = time.monotonic()
    log.append(make_batch(["e", "f"]))  # one too many: what is being written counts
    log.append(make_batch(["g"]))
    log.append(make_batch(["h"]))
    assert time.monotonic() - began < 1
    assert (log.queued_rows, log.dropped_rows) == (5, 3)
    assert log.degraded == "predictions arrive faster than they are written"
    gate.open.set()
    wait_for(lambda: log.degraded is None)
    log.append(make_batch(["i"]))
    log.close()
    assert logged_request_ids(tmp_path) == ["a", "b", "c", "d", "g", "i"]
    assert service_log.messages == ["Predictions are logged again. Lost: 3."]


def test_append_large_batch_to_empty_queue_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gate = DiskGate(monkeypatch)
    log = PredictionLog(tmp_path, max_queued_rows=5)
    log.append(make_batch(list("abcdefg")))
    assert gate.waiting.wait(60)
    log.append(make_batch(list("hijklmn")))  # what is being written counts
    assert (log.queued_rows, log.dropped_rows) == (7, 7)
    gate.open.set()
    wait_for(lambda: log.queued_rows == 0)
    log.append(make_batch(list("opqrst")))
    log.close()
    assert logged_request_ids(tmp_path) == list("abcdefgopqrst")


def test_append_after_close_is_counted_as_dropped(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    log.append(make_batch(["a"]))
    log.close()
    log.close()
    log.append(make_batch(["b", "c"]))
    assert logged_request_ids(tmp_path) == ["a"]
    assert log.dropped_rows == 2


def test_close_after_timeout_logs_lost_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, service_log: pytest.LogCaptureFixture
) -> None:
    gate = DiskGate(monkeypatch)
    log = PredictionLog(tmp_path)
    log.append(make_batch(["a", "b", "c"]))
    log.close(timeout=0.05)
    log.close()
    gate.open.set()
    assert service_log.messages == ["3 predictions are not in the log: no time left to write"]


@pytest.mark.parametrize(
    "wrong",
    [
        {"inputs": np.zeros((1, 2), dtype=np.float32)},
        {"inputs": np.zeros((2, 2))},
        {"predictions": np.zeros(2)},
        {"as_of_us": np.zeros(1)},
        {"customer_ids": ["c1", "c2"]},
        {"customer_ids": ["\ud800"]},
        {"stale": [False]},
        {"input_names": ["gap", "gap"]},
        {"input_names": ["gap", "version"]},
    ],
    ids=str,
)
def test_append_invalid_batch_drops_only_this_batch(
    tmp_path: Path, wrong: dict[str, Any], service_log: pytest.LogCaptureFixture
) -> None:
    log = PredictionLog(tmp_path, interval=60)
    bad = make_batch(["b"], **wrong)
    for batch in (make_batch(["a"]), bad, make_batch(["c"]), bad):
        log.append(batch)
    log.close()
    assert logged_request_ids(tmp_path) == ["a", "c"]
    assert (log.written_rows, log.dropped_rows, log.queued_rows) == (2, 2, 0)
    [message] = service_log.messages
    assert message.startswith("Predictions that violate the schema of the log are not logged: ")


def test_append_writes_file_per_day_version_route_and_inputs(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    midnight = NOON_US + DAY_US // 2
    log.append(make_batch(["a"], answered_at_us=midnight - 1))
    log.append(make_batch(["b"], answered_at_us=midnight))
    log.append(make_batch(["c"], version="2"))
    log.append(make_batch(["d"], version="2", route="shadow"))
    log.append(make_batch(["e"], version="2", input_names=["recency", "rhythm"]))
    log.append(make_batch(["f"]))
    log.append(make_batch(["g"], version="../4"))
    log.close()
    assert log_file_names(tmp_path) == ["2024-03-01/..%2F4", "2024-03-01/1", *["2024-03-01/2"] * 3, "2024-03-02/1"]
    assert logged_request_ids(tmp_path) == list("abcdefg")


def test_append_beyond_file_limit_starts_new_file(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path, max_file_bytes=5_000)
    for i in range(20):
        log.append(make_batch([f"{i:02d}"]))
        wait_for(lambda: log.queued_rows == 0)
    log.close()
    sizes = [file.stat().st_size for file in tmp_path.rglob("*.arrows")]
    assert len(sizes) > 2
    assert max(sizes) <= 5_000
    assert logged_request_ids(tmp_path) == [f"{i:02d}" for i in range(20)]


def test_append_after_file_deletion_starts_new_file(tmp_path: Path) -> None:
    log = PredictionLog(tmp_path)
    for name in "ab":
        log.append(make_batch([name]))
        wait_for(lambda: log.queued_rows == 0)
        shutil.rmtree(tmp_path / "2024-03-01")
    log.append(make_batch(["c"]))
    log.close()
    assert logged_request_ids(tmp_path) == ["c"]


def test_put_with_late_writer_waits_rarely(monkeypatch: pytest.MonkeyPatch) -> None:
    now = 0.0
    queue = PredictionQueue(100, lambda: now)
    asides: list[float] = []
    monkeypatch.setattr(queue._done, "wait", asides.append)

    def steps_aside() -> bool:
        asides.clear()
        queue.put(make_batch(["a"]))
        return asides == [0.008]

    assert not steps_aside()
    now = 0.04
    assert not steps_aside()  # in time
    now = 0.05
    assert steps_aside()
    now = 0.149
    assert not steps_aside()  # a while ago is enough
    queue.take()
    now = 0.2
    assert steps_aside()  # what the writer holds is late
    now = 0.4
    queue.is_stuck = True
    assert not steps_aside()  # it waits for the disk
    queue.is_stuck = False
    queue.take()
    queue.finish()
    assert not steps_aside()
    now = 0.5
    assert steps_aside()


def test_old_days_are_deleted_at_start_and_midnight(tmp_path: Path) -> None:
    for day in ("2024-01-31", "2024-02-01", "2024-02-28"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "1-2-3-4.arrows").write_bytes(b"old")
    now = NOON_US
    log = PredictionLog(tmp_path, keep_days=29, clock_us=lambda: now)  # to 1 February
    wait_for(lambda: not (tmp_path / "2024-01-31").exists())
    log.append(make_batch(["a"]))
    wait_for(lambda: log.written_rows == 1)
    assert open_files(tmp_path) == ["2024-03-01"]
    now += DAY_US
    wait_for(lambda: not (tmp_path / "2024-02-01").exists())
    assert open_files(tmp_path) == []
    log.append(make_batch(["b"], answered_at_us=now))
    log.close()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["2024-02-28", "2024-03-01", "2024-03-02"]


def open_files(folder: Path) -> list[str]:
    """Return the days of the log files that this process has open."""
    files = (Path(file.path) for file in psutil.Process().open_files())
    return [file.parent.name for file in files if file.is_relative_to(folder)]
