"""Host and ports of a local Holdfast."""

from typing import Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from feature_repo.settings import EnvironmentSettings


def _port(default: int, about: str) -> Any:
    return Field(default=default, ge=1, le=65535, description=f"Port of {about}.")


class LocalSettings(EnvironmentSettings):
    """Host and ports of ``make up``."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    host: str = Field(
        default="127.0.0.1",
        description="Address that all components listen on; any but loopback admits other machines.",
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
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port(component)}"

    def port(self, component: str) -> int:
        """Return the port of a component.

        Args:
            component: Name of the component.

        Returns:
            The port.
        """
        return int(getattr(self, f"{component}_port"))
