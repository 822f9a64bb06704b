"""Supervisor, told what to keep running: its configuration, its process, and its answers."""

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

from deploy.local.components import ROOT, Part
from holdfast.core.errors import HoldfastError

START_SECONDS = 15
"""A process that ends sooner than this did not start; it is tried again, after 1 s, 2 s, ..."""
RETRIES = 3
_STOP_SECONDS = 8
_GROUP = "holdfast"

_DAEMON = """\
[supervisord]
nodaemon=true
silent=true
logfile={logs}/supervisord.log
logfile_maxbytes=5MB
logfile_backups=1
pidfile={folder}/supervisord.pid
strip_ansi=true

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
command={command}
directory={root}
autostart=false
autorestart={again}
startsecs={start}
startretries={retries}
stopsignal=TERM
stopasgroup=true
killasgroup=true
stopwaitsecs={stop}
redirect_stderr=true
stdout_logfile={logs}/{name}.log
stdout_logfile_maxbytes=10MB
stdout_logfile_backups=3
"""


class SupervisorError(HoldfastError):
    """Supervisor did not start, or has ended."""


@dataclass(frozen=True)
class Process:
    """A part as Supervisor has it. ``state`` is one of Supervisor's: STARTING, RUNNING, BACKOFF, EXITED, FATAL, ..."""

    state: str
    pid: int
    started: float
    status: int

    @property
    def runs(self) -> bool:
        """Whether there is a process now."""
        return self.state in ("STARTING", "RUNNING")


class Supervisor:
    """Supervisor for ``parts``, from entering the block to its end; nothing is started by itself."""

    def __init__(self, parts: list[Part], environment: Mapping[str, str], logs: Path) -> None:
        self._parts, self._environment, self._logs = parts, environment, logs
        # Not in the data folder: the path of a Unix socket may have about 100 characters.
        self._folder = Path(tempfile.mkdtemp(prefix="holdfast-"))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self._logs.mkdir(parents=True, exist_ok=True)
        file = self._folder / "supervisord.conf"
        file.write_text(configuration(self._parts, self._logs, self._folder))
        command = [sys.executable, "-m", "supervisor.supervisord", "--configuration", str(file)]
        said = self._folder / "said"
        with said.open("wb") as output:
            self._process = subprocess.Popen(
                command,
                cwd=ROOT,
                env=os.environ | self._environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,  # Ctrl-C is for this process, which ends the others in order
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

    def answers(self) -> bool:
        """Whether it takes orders already.

        Raises:
            SupervisorError: It has ended.
        """
        assert self._process is not None
        if self._process.poll() is not None:
            said = (self._folder / "said").read_text(errors="replace").strip()
            raise SupervisorError(
                f"Supervisor ended with status {self._process.returncode}, and with it everything else. "
                f"{said[-500:] or f'{self._logs}/supervisord.log says why.'}"
            )
        return (self._folder / "rpc.sock").exists()

    def start(self, part: Part) -> None:
        """Start a part; what becomes of it ``processes`` tells."""
        try:
            self._rpc().startProcess(f"{_GROUP}:{part.name}", False)
        except Fault as fault:
            raise SupervisorError(f"Supervisor does not start {part.name}: {fault.faultString}") from fault

    def processes(self) -> dict[str, Process]:
        """Every part by name."""
        found = cast(list[dict[str, Any]], self._rpc().getAllProcessInfo())
        return {
            item["name"]: Process(item["statename"], item["pid"], float(item["start"]), item["exitstatus"])
            for item in found
        }

    def _rpc(self) -> Any:
        from supervisor.xmlrpc import SupervisorTransport

        transport = SupervisorTransport(None, None, f"unix://{self._folder}/rpc.sock")
        return ServerProxy("http://127.0.0.1", transport=transport).supervisor


def configuration(parts: list[Part], logs: Path, folder: Path) -> str:
    """supervisord.conf. All parts are one group, so that all are told to end at the same time."""

    def plain(value: object) -> str:
        return str(value).replace("%", "%%")  # it expands %(...)s

    names = ",".join(part.name for part in parts)
    daemon = _DAEMON.format(logs=plain(logs), folder=plain(folder), group=_GROUP, programs=names)
    programs = [
        _PROGRAM.format(
            name=part.name,
            command=plain(part.command_line),
            root=plain(ROOT),
            again="false" if part.once else "true",
            start=0 if part.once else START_SECONDS,
            retries=RETRIES,
            stop=_STOP_SECONDS,
            logs=plain(logs),
        )
        for part in parts
    ]
    return daemon + "".join(programs)
