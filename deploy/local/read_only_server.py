"""Pages of MLflow, Feast and Evidently that show the state and change nothing.

Flows write to the stores directly. Over HTTP each of the three would let any caller move aliases, change the feature
registry or delete reports, and none of them asks who the caller is.
"""

import argparse
import os
import re
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from deploy.local.frame_protection import FrameProtection
from feature_repo.settings import Settings
from holdfast.core.host_check import LOOPBACK_NAMES, HostCheck

_READS = ("GET", "HEAD")
# MLflow's pages search by POST.
_MLFLOW_SEARCH = re.compile(r"/(ajax-)?api/[23]\.0/mlflow/[a-z/-]+/search(-datasets)?|/graphql")


class ReadOnly:
    """ASGI application that refuses changes, web sockets, and requests of pages of other origins.

    Args:
        app: Application behind.
        searches: Paths of POST requests that only read.
    """

    def __init__(self, app: ASGIApp, searches: re.Pattern[str] | None = None) -> None:
        self._app, self._searches = app, searches

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request (ASGI)."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http" and not self._is_allowed(scope):
            text = "This page shows the state and changes nothing; use the commands of flows/ or the tool's own."
            await JSONResponse({"error_code": "PERMISSION_DENIED", "message": text}, 403)(scope, receive, send)
        else:
            await self._app(scope, receive, send)

    def _is_allowed(self, scope: Scope) -> bool:
        headers = Headers(scope=scope)
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != headers.get("host"):
            return False
        is_search = scope["method"] == "POST" and self._searches and self._searches.fullmatch(scope["path"])
        return scope["method"] in _READS or bool(is_search)


def protect(app: ASGIApp, searches: re.Pattern[str] | None = None) -> ASGIApp:
    """Put an application behind the checks of its pages.

    Args:
        app: Application.
        searches: Paths of POST requests that only read.

    Returns:
        The application behind the checks.
    """
    return FrameProtection(ReadOnly(app, searches))


def create_app(name: str) -> ASGIApp:
    """Create the pages of a tool behind the checks.

    Args:
        name: Name of the component.

    Returns:
        The application.
    """
    app = _APPS[name](Settings.from_environment())
    return HostCheck(protect(app, _MLFLOW_SEARCH if name == "mlflow" else None), LOOPBACK_NAMES)


def _mlflow(settings: Settings) -> Any:
    from mlflow.server import constants

    # As `mlflow server` sets them for its processes.
    os.environ[constants.BACKEND_STORE_URI_ENV_VAR] = settings.mlflow_tracking_uri
    os.environ[constants.ARTIFACT_ROOT_ENV_VAR] = "mlflow-artifacts:/"
    os.environ[constants.SERVE_ARTIFACTS_ENV_VAR] = "true"
    os.environ[constants.ARTIFACTS_DESTINATION_ENV_VAR] = (settings.mlflow / "artifacts").as_uri()
    from mlflow.server.fastapi_app import app

    return app


def _feast(_settings: Settings) -> Any:
    from holdfast.feast_stores.open_store import open_store

    store = open_store()
    from feast.ui_server import get_app

    return get_app(store, store.project, "", cors_origins=[])


def _evidently(settings: Settings) -> Any:
    from evidently.ui.service.app import create_app as create_evidently_app
    from evidently.ui.service.app import get_config

    return create_evidently_app(get_config(workspace=str(settings.evidently)))


_APPS: dict[str, Callable[[Settings], Any]] = {"mlflow": _mlflow, "feast": _feast, "evidently": _evidently}


def main() -> None:
    """Serve until SIGTERM."""
    import uvicorn

    parser = argparse.ArgumentParser(prog="python -m deploy.local.read_only_server", description=__doc__)
    parser.add_argument("name", choices=_APPS)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, required=True)
    options = parser.parse_args()
    uvicorn.run(create_app(options.name), host=options.host, port=options.port, log_level="warning")


if __name__ == "__main__":
    main()
