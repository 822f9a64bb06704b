"""Containers of tests, run with the options of docs/container.md."""

import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx

from holdfast.runtime.processes import free_port
from tests.support.image_environment import ContainerEnvironment

# The options of docs/container.md; a test compares both.
HARDENED = [
    "--read-only",
    "--tmpfs=/tmp:rw,noexec,nosuid,nodev,size=64m",
    "--cap-drop=all",
    "--security-opt=no-new-privileges",
    "--memory=512m",
    "--pids-limit=256",
]


@dataclass(frozen=True)
class Container:
    """Running container."""

    environment: ContainerEnvironment
    name: str
    url: str

    def python(self, code: str) -> str:
        """Run code in the container as the service's user; returns the output."""
        return self.environment.engine.run("exec", self.name, "python", "-c", code, timeout=60)

    def state(self) -> dict[str, Any]:
        """Read the state from the engine."""
        return dict(json.loads(self.environment.engine.run("inspect", "--type=container", self.name))[0]["State"])

    def log(self) -> str:
        """Read the log of the service."""
        engine = self.environment.engine
        return subprocess.run(
            [engine.name, "logs", self.name],
            env=os.environ | dict(engine.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        ).stdout

    def get(self, path: str) -> httpx.Response | None:
        """Send a GET request; returns None without a response."""
        try:
            return httpx.get(f"{self.url}{path}", timeout=10)
        except httpx.TransportError:
            return None

    def wait_until_ready(self, within: float = 90) -> float:
        """Wait until /readyz responds with 200; returns the seconds."""
        start = time.monotonic()
        while (response := self.get("/readyz")) is None or response.status_code != 200:
            assert self.state()["Running"], f"the container ended before it was ready:\n{self.log()}"
            assert time.monotonic() - start < within, f"not ready ({response and response.text}):\n{self.log()}"
            time.sleep(0.1)
        return time.monotonic() - start


@contextmanager
def running_container(
    environment: ContainerEnvironment, image: str, data: Path | None, predictions: str | None = None, **variables: str
) -> Iterator[Container]:
    """Run a hardened container of ``image`` for the block.

    The feature registry and the online store of ``data`` are mounted read-only; ``predictions`` is the volume of the
    prediction log.
    """
    name = f"holdfast-test-{uuid4().hex[:12]}"
    port = free_port()
    options = list(HARDENED)
    if data:
        options.append(f"--volume={data / 'feast'}:/data/feast:ro")
        options.append(f"--group-add={(data / 'feast').stat().st_gid}")  # its files are readable by their group only
    if predictions:
        options.append(f"--volume={predictions}:/data/predictions")
    if environment.engine.name == "podman":
        options.append("--read-only-tmpfs=false")  # podman mounts writable folders; Docker does not
    if environment.host_network:
        options.append("--network=host")
        variables |= {"BENTOML_HOST": "127.0.0.1", "BENTOML_PORT": str(port)}
    else:
        options.append(f"--publish=127.0.0.1:{port}:3000")
    variables = {"HOLDFAST_KEYLESS": "loopback"} | variables
    options += [f"--env={key}={value}" for key, value in variables.items()]
    environment.engine.run("run", "--detach", "--name", name, *options, image)
    try:
        yield Container(environment, name, f"http://127.0.0.1:{port}")
    finally:
        environment.engine.run("rm", "--force", name)
