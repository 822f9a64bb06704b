"""Forwarding of requests to BentoML, with its errors converted to those of the service."""

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.errors import http_error

# BentoML's API page loads a tag manager from another site; pages of this service load nothing from other sites.
_PAGE_POLICY = (b"content-security-policy", b"default-src 'self' 'unsafe-inline' data:")


async def forward_to_bentoml(app: ASGIApp, scope: Scope, receive: Receive, send: Send) -> None:
    """Send BentoML's response to a request.

    Args:
        app: BentoML's ASGI application.
        scope: ASGI scope.
        receive: ASGI receive function.
        send: ASGI send function.

    Raises:
        ServiceError: BentoML responded with an error, of which nothing was sent.
    """
    error: Message | None = None
    text = b""

    async def forward(message: Message) -> None:
        nonlocal error, text
        if message["type"] == "http.response.start":
            if message["status"] >= 400:
                error = message
            elif scope["path"] == "/":
                message["headers"] = [*message["headers"], _PAGE_POLICY]
        if error is None:
            await send(message)
        else:
            text += message.get("body", b"")

    await app(scope, receive, forward)
    if error is not None:
        allow = dict(error["headers"]).get(b"allow", b"").decode("latin-1")
        raise http_error(error["status"], text.decode(errors="replace").strip(), allow)
