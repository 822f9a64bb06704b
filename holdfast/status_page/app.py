"""Web application: the status page, the same state as JSON, and the runbook."""

from collections.abc import Callable, Iterable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from holdfast.core.formatting import format_count, format_minute
from holdfast.core.host_check import LOOPBACK_NAMES, HostCheck
from holdfast.status_page import filters
from holdfast.status_page.basic_auth import BasicAuth
from holdfast.status_page.runbook import render_runbook
from holdfast.status_page.system_status import CachedStatus, SystemStatus

_FOLDER = Path(__file__).resolve().parent
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}


def create_app(
    hosts: Iterable[str] = (), load: Callable[[], SystemStatus] | None = None, password: str = ""
) -> ASGIApp:
    """Create the web application.

    Args:
        hosts: Names that the header ``Host`` may have, besides those of this machine and its addresses.
        load: Returns the system state; by default one that is cached for a few seconds.
        password: ``user:password`` that all pages need; "": none.

    Returns:
        The application.
    """
    load = load or CachedStatus()
    templates = Environment(
        loader=FileSystemLoader(_FOLDER),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    templates.globals.update(
        format_minute=format_minute,
        format_age=filters.format_age,
        format_duration=filters.format_duration,
        safe_link=filters.safe_link,
        format_number=filters.format_number,
        format_count=format_count,
    )

    def page(_request: Request) -> Response:
        html = templates.get_template("page.html.j2").render(status=load())
        return HTMLResponse(html, headers=_HEADERS)

    def state(_request: Request) -> Response:
        return Response(load().model_dump_json(indent=2), media_type="application/json", headers=_HEADERS)

    def runbook(_request: Request) -> Response:
        try:
            text = render_runbook()
        except OSError as error:
            return PlainTextResponse(f"The runbook cannot be read: {error}", 404, headers=_HEADERS)
        return HTMLResponse(templates.get_template("runbook.html.j2").render(text=text), headers=_HEADERS)

    def style(_request: Request) -> Response:
        return Response((_FOLDER / "style.css").read_text(), media_type="text/css", headers=_HEADERS)

    def health(_request: Request) -> Response:
        return PlainTextResponse("ok", headers=_HEADERS)

    routes = [
        Route("/", page),
        Route("/state.json", state),
        Route("/runbook", runbook),
        Route("/style.css", style),
        Route("/health", health),
    ]
    app: ASGIApp = Starlette(routes=routes)
    return HostCheck(BasicAuth(app, password) if password else app, {*LOOPBACK_NAMES, *hosts}, addresses=True)
