"""Prefect's server with a check of the host name, no display in frames, and a page that signs a browser in."""

import argparse
import base64
import hashlib

from starlette.responses import HTMLResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.local.frame_protection import FrameProtection
from feature_repo.store_addresses import describe_database_protection, require_protected
from holdfast.core.host_check import LOOPBACK_NAMES, HostCheck

SIGN_IN_PATH = "/sign-in"
# Where Prefect's UI stores the password; a contract test compares the name with the UI's files.
STORAGE_KEY = "prefect-password"
# The part of a URL after "#" is sent to no server, and the script removes it from the browser's address bar. A wrong
# password, which any web page could link to, does not replace the stored one.
_SCRIPT = f"""
const password = btoa(decodeURIComponent(location.hash.slice(1)));
history.replaceState(null, "", "{SIGN_IN_PATH}");
fetch("/api/admin/version", {{headers: {{Authorization: "Basic " + password}}}}).then(response => {{
  if (response.ok) localStorage.setItem("{STORAGE_KEY}", password);
  location.replace("/");
}});
"""
_SIGN_IN_PAGE = f"<!doctype html><title>Prefect</title><p>Opening Prefect</p><script>{_SCRIPT}</script>"
_SCRIPT_HASH = base64.b64encode(hashlib.sha256(_SCRIPT.encode()).digest()).decode()
_PAGE_HEADERS = {
    "Content-Security-Policy": f"default-src 'none'; script-src 'sha256-{_SCRIPT_HASH}'; connect-src 'self'",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


class PrefectPages:
    """ASGI application: Prefect's server and the page that signs a browser in.

    Args:
        app: Prefect's server.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request (ASGI)."""
        if scope["type"] == "http" and scope["path"] == SIGN_IN_PATH:
            await HTMLResponse(_SIGN_IN_PAGE, headers=_PAGE_HEADERS)(scope, receive, send)
        else:
            await self._app(scope, receive, send)


def create_app() -> ASGIApp:
    """Create Prefect's server behind the checks, with the settings of the environment.

    Returns:
        The application.
    """
    from prefect.server.api.server import create_app as create_prefect_app

    return HostCheck(FrameProtection(PrefectPages(create_prefect_app(final=True))), LOOPBACK_NAMES)


def main() -> None:
    """Serve until SIGTERM."""
    import uvicorn
    from prefect.settings import get_current_settings

    parser = argparse.ArgumentParser(prog="python -m deploy.local.prefect_server", description=__doc__)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=4200)
    options = parser.parse_args()
    server = get_current_settings().server
    database = server.database.connection_url
    if database is not None:  # from a profile, too
        require_protected(describe_database_protection(database.get_secret_value()), "The database of Prefect")
    uvicorn.run(
        create_app(),
        host=options.host,
        port=options.port,
        timeout_keep_alive=server.api.keepalive_timeout,
        log_level=server.logging_level.lower(),
    )


if __name__ == "__main__":
    main()
