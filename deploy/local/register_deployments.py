"""Registration of the work pool and the deployments of prefect.yaml at a running Prefect server."""

import subprocess
import sys

from prefect.client.orchestration import get_client
from prefect.exceptions import ObjectNotFound

from deploy.local.components import POOL, ROOT, venv_command


def main() -> int:
    """Create the work pool if it is missing, and register all deployments; returns the exit status."""
    with get_client(sync_client=True) as client:
        try:
            client.read_work_pool(POOL)
        except ObjectNotFound:
            if status := _prefect("work-pool", "create", POOL, "--type", "process"):
                return status
    return _prefect("--no-prompt", "deploy", "--all")


def _prefect(*arguments: str) -> int:
    return subprocess.run(
        venv_command("prefect", *arguments), cwd=ROOT, stdin=subprocess.DEVNULL, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
