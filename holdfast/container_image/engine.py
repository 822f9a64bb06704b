"""Container engine: Docker or podman."""

import os
import shutil
import subprocess
import tarfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from holdfast.core.errors import HoldfastError

_ENGINES = ("docker", "podman")


class ContainerEngineError(HoldfastError):
    """No container engine is available, or a command of the engine failed."""


@dataclass(frozen=True)
class ContainerEngine:
    """Command of a container engine.

    Attributes:
        name: docker or podman.
        environment: Variables in addition to those of this process.
    """

    name: str
    environment: Mapping[str, str] = field(default_factory=dict)

    def is_available(self) -> bool:
        """Check whether the command exists and its daemon, if it needs one, responds.

        Returns:
            True if the engine can be used.
        """
        if shutil.which(self.name) is None:
            return False
        try:
            return self._run("info", timeout=60).returncode == 0
        except subprocess.TimeoutExpired:
            return False

    def run(self, *arguments: str, timeout: float = 600) -> str:
        """Run a command of the engine.

        Args:
            arguments: Command and arguments.
            timeout: Seconds until the command is killed.

        Returns:
            Its standard output.

        Raises:
            ContainerEngineError: The command ended with another status than 0; with the end of its output.
        """
        completed = self._run(*arguments, timeout=timeout)
        if completed.returncode != 0:
            output = (completed.stderr or completed.stdout).strip()
            raise ContainerEngineError(
                f"{self.name} {arguments[0]} ended with status {completed.returncode}: {output[-2000:]}"
            )
        return completed.stdout

    def export_files(self, image: str) -> Iterator[tarfile.TarInfo]:
        """List the files of an image as a container has them; no code of the image is run.

        Args:
            image: name:tag of the image.

        Yields:
            The files.

        Raises:
            ContainerEngineError: The engine exported no archive.
        """
        container = self.run("create", image).strip()
        try:
            command = [self.name, "export", container]
            with subprocess.Popen(command, env=os.environ | dict(self.environment), stdout=subprocess.PIPE) as export:
                assert export.stdout is not None
                with tarfile.open(fileobj=export.stdout, mode="r|") as archive:
                    yield from archive
        except tarfile.ReadError as error:
            raise ContainerEngineError(f"{self.name} export of {image} is no archive: {error}") from error
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


def find_engine(name: str | None = None) -> ContainerEngine:
    """Find an available container engine.

    Args:
        name: docker or podman; the first available one for None.

    Returns:
        The engine.

    Raises:
        ContainerEngineError: None is available.
    """
    names = [name] if name else list(_ENGINES)
    for candidate in names:
        if (engine := ContainerEngine(candidate)).is_available():
            return engine
    raise ContainerEngineError(
        f"No container engine responds (tried: {', '.join(names)}). Install Docker or podman and start it; "
        "ENGINE=docker or ENGINE=podman selects one."
    )
