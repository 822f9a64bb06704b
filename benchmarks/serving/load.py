"""Closed-loop load: connections that send the next request when the response has arrived."""

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
class LoadResult:
    """Result of one load; ``cpu_seconds`` is the CPU time of the generator."""

    requests: int
    seconds: float
    p50_ms: float
    p99_ms: float
    errors: int
    cpu_seconds: float = 0.0

    @property
    def requests_per_second(self) -> float:
        """Return responses per second, including errors."""
        return self.requests / self.seconds


class LoadError(HoldfastError):
    """The load generator failed."""


def generator_name() -> str:
    """Return the default generator: wrk where installed, which needs a tenth of the CPU of the one in Python.

    Returns:
        "wrk" or "python".
    """
    return "wrk" if shutil.which("wrk") else "python"


def send_load(
    url: str, bodies: Path, connections: int, seconds: int, first: int = 0, generator: str | None = None
) -> LoadResult:
    """Send requests with a load generator.

    Args:
        url: Address of the POST requests.
        bodies: File with request bodies, one per line, which are used in turn.
        connections: Number of connections.
        seconds: Duration.
        first: Number of the first body.
        generator: Name of the generator; None: the default.

    Returns:
        The result.

    Raises:
        LoadError: The generator failed, or there was no response.
    """
    build_command = _wrk if (generator or generator_name()) == "wrk" else _python
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    command = build_command(url, bodies, connections, seconds, first)
    done = subprocess.run(command, cwd=_ROOT, capture_output=True, text=True, check=False)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode != 0:
        raise LoadError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()[-500:]}")
    found = json.loads(done.stdout.strip().splitlines()[-1])
    if found["requests"] == 0:
        raise LoadError(f"No response from {url} in {seconds} s.")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return LoadResult(**found, cpu_seconds=cpu)


def _wrk(url: str, bodies: Path, connections: int, seconds: int, first: int) -> list[str]:
    options = ["-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(_LUA)]
    return ["wrk", *options, url, "--", str(bodies), str(first)]


def _python(url: str, bodies: Path, connections: int, seconds: int, first: int) -> list[str]:
    options = [url, str(bodies), str(connections), str(seconds), str(first)]
    return [sys.executable, "-m", "benchmarks.serving.python_load", *options]
