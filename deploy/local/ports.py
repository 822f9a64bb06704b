"""Ports are free before anything starts: a part that finds its port taken would only die later, and say less."""

import socket
from contextlib import closing

from deploy.local.components import Part
from deploy.local.settings import LocalSettings
from holdfast.core.errors import HoldfastError


class PortTakenError(HoldfastError):
    """Another program listens on a port, or two parts are to have the same one."""


def require_free(settings: LocalSettings, parts: list[Part]) -> None:
    """Raises PortTakenError for all ports that cannot be had: which, for what, and the variable to change."""
    problems: list[str] = []
    owners: dict[int, Part] = {}
    for part in parts:
        if part.port is None:
            continue
        variable = f"{part.port_variable}=..."
        if part.port in owners:
            other = owners[part.port]
            problems.append(
                f"Port {part.port} is given twice, to {other.about} and to {part.about}: set {other.port_variable} or "
                f"{part.port_variable} to another."
            )
        elif why := _taken(settings.host, part.port):
            problems.append(f"Port {part.port} of {part.about} cannot be had ({why}): free it, or set {variable}")
        owners[part.port] = part
    if problems:
        raise PortTakenError(" ".join(problems))


def _taken(host: str, port: int) -> str | None:
    """Why nothing can listen there; None if it can."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind)) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as servers do: one that just ended is free
            probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return None
