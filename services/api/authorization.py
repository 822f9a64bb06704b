"""Authorization of requests for predictions."""

import functools
import ipaddress
from urllib.parse import urlsplit

from starlette.types import Scope

from services.api.api_keys import KeyRing
from services.errors import ServiceError
from services.observability.logs import LOG
from services.settings import ServingSettings

# Each of these headers means a proxy between client and service: the peer address is then the proxy's.
_FORWARDED = frozenset(
    {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"}
)


class Authorizer:
    """Authorizer by API key; without configured keys, no request, or only those from this machine, are allowed."""

    def __init__(self, settings: ServingSettings) -> None:
        self._keys = KeyRing(settings.api_keys, settings.api_keys_file)
        self._origins = settings.cors_origins
        self._is_keyless = settings.keyless == "loopback"
        if not self._keys.configured:
            LOG.warning(
                "No API keys are set: %s. Set HOLDFAST_API_KEYS or HOLDFAST_API_KEYS_FILE; "
                "`python -m services.api.api_keys NAME` makes a key.",
                "only requests from this machine are allowed"
                if self._is_keyless
                else "no request is allowed, unless HOLDFAST_KEYLESS=loopback allows those from this machine",
            )

    def authorize(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Check that a request is allowed.

        Args:
            scope: ASGI scope.
            headers: Headers by lower-case name.

        Raises:
            ServiceError: 401 without a valid key.
        """
        if not self._keys.configured:
            if not self._is_keyless:
                raise ServiceError(401, "unauthorized", "This service has no API keys yet: it allows no requests.")
            if not self._is_local(scope, headers):
                raise ServiceError(
                    401,
                    "unauthorized",
                    "This service has no API keys yet: it allows requests from its machine only.",
                )
            return
        key = headers.get(b"authorization") or headers.get(b"x-api-key")
        if self._keys.find_name(key.decode("latin-1") if key else None) is None:
            raise ServiceError(
                401, "unauthorized", "Send a valid API key: `Authorization: Bearer KEY`, or `X-API-Key: KEY`."
            )

    def _is_local(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Check that client and server are on this machine and that no proxy forwarded the request.

        A web page's origin is not allowed: a page may use a host name that resolves to this machine.
        """
        if not _FORWARDED.isdisjoint(headers):
            return False
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1") not in self._origins and "*" not in self._origins:
            return False
        addresses = [scope.get("client"), scope.get("server")]
        return _is_this_machine(headers.get(b"host", b"")) and all(
            address is not None and _is_loopback(address[0]) for address in addresses
        )


@functools.lru_cache(maxsize=256)
def _is_this_machine(host: bytes) -> bool:
    try:
        name = urlsplit(f"//{host.decode()}").hostname or ""
    except ValueError:
        return False
    return name == "localhost" or _is_loopback(name)


@functools.lru_cache(maxsize=256)
def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
