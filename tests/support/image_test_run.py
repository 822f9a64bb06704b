"""Run the tests marked ``image`` with Docker, or with an engine that is installed first: `make test-image`.

Where no engine can be installed, one line that begins with SKIPPED is printed and nothing is tested.
"""

import os
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from holdfast.container_image.engine import ContainerEngine
from tests.support import debian_engine, image_environment
from tests.support.main_job import ROOT

_STATE = "/var/tmp/holdfast-image"


def main() -> int:
    """Run the tests; returns the exit status of pytest, or 0 where nothing can be tested."""
    docker = ContainerEngine("docker")
    if docker.is_available():
        return _test(
            image_environment.ContainerEnvironment(docker, base_image=None, host_network=sys.platform == "linux")
        )
    if problem := debian_engine.installation_problem():
        print(f"SKIPPED make test-image: {problem}.", flush=True)
        return 0
    # The state stays for later runs: with base image and installed packages, a run takes half the time.
    state = Path(os.environ.get("HOLDFAST_IMAGE_STATE", _STATE)).resolve()
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    if state.stat().st_uid != os.geteuid():
        print(f"make test-image: {state} belongs to another user.", file=sys.stderr)
        return 1
    with FileLock(state / "lock"):
        engine = debian_engine.install_podman(state)
        return _test(
            image_environment.ContainerEnvironment(engine, debian_engine.build_base_image(engine), host_network=True)
        )


def _test(environment: image_environment.ContainerEnvironment) -> int:
    print(
        f"Engine: {environment.engine.name}; base image: {environment.base_image or 'that of bentofile.yaml'}",
        flush=True,
    )
    image_environment.current = environment
    return int(pytest.main(["-m", "image", str(ROOT / "tests" / "e2e" / "image"), *sys.argv[1:]]))
