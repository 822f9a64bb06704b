"""Forwarding of requests to BentoML, with its errors converted to RFC 9457 problem details."""

from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.errors import RETRY_SECONDS, TITLES, problem_response
from services.observability.logs import LOG

DETAILS = {
    404: "This path does not exist. POST /predict or /predict_batch for predictions.",
    405: "This path does not allow this method. Use POST for predictions.",
    500: "An unexpected error has occurred; the service's log holds the details.",
}
# BentoML's API page loads a tag manager from another site; pages of this service load nothing from other sites.
_PAGE_POLICY = (b"content-security-policy", b"default-src 'self' 'unsafe-inline' data:")


class BentoPassthrough:
    """One request that BentoML handles.

    Args:
        scope: ASGI scope.
        receive: ASGI receive function.
        send: ASGI send function.
        request_id: Id of the request in logs and errors.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._request_id = request_id
        self._error: Message | None = None
        self._error_text = b""
        self._started = False

    async def call(self, app: ASGIApp) -> None:
        """Send the response of an application, or a problem instead of its error.

        Args:
            app: BentoML's ASGI application.
        """
        try:
            await app(self._scope, self._receive, self._forward)
        except Exception:
            LOG.exception("Unexpected error at %s, request %s", self._scope["path"], self._request_id)
            if self._started:
                raise
            await self._error_response(500, "", None)

    async def _forward(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._started = True
            if message["status"] >= 400:
                self._error = message
                return
            if self._scope["path"] == "/":
                message["headers"] = [*message["headers"], _PAGE_POLICY]
        if self._error is None:
            await self._send(message)
            return
        self._error_text += message.get("body", b"")
        if not message.get("more_body", False):
            allow = dict(self._error["headers"]).get(b"allow")
            await self._error_response(self._error["status"], self._error_text.decode(errors="replace").strip(), allow)

    async def _error_response(self, status: int, text: str, allow: bytes | None) -> None:
        title = HTTPStatus(status).phrase
        kind = {503: "not_ready", 504: "timeout", 500: "internal_error"}.get(status, title.lower().replace(" ", "_"))
        kind = kind if kind in TITLES else "invalid_request"
        headers = {"Allow": allow.decode("latin-1")} if allow else {}
        headers |= {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
        detail = DETAILS.get(status) or text or f"{title}."
        await problem_response(status, kind, detail, self._request_id, headers)(self._scope, self._receive, self._send)
