"""Server of the status page: `python -m holdfast.status_page`."""

import argparse

import uvicorn

from feature_repo.settings import apply_environment
from holdfast.models.registry_client import set_fail_fast_env
from holdfast.status_page.app import create_app

_LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]


def main() -> None:
    """Serve until SIGTERM; to other machines only if ``--host`` is not a loopback address."""
    parser = argparse.ArgumentParser(prog="python -m holdfast.status_page", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8080)
    options = parser.parse_args()
    apply_environment()
    set_fail_fast_env()
    hosts = _LOOPBACK if options.host in ("127.0.0.1", "localhost", "::1") else ["*"]
    uvicorn.run(create_app(hosts), host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
