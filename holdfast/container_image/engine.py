"""The container engine: Docker or podman, whichever answers."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from holdfast.core.errors import HoldfastError

ENGINES = ("docker", "podman")


class ContainerEngineError(HoldfastError):
    """No engine answers, or it did not do what it was asked for."""


@dataclass(frozen=True)
class ContainerEngine:
    """A container engine's command; ``environment`` is set on top of this process's."""

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def is_available(self) -> bool:
        """Whether the command is there and, where it needs one, its daemon."""
        if shutil.which(self.name) is None:
            return False
        try:
            return self._run("info", timeout=60).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def run(self, *arguments: str, timeout: float = 600) -> str:
        """What the engine prints.

        Raises:
            EngineError: It ended with another status than 0; holds what it said.
        """
        done = self._run(*arguments, timeout=timeout)
        if done.returncode != 0:
            said = (done.stderr or done.stdout).strip()
            raise ContainerEngineError(
                f"{self.name} {arguments[0]} ended with status {done.returncode}: {said[-2000:]}"
            )
        return done.stdout

    def export_files(self, image: str) -> Iterator[tarfile.TarInfo]:
        """Every file of the image as a container would see it, asked of the engine and not of the image."""
        container = self.run("create", image).strip()
        try:
            command = [self.name, "export", container]
            with subprocess.Popen(command, env=os.environ | dict(self.environment), stdout=subprocess.PIPE) as export:
                assert export.stdout is not None
                with tarfile.open(fileobj=export.stdout, mode="r|") as archive:
                    yield from archive
        except tarfile.ReadError as error:
            raise ContainerEngineError(f"{self.name} export of {image} gave no archive: {error}") from error
        finally:
            self.run("rm", "--force", container)

    def _run(self, *arguments: str, timeout: float) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [self.name, *arguments],
            env=os.environ | dict(self.environment),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
            timeout=timeout,
        )


def find_engine(wanted: str | None = None) -> ContainerEngine:
    """The engine called ``wanted``, else the first of ``ENGINES`` that answers.

    Raises:
        EngineError: None answers.
    """
    names = [wanted] if wanted else list(ENGINES)
    for name in names:
        if (engine := ContainerEngine(name)).is_available():
            return engine
    raise ContainerEngineError(
        f"No container engine answers (asked: {', '.join(names)}). Install Docker or podman and start it; "
        "ENGINE=docker or ENGINE=podman chooses one."
    )
