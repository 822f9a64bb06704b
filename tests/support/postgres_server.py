"""PostgreSQL server of the system's package postgresql, for tests."""

import os
import shutil
import subprocess
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest

from holdfast.runtime.processes import HOST, free_port

_USER, _PASSWORD = "holdfast", "se/cr@t"
_OWNER = "postgres"  # the server refuses root


class PostgresServer:
    """PostgreSQL server on a free port of the loopback interface.

    Args:
        folder: Folder of the server, which the user of the server owns.
    """

    def __init__(self, folder: Path) -> None:
        self.folder, self.port = folder, free_port()

    def url(self, database: str, port: int | None = None) -> str:
        """Return the address of a database.

        Args:
            database: Name of the database.
            port: Port of a proxy; None: that of the server.
        """
        return f"postgresql://{_USER}:se%2Fcr%40t@{HOST}:{port or self.port}/{database}"

    def create(self) -> None:
        """Create the cluster and start the server."""
        password = self.folder / "password"
        password.write_text(_PASSWORD)
        if os.geteuid() == 0:
            for path in (self.folder, password):
                shutil.chown(path, _OWNER)
        _run(["initdb", "-D", self._data, "-U", _USER, "-A", "scram-sha-256", f"--pwfile={password}", "--no-sync"])
        self.start()

    def start(self) -> None:
        """Start the server and wait until it responds."""
        options = f"-p {self.port} -k {self.folder} -c listen_addresses={HOST} -c fsync=off"
        _run(["pg_ctl", "-D", self._data, "-w", "-l", str(self.folder / "log"), "-o", options, "start"])

    def stop(self, mode: str = "immediate") -> None:
        """Stop the server.

        Args:
            mode: ``immediate``: without a shutdown of its sessions, as when the machine fails.
        """
        _run(["pg_ctl", "-D", self._data, "-w", "-m", mode, "stop"])

    def create_database(self) -> str:
        """Create an empty database, and return its name."""
        name = f"test_{uuid.uuid4().hex}"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}".encode())
        return name

    def end_sessions(self, application: str) -> int:
        """End the sessions of an application, as a failed network does, and return their number."""
        query = "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE application_name = %s"
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            (count,) = connection.execute(query, (application,)).fetchone() or (0,)
        return count

    @property
    def _data(self) -> str:
        return str(self.folder / "cluster")


@contextmanager
def temporary_postgres() -> Iterator[PostgresServer]:
    """Run a PostgreSQL server for the block, in a temporary folder."""
    with tempfile.TemporaryDirectory(prefix="holdfast-postgres-", dir="/tmp") as folder:
        server = PostgresServer(Path(folder))
        server.create()
        try:
            yield server
        finally:
            server.stop()


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[PostgresServer]:
    """Run a server for the session. Import this fixture in the ``conftest.py`` of the tests."""
    if not _programs():
        missing = "PostgreSQL is not installed: apt-get install postgresql"
        if os.environ.get("CI"):
            pytest.fail(missing)
        pytest.skip(missing)
    with temporary_postgres() as server:
        yield server


@pytest.fixture
def postgres_url(postgres_server: PostgresServer) -> str:
    """Create an empty database for one test, and return its address."""
    return postgres_server.url(postgres_server.create_database())


def _programs() -> str | None:
    """Return the folder of the newest installed server."""
    folders = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    found = shutil.which("initdb")
    return str(folders[-1]) if folders else found and str(Path(found).parent)


def _run(command: Sequence[str]) -> None:
    programs = _programs()
    assert programs is not None
    as_owner = ["runuser", "-u", _OWNER, "--"] if os.geteuid() == 0 else []
    done = subprocess.run(
        [*as_owner, f"{programs}/{command[0]}", *command[1:]],
        cwd="/tmp",
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    assert done.returncode == 0, done.stderr.decode()
