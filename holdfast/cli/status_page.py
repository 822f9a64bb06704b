"""Command `python -m holdfast status-page`: server of the status page."""

from typing import Annotated

import typer

from holdfast.models.registry_client import set_fail_fast_env

_LOOPBACK = ["127.0.0.1", "localhost", "[::1]"]


def status_page(
    host: Annotated[str, typer.Option(help="Address to listen on; any but loopback admits other machines.")] = (
        "127.0.0.1"
    ),
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8080,
) -> None:
    """Serve the status page until SIGTERM."""
    import uvicorn

    from holdfast.status_page.app import create_app

    set_fail_fast_env()
    hosts = _LOOPBACK if host in ("127.0.0.1", "localhost", "::1") else ["*"]
    uvicorn.run(create_app(hosts), host=host, port=port, log_level="warning")
