"""Processes that end whatever happens, and that use no CPU while another is measured."""

import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Self

import psutil

from holdfast.core.errors import HoldfastError

HOST = "127.0.0.1"
_LOG_LINES = 15
# Ends the processes it was told of, and all that they started, when its standard input ends: also when the benchmark
# is killed. BentoML's workers have groups of their own, so a group is not enough.
_GUARD = """
import sys
import psutil

known = set()
for line in sys.stdin:
    number = int(line)
    known = known | {number} if number > 0 else known - {-number}
for number in known:
    try:
        top = psutil.Process(number)
        for process in [top, *top.children(recursive=True)]:
            process.kill()
    except psutil.NoSuchProcess:
        pass
"""


class StartError(HoldfastError):
    """A process ended or was not ready in time; holds the end of its log."""


class Guard:
    """Knows every process that was started, in a process of its own, and outlives this one."""

    def __init__(self) -> None:
        # Its own session, so that Ctrl-C in the terminal does not reach it before its work begins.
        self._process = subprocess.Popen([sys.executable, "-c", _GUARD], stdin=subprocess.PIPE, start_new_session=True)

    def watch(self, pid: int) -> None:
        """Kill ``pid`` and its descendants at the end."""
        self._tell(pid)

    def forget(self, pid: int) -> None:
        """``pid`` has ended; its number may come to mean another."""
        self._tell(-pid)

    def close(self) -> None:
        """Kill what is left."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def _tell(self, number: int) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(f"{number}\n".encode())
        self._process.stdin.flush()


class Processes:
    """The processes of one benchmark. Those that were paused have no CPU time until they are resumed."""

    def __init__(self, logs: Path) -> None:
        self.logs = logs
        self._stack = ExitStack()
        self._guard = Guard()
        self._stack.callback(self._guard.close)

    def start(self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path) -> "Process":
        """Start ``command`` in ``folder``, with its output in a log."""
        log = self.logs / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        process = Process(name, command, environment, folder, log)
        self._guard.watch(process.pid)
        self._stack.callback(self.end, process)
        return process

    def end(self, process: "Process") -> None:
        """End it and its descendants; nothing if it has ended."""
        process.end()
        self._guard.forget(process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *problem: object) -> None:
        self._stack.close()


class Process:
    """A process and its descendants."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path, log: Path
    ) -> None:
        self.name, self.log = name, log
        self.started_at = time.monotonic()
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                list(command),
                env=dict(environment),
                cwd=folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        self.pid = self._process.pid

    def wait_until(self, url: str, within: float = 90, poll: float = 0.02) -> float:
        """Seconds from the start until ``url`` (http://HOST:PORT/PATH) answered a GET with 200.

        Raises:
            StartError: It ended, or never did.
        """
        address, _, path = url.removeprefix("http://").partition("/")
        host, port = address.split(":")
        while True:
            if self._process.poll() is not None:
                raise StartError(f"{self.name} ended with status {self._process.returncode}.\n{self.last_lines()}")
            if _answers(host, int(port), f"/{path}"):
                return time.monotonic() - self.started_at
            if time.monotonic() > self.started_at + within:
                raise StartError(f"{self.name} was not ready in {within:.0f} seconds.\n{self.last_lines()}")
            time.sleep(poll)

    def tree(self) -> list[psutil.Process]:
        """It and its descendants, as far as they live."""
        try:
            top = psutil.Process(self.pid)
            return [top, *top.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def pause(self) -> None:
        """No CPU for any of them until ``resume``."""
        _each(self.tree(), psutil.Process.suspend)

    def resume(self) -> None:
        """Let them go on."""
        _each(self.tree(), psutil.Process.resume)

    def cpu_seconds(self) -> float:
        """CPU time that they have used so far."""
        total = 0.0
        for process in self.tree():
            with suppress(psutil.NoSuchProcess):
                total += sum(process.cpu_times()[:2])
        return total

    def end(self) -> None:
        """SIGTERM, and SIGKILL to what is left after five seconds."""
        tree = self.tree()
        _each(tree, psutil.Process.resume)
        if self._process.poll() is None:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=5)
        _each(tree, psutil.Process.kill)
        self._process.wait()
        psutil.wait_procs(tree[1:], timeout=5)

    def last_lines(self) -> str:
        """The end of its log."""
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return "\n".join([f"The end of {self.log}:", *lines])


def _each(processes: Sequence[psutil.Process], act: Callable[[psutil.Process], None]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            act(process)


def free_port() -> int:
    """A port of the loopback interface that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def _answers(host: str, port: int, path: str) -> bool:
    request = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nConnection: close\r\n\r\n".encode()
    try:
        with socket.create_connection((host, port), timeout=5) as connection:
            connection.sendall(request)
            return connection.recv(64).split(b" ")[1:2] == [b"200"]
    except OSError:
        return False
