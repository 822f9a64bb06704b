"""Host and ports of a local Holdfast."""

from collections.abc import Mapping
from typing import Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from feature_repo.settings import EnvironmentSettings
from holdfast.core.errors import HoldfastError
from holdfast.core.host_check import is_loopback

_REACHABLE = ("service", "status")
_KEYS = ("HOLDFAST_API_KEYS", "HOLDFAST_API_KEYS_FILE")


class OpenServiceError(HoldfastError):
    """A service without authentication would be reachable by other machines."""


def _port(default: int, about: str) -> Any:
    return Field(default=default, ge=1, le=65535, description=f"Port of {about}.")


class LocalSettings(EnvironmentSettings):
    """Host and ports of ``make up``."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    host: str = Field(
        default="127.0.0.1",
        description="Address that the service and the status page listen on; any but loopback admits other machines "
        "and needs API keys. The other components listen on this machine only.",
    )
    prefect_port: int = _port(4200, "Prefect's server")
    mlflow_port: int = _port(5000, "MLflow's UI")
    service_port: int = _port(3000, "the prediction service, which starts once there is a champion")
    evidently_port: int = _port(8001, "Evidently's UI")
    feast_port: int = _port(8888, "Feast's UI")
    status_port: int = _port(8080, "the status page and its /state.json")

    def url(self, component: str) -> str:
        """Build the URL of a component for clients on this machine.

        Args:
            component: Name of the component.

        Returns:
            The URL, without a path.
        """
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.listen(component), self.listen(component))  # noqa: S104  an address to connect to
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port(component)}"

    def listen(self, component: str) -> str:
        """Return the address that a component listens on.

        Args:
            component: Name of the component.

        Returns:
            The address of the setting for the components that have their own authentication; loopback for the others.
        """
        return self.host if component in _REACHABLE or is_loopback(self.host) else "127.0.0.1"

    def require_authentication(self, environment: Mapping[str, str]) -> None:
        """Check that a service that other machines can reach has API keys.

        Args:
            environment: Variables of the service.

        Raises:
            OpenServiceError: It has none.
        """
        if not is_loopback(self.host) and not any(environment.get(name) for name in _KEYS):
            raise OpenServiceError(
                f"HOLDFAST_HOST={self.host} admits other machines, and the service has no API keys. Create a key with "
                f"`python -m services.api.api_keys NAME`, and set {_KEYS[1]} to the file with its line."
            )

    def port(self, component: str) -> int:
        """Return the port of a component.

        Args:
            component: Name of the component.

        Returns:
            The port.
        """
        return int(getattr(self, f"{component}_port"))
