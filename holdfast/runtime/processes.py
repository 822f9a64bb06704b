"""Servers as processes of our own: started, waited for, and ended with all that they started, however we end."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

HOST = "127.0.0.1"
_GUARD = Path(__file__).with_name("process_guard.py")
_LOG_LINES = 15
_POLL_SECONDS = 0.1
_LONGEST_END = 20.0


class NotReadyInTimeError(Exception):
    """A process ended, or was not ready in time; says what was seen last, and holds the end of its log."""


@dataclass(frozen=True)
class Server:
    """A process with a guard, which ends it and all that it started when this process is gone."""

    name: str
    guard: "subprocess.Popen[bytes]"
    log: Path

    @property
    def runs(self) -> bool:
        """Whether it does."""
        return self.guard.poll() is None

    def processes(self) -> list[psutil.Process]:
        """The process and all that it started, the latter first."""
        try:
            return psutil.Process(self.guard.pid).children(recursive=True)[::-1]
        except psutil.NoSuchProcess:
            return []

    def kill(self) -> None:
        """End it and all that it started at once, without a word, as the kernel does when memory is short."""
        for process in self.processes():
            with suppress(psutil.Error):
                process.kill()
        self.guard.wait(_LONGEST_END)

    def end(self) -> int:
        """End it in order; the guard's exit status."""
        if self.guard.stdin is not None:
            self.guard.stdin.close()
        try:
            return self.guard.wait(_LONGEST_END)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.guard.wait()

    def wait_until(self, why_not: Callable[[], str], within: float) -> None:
        """Wait until ``why_not`` says nothing.

        Raises:
            NotReadyInTimeError: It ended before, or that took longer than ``within`` seconds.
        """
        deadline = time.monotonic() + within
        while said := why_not():
            if not self.runs:
                raise NotReadyInTimeError(
                    f"{self.name} ended with status {self.guard.returncode} before ready.\n{last_lines(self.log)}"
                )
            if time.monotonic() > deadline:
                raise NotReadyInTimeError(f"{self.name} was not ready in time ({said}).\n{last_lines(self.log)}")
            time.sleep(_POLL_SECONDS)


def start(
    name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path | None = None
) -> Server:
    """Start a command; what it says is added to the file ``log``. Whoever starts it ends it: see :func:`running`."""
    return Server(name, _guarded(command, environment, log, cwd, None), log)


def _guarded(
    command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path | None, stdout: int | None
) -> "subprocess.Popen[bytes]":
    """A command behind a guard; its errors, and with ``stdout`` None also its output, are added to ``log``."""
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        return subprocess.Popen(
            [sys.executable, "-P", str(_GUARD), *command],
            env=dict(environment),
            stdin=subprocess.PIPE,  # never written to: its end tells the guard that we are gone
            stdout=file if stdout is None else stdout,
            stderr=file,
            cwd=cwd,
            start_new_session=True,
        )


@contextmanager
def running(
    name: str, command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path | None = None
) -> Iterator[Server]:
    """A command for the block."""
    server = start(name, command, environment, log, cwd)
    try:
        yield server
    finally:
        server.end()


def why_not_ok(url: str) -> str:
    """Why ``url`` does not answer with 200; nothing if it does."""
    import httpx

    try:
        answer = httpx.get(url, timeout=5, trust_env=False)
    except httpx.TransportError:
        return "no answer"
    return "" if answer.status_code == 200 else answer.text.strip() or f"status {answer.status_code}"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def last_lines(log: Path) -> str:
    """The end of a log, and where it is."""
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
    return f"The end of {log}:\n" + "\n".join(lines)


def end_group(child: "subprocess.Popen[str]") -> None:
    """Kill the process group that a child leads."""
    with suppress(ProcessLookupError):  # all of it has ended
        os.killpg(child.pid, signal.SIGKILL)


def end_with_parent() -> None:
    """In a child that leads a group: end the whole group as soon as the parent is gone."""

    def watch() -> None:
        while os.read(0, 1):  # not sys.stdin: its lock would crash the interpreter's shutdown
            pass
        os.killpg(0, signal.SIGKILL)

    threading.Thread(target=watch, daemon=True).start()


def listening(
    command: Sequence[str], environment: Mapping[str, str], log: Path, cwd: Path, say: Callable[[str], None]
) -> int:
    """Run a command that ends with us, say each line that it prints, add its errors to a log; its exit status."""
    child = _guarded(command, environment, log, cwd, subprocess.PIPE)
    assert child.stdout is not None
    assert child.stdin is not None
    try:
        for line in child.stdout:
            say(line.decode(errors="replace").rstrip("\n"))
        return child.wait()
    finally:
        child.stdin.close()
        child.stdout.close()
        child.wait()
