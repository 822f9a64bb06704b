"""What `make test-image` has made ready for the tests."""

from dataclasses import dataclass

from holdfast.container_image.engine import ContainerEngine


@dataclass(frozen=True)
class Prepared:
    """An engine, and the image to build on; None is the one of bentofile.yaml."""

    engine: ContainerEngine
    base_image: str | None
    host_network: bool  # containers share the machine's network and reach its servers


now: Prepared | None = None
