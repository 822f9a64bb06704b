"""Locks of works: one holder at a time, on one machine and with PostgreSQL on several."""

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from feature_repo.settings import Settings
from holdfast.runtime.processes import free_port
from holdfast.shared_state.database import DatabaseUnavailableError
from holdfast.shared_state.work_locks import BusyError, LockLostError, require_lock, work_lock
from tests.support.postgres_server import PostgresServer, temporary_postgres
from tests.support.small_shop import join_process, start_process


@pytest.fixture(params=["file", "postgresql"])
def settings(data_dir: Path, request: pytest.FixtureRequest) -> Settings:
    return Settings(data=data_dir, database=request.getfixturevalue("postgres_url") if request.param != "file" else "")


@pytest.fixture
def restartable_server() -> Iterator[PostgresServer]:
    with temporary_postgres() as server:
        yield server


def _hold(seconds: float, marker: str) -> None:
    with work_lock(Settings(), "training"):
        Path(marker).touch()
        time.sleep(seconds)


def _hold_and_die() -> None:
    with work_lock(Settings(), "training"):
        os.kill(os.getpid(), signal.SIGKILL)


def _count_up(file: str, times: int) -> None:
    """Read, wait and write a number, which loses counts without the lock."""
    for _ in range(times):
        with work_lock(Settings(), "training"):
            number = int(Path(file).read_text())
            time.sleep(0.01)
            Path(file).write_text(str(number + 1))


def _wait_for(path: Path) -> None:
    end = time.monotonic() + 30
    while not path.exists():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_work_lock_held_by_another_process_is_refused_and_named(settings: Settings, tmp_path: Path) -> None:
    marker = tmp_path / "held"
    holder = start_process(_hold, settings.data, 60, str(marker), HOLDFAST_DATABASE=settings.database)
    _wait_for(marker)
    with pytest.raises(BusyError, match="Another training is running") as refused, work_lock(settings, "training", 0):
        pass
    assert not settings.database or f"process {holder.pid} on" in str(refused.value)
    with work_lock(settings, "ingest", 0):
        pass  # another work
    holder.kill()
    join_process(holder)
    with work_lock(settings, "training", 10):
        pass


def test_work_lock_of_a_killed_process_is_released(settings: Settings) -> None:
    killed = start_process(_hold_and_die, settings.data, HOLDFAST_DATABASE=settings.database)
    assert join_process(killed) == -signal.SIGKILL
    with work_lock(settings, "training", 10):
        require_lock("training")


def test_work_lock_of_four_processes_loses_no_change(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "number"
    file.write_text("0")
    workers = [
        start_process(_count_up, settings.data, str(file), 5, HOLDFAST_DATABASE=settings.database) for _ in range(4)
    ]
    assert [join_process(worker) for worker in workers] == [0] * 4
    assert file.read_text() == "20"


def test_work_lock_is_released_by_an_error_in_the_block(settings: Settings) -> None:
    with pytest.raises(ZeroDivisionError), work_lock(settings, "training"):
        raise ZeroDivisionError
    with work_lock(settings, "training", 0):
        pass


def test_require_lock_without_the_lock_passes(settings: Settings) -> None:
    require_lock("training")
    with work_lock(settings, "ingest"):
        require_lock("training")


def test_require_lock_after_the_session_ended_is_refused(data_dir: Path, postgres_server: PostgresServer) -> None:
    settings = Settings(data=data_dir, database=postgres_server.url(postgres_server.create_database()))
    with work_lock(settings, "training"):
        require_lock("training")
        assert postgres_server.end_sessions("holdfast: training") == 1
        with pytest.raises(LockLostError, match="the lock of training was lost"):
            require_lock("training")
        with work_lock(settings, "training", 5):  # as another machine takes over
            require_lock("training")
        with pytest.raises(LockLostError):
            require_lock("training")


def test_require_lock_after_a_restart_of_the_server_is_refused(
    data_dir: Path, restartable_server: PostgresServer
) -> None:
    settings = Settings(data=data_dir, database=restartable_server.url("postgres"))
    with work_lock(settings, "training"):
        restartable_server.stop()
        with pytest.raises(LockLostError):
            require_lock("training")
        with pytest.raises(DatabaseUnavailableError, match="Start the server"), work_lock(settings, "ingest"):
            pass
        restartable_server.start()
        with pytest.raises(LockLostError):
            require_lock("training")
    with work_lock(settings, "training", 0):
        require_lock("training")


def test_work_lock_with_an_unreachable_database_is_refused_without_the_password(data_dir: Path) -> None:
    port = free_port()
    settings = Settings(data=data_dir, database=f"postgresql://someone:se%2Fcr%40t@127.0.0.1:{port}/holdfast")
    with pytest.raises(DatabaseUnavailableError) as refused, work_lock(settings, "training"):
        pass
    text = str(refused.value)
    assert text.startswith(f"The database of HOLDFAST_DATABASE (127.0.0.1:{port}/holdfast) failed: ")
    assert "se%2Fcr%40t" not in text
    assert "se/cr@t" not in text


@pytest.mark.parametrize("name", ["../promotion", "a/b", "", ".hidden"])
def test_work_lock_with_a_name_that_is_a_path_is_refused(settings: Settings, name: str) -> None:
    with pytest.raises(ValueError, match="is no name of a lock"), work_lock(settings, name):
        pass
