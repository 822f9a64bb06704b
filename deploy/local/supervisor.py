"""Supervisor (supervisord): configuration, process and RPC interface."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast
from xmlrpc.client import Fault, ServerProxy

from deploy.local.components import ROOT, Component
from feature_repo.private_files import UMASK
from holdfast.core.errors import HoldfastError

# A process that ends within this time has not started; Supervisor tries again after 1 s, 2 s, ...
_START_SECONDS = 15
RETRIES = 3
_STOP_SECONDS = 8
_GROUP = "holdfast"
_UMASK = f"{UMASK:03o}"

_DAEMON = """\
[supervisord]
nodaemon=true
silent=true
logfile={folder}/logs/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile={folder}/supervisord.pid
strip_ansi=true
umask={umask}

[unix_http_server]
file={folder}/rpc.sock
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface

[group:{group}]
programs={programs}
"""
_PROGRAM = """
[program:{name}]
command=/bin/sh {folder}/{name}.sh
directory={folder}/root
autostart=false
autorestart={restart}
startsecs={start}
startretries={retries}
stopsignal=TERM
stopasgroup=true
killasgroup=true
stopwaitsecs={stop}
redirect_stderr=true
stdout_logfile={folder}/logs/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
umask={umask}
"""


class SupervisorError(HoldfastError):
    """Supervisor did not start, or has ended."""


@dataclass(frozen=True)
class SupervisedProcess:
    """Process of a component.

    Attributes:
        state: State in Supervisor: STARTING, RUNNING, BACKOFF, EXITED, FATAL, ...
        pid: Process id; 0: there is no process.
        started: Unix time of the start.
    """

    state: str
    pid: int
    started: float
    exit_status: int

    @property
    def is_running(self) -> bool:
        """Return True while there is a process."""
        return self.state in ("STARTING", "RUNNING")


class Supervisor:
    """Supervisor for the duration of a ``with`` block. Components are started by :meth:`start` only.

    Args:
        components: All components.
        environment: Additional environment variables of the components.
        logs: Folder of the components' logs.
    """

    def __init__(self, components: list[Component], environment: Mapping[str, str], logs: Path) -> None:
        self._components, self._environment, self._logs = components, environment, logs
        # Not in the data folder: the path of a Unix socket may have about 100 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-"))
        self._output = self._folder / "output"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        file = self._folder / "supervisord.conf"
        file.write_text(supervisor_configuration(self._components, self._folder))
        # supervisord.conf has no way to write "; " or "# ": paths and commands with any characters are in other files.
        (self._folder / "logs").symlink_to(self._logs.resolve())
        (self._folder / "root").symlink_to(ROOT)
        for component in self._components:
            (self._folder / f"{component.name}.sh").write_text(f"exec {component.command_line}\n")
        command = [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(file)]
        with self._output.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C signals this process only, which ends the others in order
            )
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        if self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(_STOP_SECONDS + 4)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def is_ready(self) -> bool:
        """Check whether the RPC interface is available.

        Returns:
            True once other methods can be called.

        Raises:
            SupervisorError: Supervisor has ended.
        """
        assert self._process is not None
        if self._process.poll() is not None:
            output = self._output.read_text(errors="replace").strip()
            raise SupervisorError(
                f"Supervisor ended with status {self._process.returncode}, and with it all components. "
                f"{output[-500:] or f'See {self._logs}/supervisord.log.'}"
            )
        return (self._folder / "rpc.sock").exists()

    def start(self, component: Component) -> None:
        """Start a component without waiting for it; see :meth:`processes` for its state.

        Args:
            component: One of the components of this Supervisor.

        Raises:
            SupervisorError: Supervisor refuses.
        """
        try:
            self._rpc().startProcess(f"{_GROUP}:{component.name}", False)
        except Fault as fault:
            raise SupervisorError(f"Supervisor does not start {component.name}: {fault.faultString}") from fault

    def processes(self) -> dict[str, SupervisedProcess]:
        """Read the state of all processes.

        Returns:
            Name of the component to its process.
        """
        found = cast(list[dict[str, Any]], self._rpc().getAllProcessInfo())
        return {
            item["name"]: SupervisedProcess(item["statename"], item["pid"], float(item["start"]), item["exitstatus"])
            for item in found
        }

    def _rpc(self) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self._folder}/rpc.sock")
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor


def supervisor_configuration(components: list[Component], folder: Path) -> str:
    """Render supervisord.conf. All components are in one group, so that all end at the same time.

    Args:
        components: All components.
        folder: Folder of Supervisor's socket and process id, links to logs and checkout, and a shell script
            per component.

    Returns:
        The configuration.
    """

    def escape(value: object) -> str:
        return str(value).replace("%", "%%")  # Supervisor expands %(...)s

    names = ",".join(component.name for component in components)
    daemon = _DAEMON.format(folder=escape(folder), group=_GROUP, programs=names, umask=_UMASK)
    programs = [
        _PROGRAM.format(
            name=component.name,
            folder=escape(folder),
            restart="false" if component.one_shot else "true",
            start=0 if component.one_shot else _START_SECONDS,
            retries=RETRIES,
            stop=_STOP_SECONDS,
            umask=_UMASK,
        )
        for component in components
    ]
    return daemon + "".join(programs)
