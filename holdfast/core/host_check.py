"""Check of the header Host: a web page whose name resolves to this machine (DNS rebinding) gets no response."""

import ipaddress
from collections.abc import Iterable

from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Receive, Scope, Send

LOOPBACK_NAMES = frozenset({"127.0.0.1", "localhost", "::1"})


def is_loopback(host: str) -> bool:
    """Check whether an address admits connections from this machine only.

    Args:
        host: Address to listen on.

    Returns:
        True for a loopback address.
    """
    return host in LOOPBACK_NAMES


def host_name(header: str) -> str:
    """Return the name in a header Host, without port and brackets.

    Args:
        header: Value of the header, such as ``[::1]:3000``.

    Returns:
        The name in lower case; empty if the header is malformed.
    """
    if header.startswith("["):
        name, bracket, rest = header[1:].partition("]")
    else:
        name, bracket, rest = header, "]", ""
        if ":" in header:
            name, _, port = header.partition(":")
            rest = f":{port}"
    is_valid = bracket and (not rest or (rest.startswith(":") and rest[1:].isdigit()))
    return name.lower().removesuffix(".") if is_valid else ""


class HostCheck:
    """ASGI application that refuses requests and web sockets for other host names.

    Args:
        app: Application behind the check.
        names: Accepted names, without ports.
        addresses: Also accept every IP address: no web page can make a browser send one for another page's name.
    """

    def __init__(self, app: ASGIApp, names: Iterable[str], addresses: bool = False) -> None:
        self._app, self._names, self._addresses = app, frozenset(name.lower() for name in names), addresses

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Respond to a request (ASGI)."""
        if scope["type"] in ("http", "websocket"):
            headers = [value.decode("latin-1") for name, value in scope["headers"] if name == b"host"]
            if len(headers) != 1 or not self._is_accepted(host_name(headers[0])):
                if scope["type"] == "websocket":
                    await send({"type": "websocket.close", "code": 1008})
                    return
                await PlainTextResponse("This host name is not served here.", 400)(scope, receive, send)
                return
        await self._app(scope, receive, send)

    def _is_accepted(self, name: str) -> bool:
        return name in self._names or (self._addresses and _is_address(name))


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
