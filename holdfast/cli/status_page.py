"""Command `python -m holdfast status-page`: server of the status page."""

import sys
from typing import Annotated

import typer

from feature_repo.settings import Settings
from holdfast.core.host_check import is_loopback
from holdfast.core.secret_files import ensure_secret_file
from holdfast.models.registry_client import set_fail_fast_env
from holdfast.runtime.endpoints import EndpointSettings

_USER = "holdfast:"


def status_page(
    host: Annotated[
        str, typer.Option(help="Address to listen on; any but loopback admits other machines, with a password.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port to listen on.")] = 8080,
) -> None:
    """Serve the status page until SIGTERM."""
    import uvicorn

    from holdfast.status_page.app import create_app

    set_fail_fast_env()
    password = ""
    if not is_loopback(host):
        file = Settings.from_environment().data / "local" / "status-password"
        password = ensure_secret_file(file, _USER)
        sys.stderr.write(f"The status page needs the user and the password in {file}.\n")
    app = create_app(EndpointSettings.from_environment().host_names, password=password)
    uvicorn.run(app, host=host, port=port, log_level="warning")
