"""Containers of a test: run as docs/container.md says, asked over HTTP, and removed with the block."""

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

from tests.support.image_environment import Prepared
from tests.support.server_processes import free_port

# docs/container.md tells users to run it with these; a test holds the two equal.
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
    """One that runs."""

    prepared: Prepared
    name: str
    url: str

    def python(self, code: str) -> str:
        """What ``code`` prints when run inside, as the service's user."""
        return self.prepared.engine.run("exec", self.name, "python", "-c", code, timeout=60)

    def state(self) -> dict[str, Any]:
        """What the engine says of it."""
        return dict(json.loads(self.prepared.engine.run("inspect", "--type=container", self.name))[0]["State"])

    def log(self) -> str:
        """What the service has printed."""
        engine = self.prepared.engine
        return subprocess.run(
            [engine.name, "logs", self.name],
            env=os.environ | dict(engine.environment),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=60,
        ).stdout

    def get(self, path: str) -> httpx.Response | None:
        """The answer; None where there is none."""
        try:
            return httpx.get(f"{self.url}{path}", timeout=10)
        except httpx.TransportError:
            return None

    def ready_after(self, within: float = 90) -> float:
        """Seconds until /readyz answered 200."""
        start = time.monotonic()
        while (answer := self.get("/readyz")) is None or answer.status_code != 200:
            assert self.state()["Running"], f"it ended before it was ready:\n{self.log()}"
            assert time.monotonic() - start < within, f"not ready ({answer and answer.text}):\n{self.log()}"
            time.sleep(0.1)
        return time.monotonic() - start


@contextmanager
def running(
    prepared: Prepared, image: str, data: Path | None, predictions: str | None = None, **variables: str
) -> Iterator[Container]:
    """A hardened container of ``image`` with the feature registry and the online store of ``data``, read-only.

    ``predictions`` is the volume for what it has served.
    """
    name = f"holdfast-test-{uuid4().hex[:12]}"
    port = free_port()
    options = list(HARDENED)
    if data:
        options.append(f"--volume={data / 'feast'}:/data/feast:ro")
    if predictions:
        options.append(f"--volume={predictions}:/data/predictions")
    if prepared.engine.name == "podman":
        options.append("--read-only-tmpfs=false")  # podman's own idea; Docker has none
    if prepared.host_network:
        options.append("--network=host")
        variables |= {"BENTOML_HOST": "127.0.0.1", "BENTOML_PORT": str(port)}
    else:
        options.append(f"--publish=127.0.0.1:{port}:3000")
    options += [f"--env={key}={value}" for key, value in variables.items()]
    prepared.engine.run("run", "--detach", "--name", name, *options, image)
    try:
        yield Container(prepared, name, f"http://127.0.0.1:{port}")
    finally:
        prepared.engine.run("rm", "--force", name)
