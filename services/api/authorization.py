"""Who may ask for predictions."""

import functools
import ipaddress
from urllib.parse import urlsplit

from starlette.types import Scope

from services.api.api_keys import KeyRing
from services.errors import ServiceError
from services.observability.logs import LOG
from services.settings import ServingSettings

# Any of them says that a proxy is between caller and service, and "from this machine" means only the proxy.
_FORWARDED = frozenset(
    {b"forwarded", b"via", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-real-ip"}
)


class Authorizer:
    """Those with a valid key; where no keys are set, this machine alone."""

    def __init__(self, settings: ServingSettings) -> None:
        self._keys = KeyRing.from_settings(settings.api_keys, settings.api_keys_file)
        self._origins = settings.cors_origins
        if not self._keys.configured:
            LOG.warning(
                "No API keys are set: only requests from this machine are answered. Set HOLDFAST_API_KEYS or "
                "HOLDFAST_API_KEYS_FILE; `python -m services.api.api_keys NAME` makes a key."
            )

    def require(self, scope: Scope, headers: dict[bytes, bytes]) -> None:
        """Raises ServiceError 401, if the request may not be answered."""
        if not self._keys.configured:
            if not self._is_local(scope, headers):
                raise ServiceError(
                    401, "unauthorized", "This service has no API keys yet, so it answers only its own machine."
                )
            return
        key = headers.get(b"authorization") or headers.get(b"x-api-key")
        if self._keys.name_of(key.decode("latin-1") if key else None) is None:
            raise ServiceError(
                401, "unauthorized", "Send a valid API key: `Authorization: Bearer KEY`, or `X-API-Key: KEY`."
            )

    def _is_local(self, scope: Scope, headers: dict[bytes, bytes]) -> bool:
        """Whether both ends are on this machine, and nobody says that the request was forwarded.

        Nor does it come from a web page, which may have given itself a name that means this machine.
        """
        if not _FORWARDED.isdisjoint(headers):
            return False
        origin = headers.get(b"origin")
        if origin is not None and origin.decode("latin-1") not in self._origins and "*" not in self._origins:
            return False
        ends = [scope.get("client"), scope.get("server")]
        return _is_this_machine(headers.get(b"host", b"")) and all(
            end is not None and _is_loopback(end[0]) for end in ends
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
