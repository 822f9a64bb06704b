"""Container engine and base image that `make test-image` has prepared."""

from dataclasses import dataclass

from holdfast.container_image.engine import ContainerEngine


@dataclass(frozen=True)
class ContainerEnvironment:
    """Container engine and base image.

    Attributes:
        base_image: Base image; None: that of bentofile.yaml.
        host_network: Containers share the machine's network and can access its servers.
    """

    engine: ContainerEngine
    base_image: str | None
    host_network: bool


current: ContainerEnvironment | None = None
