"""`make test-image`: finds or makes a container engine, then runs the tests that are marked ``image``.

A machine that can have no engine is told so in one line that begins with SKIPPED; nothing is tested there.
"""

import os
import sys
from pathlib import Path

import pytest
from filelock import FileLock

from holdfast.container_image.engine import ContainerEngine
from tests.support import debian_engine, image_environment

_STATE = "/var/tmp/holdfast-image"


def main() -> int:
    """The exit status of pytest, or 0 where nothing can be tested."""
    docker = ContainerEngine("docker")
    if docker.is_available():
        return _test(image_environment.Prepared(docker, base_image=None, host_network=sys.platform == "linux"))
    if why := debian_engine.missing():
        print(f"SKIPPED make test-image: {why}.", flush=True)
        return 0
    # Kept from run to run: with the base image and the installed packages, a run takes half the time. One at a time.
    state = Path(os.environ.get("HOLDFAST_IMAGE_STATE", _STATE)).resolve()
    state.mkdir(mode=0o700, parents=True, exist_ok=True)
    if state.stat().st_uid != os.geteuid():
        print(f"make test-image: {state} belongs to another user.", file=sys.stderr)
        return 1
    with FileLock(state / "lock"):
        engine = debian_engine.podman(state)
        return _test(image_environment.Prepared(engine, debian_engine.base_image(engine), host_network=True))


def _test(ready: image_environment.Prepared) -> int:
    print(f"Engine: {ready.engine.name}; base image: {ready.base_image or 'the one of bentofile.yaml'}", flush=True)
    image_environment.now = ready
    return int(pytest.main(["-m", "image", str(Path(__file__).parent), *sys.argv[1:]]))


if __name__ == "__main__":
    sys.exit(main())
