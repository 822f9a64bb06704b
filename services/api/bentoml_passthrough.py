"""What BentoML answers, and how its errors leave: in our shape."""

from http import HTTPStatus

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.errors import RETRY_SECONDS, TITLES, problem_response
from services.observability.logs import LOG

DETAILS = {
    404: "There is nothing at this address. POST /predict or /predict_batch for predictions.",
    405: "This address does not answer this method. Predictions are asked for with POST.",
    500: "An unexpected error has occurred; the service's log has the details.",
}
# BentoML's page of the API loads a tag manager from elsewhere; nothing of this service loads anything from elsewhere.
_PAGE_POLICY = (b"content-security-policy", b"default-src 'self' 'unsafe-inline' data:")


class BentoPassthrough:
    """An answer of BentoML; an error leaves in our shape."""

    def __init__(self, scope: Scope, receive: Receive, send: Send, request_id: str) -> None:
        self._scope, self._receive, self._send = scope, receive, send
        self._request_id = request_id
        self._error: Message | None = None
        self._text = b""
        self._started = False

    async def by(self, app: ASGIApp) -> None:
        """Let ``app`` answer."""
        try:
            await app(self._scope, self._receive, self._pass)
        except Exception:
            LOG.exception("Unexpected error at %s, request %s", self._scope["path"], self._request_id)
            if self._started:
                raise
            await self._refuse(500, "", None)

    async def _pass(self, message: Message) -> None:
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
        self._text += message.get("body", b"")
        if not message.get("more_body", False):
            allow = dict(self._error["headers"]).get(b"allow")
            await self._refuse(self._error["status"], self._text.decode(errors="replace").strip(), allow)

    async def _refuse(self, status: int, text: str, allow: bytes | None) -> None:
        title = HTTPStatus(status).phrase
        kind = {503: "not_ready", 504: "timeout", 500: "internal_error"}.get(status, title.lower().replace(" ", "_"))
        kind = kind if kind in TITLES else "invalid_request"
        headers = {"Allow": allow.decode("latin-1")} if allow else {}
        headers |= {"Retry-After": str(RETRY_SECONDS)} if status == 503 else {}
        detail = DETAILS.get(status) or text or f"{title}."
        await problem_response(status, kind, detail, self._request_id, headers)(self._scope, self._receive, self._send)
