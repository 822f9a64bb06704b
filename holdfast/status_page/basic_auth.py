"""Password of the status page, where other machines can reach the page."""

import base64
import hmac

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

_HEALTH = "/health"


class BasicAuth:
    """ASGI application that asks for a user and a password (HTTP Basic); only the health check needs none.

    Args:
        app: Application behind the password.
        password: ``user:password``.
    """

    def __init__(self, app: ASGIApp, password: str) -> None:
        self._app, self._password = app, password.encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request (ASGI)."""
        if scope["type"] == "http" and scope["path"] != _HEALTH and not self._is_allowed(dict(scope["headers"])):
            headers = {"WWW-Authenticate": 'Basic realm="Holdfast", charset="UTF-8"'}
            await PlainTextResponse("A password is needed.", 401, headers=headers)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _is_allowed(self, headers: dict[bytes, bytes]) -> bool:
        scheme, _, value = headers.get(b"authorization", b"").partition(b" ")
        if scheme.lower() != b"basic":
            return False
        try:
            given = base64.b64decode(value.strip(), validate=True)
        except ValueError:
            return False
        return hmac.compare_digest(given, self._password)
