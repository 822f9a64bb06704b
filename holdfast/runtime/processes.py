"""Child processes: start, readiness, output, and termination of the whole process tree."""

import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from http.client import HTTPException
from pathlib import Path
from typing import Self

import psutil

from holdfast.core.errors import HoldfastError

HOST = "127.0.0.1"
_GUARD = Path(__file__).with_name("process_guard.py")
_LOG_LINES = 15
_TERMINATE_SECONDS = 20.0
_HTTP = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # no proxy of the caller's shell


class ProcessNotReadyError(HoldfastError):
    """A process ended, or was not ready in time."""


@dataclass(frozen=True)
class ManagedProcess:
    """Process tree below a guard, which terminates the tree as soon as this process has ended.

    A ``with`` block terminates the tree at its end.

    Attributes:
        name: Name for messages.
        guard: Process of ``process_guard.py``, the parent of the command.
        log: File that holds the output of the command.
    """

    name: str
    guard: "subprocess.Popen[bytes]"
    log: Path

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.terminate()

    @property
    def is_running(self) -> bool:
        """Return True until the command has ended."""
        return self.guard.poll() is None

    def tree(self) -> list[psutil.Process]:
        """List the processes of the tree, descendants before their parents.

        Returns:
            The command and its descendants, without the guard; empty once they have ended.
        """
        try:
            return psutil.Process(self.guard.pid).children(recursive=True)[::-1]
        except psutil.NoSuchProcess:
            return []

    def pause(self) -> None:
        """Suspend all processes of the tree (SIGSTOP)."""
        apply_to_processes(self.tree(), psutil.Process.suspend)

    def resume(self) -> None:
        """Resume all processes of the tree (SIGCONT)."""
        apply_to_processes(self.tree(), psutil.Process.resume)

    def kill(self) -> None:
        """Kill all processes of the tree at once (SIGKILL), as the kernel does when memory is short."""
        apply_to_processes(self.tree(), psutil.Process.kill)
        self._close_stdin()  # else a command that the guard has not started yet would survive
        self.guard.wait(_TERMINATE_SECONDS)

    def terminate(self) -> int:
        """Terminate the command (SIGTERM), then kill the rest of the tree.

        Returns:
            Exit status of the command; 128 + the number of the signal that ended the command.
        """
        self._close_stdin()
        try:
            return self.guard.wait(_TERMINATE_SECONDS)
        except subprocess.TimeoutExpired:
            self.kill()
            return self.guard.wait()

    def wait_until_ready(
        self, find_problem: Callable[[], str | None], timeout: float, poll_seconds: float = 0.1
    ) -> None:
        """Poll until ``find_problem`` returns None.

        Args:
            find_problem: Readiness check: describes why the process is not ready.
            timeout: Seconds until the process is given up; the process keeps running.
            poll_seconds: Seconds between two checks.

        Raises:
            ProcessNotReadyError: The process ended, or was not ready in time; contains the end of its log.
        """
        deadline = time.monotonic() + timeout
        while (problem := find_problem()) is not None:
            if not self.is_running:
                raise ProcessNotReadyError(
                    f"{self.name} ended with status {self.guard.returncode} before ready.\n{log_tail(self.log)}"
                )
            if time.monotonic() > deadline:
                raise ProcessNotReadyError(f"{self.name} was not ready in time ({problem}).\n{log_tail(self.log)}")
            time.sleep(poll_seconds)

    def report_output(self, report: Callable[[str], object]) -> int:
        """Pass each line of standard output to ``report`` until the command ends.

        Args:
            report: Called with each line, without its end. The process must have been started with
                ``capture_output``.

        Returns:
            Exit status, as from :meth:`terminate`.
        """
        assert self.guard.stdout is not None
        try:
            with self.guard.stdout as lines:
                for line in lines:
                    report(line.decode(errors="replace").rstrip("\n"))
            return self.guard.wait()
        finally:
            self.terminate()

    def _close_stdin(self) -> None:
        assert self.guard.stdin is not None
        self.guard.stdin.close()


def start_process(
    name: str,
    command: Sequence[str],
    environment: Mapping[str, str],
    log: Path,
    cwd: Path | None = None,
    capture_output: bool = False,
) -> ManagedProcess:
    """Start a command below a guard. The caller terminates the process.

    Args:
        name: Name for messages.
        command: Program and arguments.
        environment: All environment variables of the command.
        log: File to which standard output and standard error are appended.
        cwd: Working directory; None: that of this process.
        capture_output: Leave standard output to :meth:`ManagedProcess.report_output` instead of the log.

    Returns:
        The started process.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as file:
        guard = subprocess.Popen(
            [sys.executable, "-P", str(_GUARD), *command],
            env=dict(environment),
            stdin=subprocess.PIPE,  # nothing is written: the guard terminates the tree at end of file
            stdout=subprocess.PIPE if capture_output else file,
            stderr=file,
            cwd=cwd,
            start_new_session=True,
        )
    return ManagedProcess(name, guard, log)


def apply_to_processes(processes: Sequence[psutil.Process], action: Callable[[psutil.Process], object]) -> None:
    """Apply an action such as ``psutil.Process.terminate`` to those processes that still exist.

    Args:
        processes: Processes, some of which may have ended.
        action: Called with each process.
    """
    for process in processes:
        with suppress(psutil.Error):
            action(process)


def terminate_processes(processes: Sequence[psutil.Process], timeout: float) -> None:
    """Terminate processes (SIGTERM) and kill those that still run after ``timeout``.

    Args:
        processes: Processes, some of which may have ended.
        timeout: Seconds between SIGTERM and SIGKILL, and again until the function gives up.
    """
    apply_to_processes(processes, psutil.Process.terminate)
    _, alive = psutil.wait_procs(processes, timeout=timeout)
    apply_to_processes(alive, psutil.Process.kill)
    psutil.wait_procs(alive, timeout=timeout)


def health_problem(url: str) -> str | None:
    """Check a health endpoint.

    Args:
        url: HTTP address.

    Returns:
        None when ``url`` responds with 200; otherwise the response's text or status, or "no response".
    """
    try:
        with _HTTP.open(url, timeout=5) as response:
            return None if response.status == 200 else f"status {response.status}"
    except urllib.error.HTTPError as error:
        with error:
            return error.read().decode(errors="replace").strip() or f"status {error.code}"
    except (OSError, HTTPException):
        return "no response"


def free_port() -> int:
    """Find a TCP port of the loopback interface that no process uses.

    Returns:
        The port number.
    """
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return int(probe.getsockname()[1])


def log_tail(log: Path) -> str:
    """Read the last lines of a log file for an error message.

    Args:
        log: The file.

    Returns:
        The path and the last 15 lines.
    """
    lines = log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
    return f"The end of {log}:\n" + "\n".join(lines)
