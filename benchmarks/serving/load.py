"""Load: a number of connections, each sending its next request as soon as it has the answer to the last."""

import json
import resource
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from holdfast.core.errors import HoldfastError

_LUA = Path(__file__).with_name("load.lua")
_ROOT = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Load:
    """What one measurement found; ``cpu_seconds`` is what the generator itself used."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_seconds: float = 0.0

    @property
    def requests_per_second(self) -> float:
        """Answers by time, bad ones included."""
        return self.requests / self.seconds


class LoadError(HoldfastError):
    """The generator itself failed."""


def generator_name() -> str:
    """wrk where it is installed; it costs a tenth of the CPU of the one in Python."""
    return "wrk" if shutil.which("wrk") else "python"


def send_load(
    url: str, bodies: Path, connections: int, seconds: int, first: int = 0, generator: str | None = None
) -> Load:
    """POST the bodies, one per line of the file, to ``url`` for whole seconds, beginning with body ``first``.

    Raises:
        LoadError: The generator failed, or nothing was answered at all.
    """
    make = _wrk if (generator or generator_name()) == "wrk" else _python
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = make(url, bodies, connections, seconds, first)
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise LoadError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if found["requests"] == 0:
        raise LoadError(f"No answer from {url} in {seconds} s.")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Load(**found, cpu_seconds=cpu)


def _wrk(url: str, bodies: Path, connections: int, seconds: int, first: int) -> list[str]:
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(_LUA)]
    return ["wrk", *options, url, "--", str(bodies), str(first)]


def _python(url: str, bodies: Path, connections: int, seconds: int, first: int) -> list[str]:
    options = [url, str(bodies), str(connections), str(seconds), str(first)]
    return [sys.executable, "-m", "benchmarks.serving.python_load", *options]
