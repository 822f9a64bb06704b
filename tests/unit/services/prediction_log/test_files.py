"""Files of the prediction log: a full disk and SIGKILL lose only a bounded number of rows."""

import logging
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from feature_repo.timestamps import DAY_US
from holdfast.core.prediction_log import iter_predictions
from services.prediction_log.files import delete_days
from services.prediction_log.writer import PredictionLog
from tests.support.main_job import ROOT
from tests.support.prediction_batches import (
    NOON_US,
    log_file_names,
    logged_request_ids,
    make_batch,
    write_log,
)
from tests.support.waiting import wait_for

pytestmark = pytest.mark.usefixtures("service_log")


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 128 kB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=128k", "tmpfs", str(folder)]
    if os.geteuid() != 0 or subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting a small disk takes root")
    yield folder
    subprocess.run(["umount", "-l", str(folder)], check=True)


def test_full_disk_drops_only_rows_beyond_queue_and_logs(
    small_disk: Path, service_log: pytest.LogCaptureFixture
) -> None:
    log = PredictionLog(small_disk / "log", max_queued_rows=1_000, retry_seconds=0.02)
    filler = small_disk / "filler"
    sent: list[str] = []

    def append() -> None:
        sent.extend(names := [f"{len(sent) + i:05d}" for i in range(50)])
        log.append(make_batch(names))

    append()
    wait_for(lambda: log.written_rows == 50)
    with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
        while True:
            file.write(bytes(1024))
    while log.dropped_rows < 200:
        append()
        time.sleep(0.001)
    assert "No space left on device" in str(log.degraded)
    assert log.queued_rows > 900
    time.sleep(0.1)  # a few more tries
    dropped_from = log.written_rows + log.queued_rows
    filler.unlink()
    wait_for(lambda: log.degraded is None)
    append()
    log.close()
    assert log.dropped_rows == len(sent) - log.written_rows
    assert logged_request_ids(small_disk / "log") == sent[:dropped_from] + sent[-50:]
    error, recovery = service_log.records
    assert (error.levelno, recovery.levelno) == (logging.ERROR, logging.WARNING)
    assert "No space left on device" in error.getMessage()
    assert str(small_disk / "log") in error.getMessage()
    assert recovery.getMessage() == f"Predictions are logged again. Lost: {log.dropped_rows}."
    assert len(log_file_names(small_disk)) == 2  # no attempt has left a file behind


@pytest.fixture
def file_limit() -> Iterator[Callable[[int], None]]:
    """Set the maximum file size of this process."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    yield lambda size: resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_partly_written_record_is_removed_and_written_again(
    tmp_path: Path, file_limit: Callable[[int], None], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.prediction_log.arrow_records._MAX_ROWS", 20)  # several records at once
    log = PredictionLog(tmp_path, retry_seconds=0.01)
    file_limit(8_000)
    for start in range(0, 200, 20):
        log.append(make_batch([f"{start + i:03d}" for i in range(20)]))
    wait_for(lambda: log.queued_rows == 0)
    log.close()
    file_limit(resource.RLIM_INFINITY)
    caplog.clear()
    assert logged_request_ids(tmp_path) == [f"{i:03d}" for i in range(200)]
    assert caplog.messages == []  # no file has a torn end
    assert log.dropped_rows == 0


def test_unwritable_folder_degrades_the_log(tmp_path: Path, service_log: pytest.LogCaptureFixture) -> None:
    (tmp_path / "log").write_text("in the way")
    log = PredictionLog(tmp_path / "log", retry_seconds=0.01)
    log.append(make_batch(["a"]))
    wait_for(lambda: log.degraded)
    (tmp_path / "log").unlink()
    wait_for(lambda: log.degraded is None)
    log.close()
    assert logged_request_ids(tmp_path / "log") == ["a"]
    assert [record.levelname for record in service_log.records] == ["ERROR", "WARNING"]


def test_delete_days_deletes_by_date(tmp_path: Path, service_log: pytest.LogCaptureFixture) -> None:
    for day in ("1970-01-01", "2024-02-29", "2024-03-01", "20240101", "notes"):
        (tmp_path / day).mkdir()
        (tmp_path / day / "1-2-3-4.arrows").write_bytes(b"old")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "2024-02-28").symlink_to(tmp_path / "elsewhere", target_is_directory=True)
    delete_days(tmp_path, NOON_US // DAY_US)
    left = ["2024-02-28", "2024-03-01", "20240101", "elsewhere", "notes"]
    assert sorted(path.name for path in tmp_path.iterdir()) == left
    assert [message.split(": ")[0] for message in service_log.messages] == [
        "Predictions of 2024-02-28 are past their retention and cannot be deleted"
    ]
    delete_days(tmp_path / "nowhere", 0)


def answering(folder: Path, ending: str) -> "subprocess.Popen[str]":
    """Start a process that logs predictions."""
    command = [sys.executable, "-m", "tests.support.prediction_batches", str(folder), ending]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def end(process: "subprocess.Popen[str]", number: int) -> list[tuple[str, float]]:
    """End the process by a signal; returns request ids and times of its predictions."""
    assert process.stdout is not None
    lines: list[str] = []
    while len(lines) < 300 or time.monotonic() - float(lines[-1].split()[1]) > 0.01:
        lines.append(process.stdout.readline())
    process.send_signal(number)
    lines += process.stdout.read().splitlines(keepends=True)
    process.wait(60)
    return [(line.split()[0], float(line.split()[1])) for line in lines if line.endswith("\n")]


def test_ended_or_killed_process_has_logged_predictions(tmp_path: Path) -> None:
    endings = {"killed": signal.SIGKILL, "signal": signal.SIGTERM, "exit": signal.SIGTERM}
    started = {ending: answering(tmp_path / ending, ending) for ending in endings}
    for ending, number in endings.items():
        answered = end(started[ending], number)
        last = answered[-1][1]
        safe = [identifier for identifier, time in answered if ending != "killed" or time < last - 0.1]
        in_log = logged_request_ids(tmp_path / ending)
        assert len(safe) > 100
        assert set(safe) - set(in_log) == set(), ending
        assert len(set(in_log)) == len(in_log)
    assert started["signal"].returncode == -signal.SIGTERM
    assert started["exit"].returncode == 0


def test_two_processes_write_concurrently_without_output(tmp_path: Path) -> None:
    processes = [answering(tmp_path, "count") for _ in range(2)]
    for process in processes:
        process.communicate(timeout=60)
        assert process.returncode == 0
    assert logged_request_ids(tmp_path) == sorted([f"{i:06d}" for i in range(99)] * 2)
    assert len({file.name.split("-")[1] for file in tmp_path.rglob("*.arrows")}) == 2
    assert sum(table.num_rows for table in iter_predictions(tmp_path)) == 198


def test_log_files_are_group_readable_only(tmp_path: Path) -> None:
    """The log contains purchase counts of customers."""
    usual = os.umask(0)
    try:
        write_log(tmp_path / "log", make_batch(["a"]), make_batch(["b"], version="2"))
    finally:
        os.umask(usual)
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.rglob("*.arrows")}
    folders = {path.stat().st_mode & 0o777 for path in (tmp_path / "log", *(tmp_path / "log").iterdir())}
    assert (modes, folders) == ({0o640}, {0o750})
    assert logged_request_ids(tmp_path / "log") == ["a", "b"]
