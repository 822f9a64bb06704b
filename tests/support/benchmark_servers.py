"""Small HTTP servers of the benchmark tests."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.serving.processes import BenchmarkProcess


@dataclass(frozen=True)
class SmallServer:
    """Running server of `tests.support.small_server`, and its log of request bodies."""

    url: str
    process: BenchmarkProcess
    log: Path

    @property
    def bodies(self) -> list[str]:
        """Return the received request bodies."""
        return self.log.read_text().splitlines()


StartServer = Callable[..., SmallServer]
