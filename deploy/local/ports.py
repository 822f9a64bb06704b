"""Port check before the start: a component that finds its port in use would fail later, with a less clear message."""

import socket
from contextlib import closing

from deploy.local.components import Component
from deploy.local.settings import LocalSettings
from holdfast.core.errors import HoldfastError


class PortInUseError(HoldfastError):
    """A port is used by another program, or given to two components."""


def require_free_ports(settings: LocalSettings, components: list[Component]) -> None:
    """Check that each component can listen on its port.

    Args:
        settings: Host and ports.
        components: Components to start.

    Raises:
        PortInUseError: Names each port that is in use, its component, and the variable to change.
    """
    problems: list[str] = []
    owners: dict[int, Component] = {}
    for component in components:
        if component.port is None:
            continue
        if other := owners.get(component.port):
            problems.append(
                f"Port {component.port} is given to both {other.description} and {component.description}: "
                f"set {other.port_variable} or {component.port_variable} to another."
            )
        elif reason := _problem(settings.listen(component.name), component.port):
            problems.append(
                f"Port {component.port} of {component.description} cannot be used ({reason}): free it, or set "
                f"{component.port_variable}=..."
            )
        owners[component.port] = component
    if problems:
        raise PortInUseError(" ".join(problems))


def _problem(host: str, port: int) -> str | None:
    """Describe why a server cannot listen on a port; None if it can."""
    try:
        family, kind, _, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        with closing(socket.socket(family, kind)) as probe:
            # As servers do: the port of a server that has just ended is free.
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(address)
    except OSError as error:
        return error.strerror or str(error)
    return None
