"""Tells a running Prefect server about the work pool and the deployments of prefect.yaml."""

import os
import subprocess
import sys

import httpx

from deploy.local.components import POOL, ROOT, venv_command


def main() -> int:
    """Create the pool if it is not there, and deploy everything; the exit status of what failed, or 0."""
    api = os.environ["PREFECT_API_URL"]
    missing = httpx.get(f"{api}/work_pools/{POOL}", timeout=30).status_code == httpx.codes.NOT_FOUND
    if missing and (status := _prefect("work-pool", "create", POOL, "--type", "process")):
        return status
    return _prefect("--no-prompt", "deploy", "--all")


def _prefect(*arguments: str) -> int:
    return subprocess.run(
        venv_command("prefect", *arguments), cwd=ROOT, stdin=subprocess.DEVNULL, check=False
    ).returncode


if __name__ == "__main__":
    sys.exit(main())
