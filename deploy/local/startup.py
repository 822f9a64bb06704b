"""Starts the parts in order, and tells a person what becomes of each."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import httpx

from deploy.local.components import POOL, WORKER, Part
from deploy.local.supervisor import RETRIES, Process, Supervisor

_LOG_LINES = 12
_CHARACTERS = 300


@dataclass
class _Known:
    """What has been told of a part. ``process``: its number when last seen; ``waits``: as its log says."""

    process: int = 0
    started: bool = False
    ready: bool = False
    waits: bool = False
    failed: bool = False


class Watch:
    """Call :meth:`look` again and again; it never waits for a part."""

    def __init__(
        self, parts: list[Part], supervisor: Supervisor, logs: Path, prefect_api: str, tell: Callable[[str], None]
    ) -> None:
        self._parts, self._supervisor, self._logs, self._tell = parts, supervisor, logs, tell
        self._known = {part.name: _Known() for part in parts}
        self._width = max(len(part.name) for part in parts)
        self._http = httpx.Client(timeout=3, follow_redirects=True, trust_env=False)
        self._workers = f"{prefect_api}/work_pools/{POOL}/workers/filter"

    @property
    def settled(self) -> bool:
        """Whether every part is there, or waits for something, or has been given up."""
        return all(known.ready or known.waits or known.failed for known in self._known.values())

    def look(self) -> None:
        """Start what can be started, and tell what is new."""
        processes = self._supervisor.processes()
        for part in self._parts:
            known = self._known[part.name]
            if known.started:
                self._follow(part, known, processes[part.name])
            elif all(self._known[name].ready for name in part.needs):
                self._supervisor.start(part)
                known.started = True
            elif lost := [name for name in part.needs if self._known[name].failed]:
                known.started = known.failed = True
                self._say(part, f"is not started, for it needs {', '.join(lost)}")

    def close(self) -> None:
        """Ask no more."""
        self._http.close()

    def _follow(self, part: Part, known: _Known, process: Process) -> None:
        if known.failed:
            known.failed = not process.runs  # a person has started it again
        elif process.state == "FATAL" or (part.once and process.state == "EXITED" and process.status != 0):
            known.ready, known.failed = False, True
            tried = "" if part.once else f" {RETRIES + 1} times; it is not started any more"
            self._say(part, f"ended{tried}. The last lines of {self._logs / part.name}.log:\n{self._last_lines(part)}")
        elif part.once and process.state == "EXITED" and not known.ready:
            known.ready = True
            self._say(part, "done")
        elif not part.once:
            self._follow_server(part, known, process)

    def _follow_server(self, part: Part, known: _Known, process: Process) -> None:
        if not process.runs:
            return
        if known.process and process.pid != known.process:
            known.ready = False
            self._say(part, f"had ended, and is started again ({self._logs / part.name}.log says why)")
        known.process = process.pid
        if not known.ready and self._is_there(part, process):
            known.ready = True
            known.waits = False
            self._say(part, part.page or "ready")
        elif not known.ready and not known.waits and part.waits and part.waits in self._last_lines(part, 1):
            known.waits = True
            self._say(part, f"{part.waits}; it will be at {part.page} as soon as there is one")

    def _is_there(self, part: Part, process: Process) -> bool:
        try:
            if part.health is not None:
                return self._http.get(part.health).status_code < 400
            found = self._http.post(self._workers, json={}).json()
            beats = [worker["last_heartbeat_time"] for worker in found if worker["name"] == WORKER]
            return any(datetime.fromisoformat(beat).timestamp() >= process.started for beat in beats)
        except (httpx.HTTPError, ValueError, TypeError, KeyError):
            return False

    def _last_lines(self, part: Part, count: int = _LOG_LINES) -> str:
        try:
            lines = (self._logs / f"{part.name}.log").read_text(errors="replace").splitlines()
        except OSError:
            lines = ["(there is no log)"]
        return "\n".join(f"    {line[:_CHARACTERS]}" for line in lines[-count:])

    def _say(self, part: Part, what: str) -> None:
        self._tell(f"{part.name:<{self._width}}  {what}")
