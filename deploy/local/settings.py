"""Where the parts of a local Holdfast listen: read from the environment (prefix ``HOLDFAST_``)."""

from typing import Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from feature_repo.settings import EnvironmentSettings


def _port(default: int, about: str) -> Any:
    return Field(default=default, ge=1, le=65535, description=f"Port of {about}.")


class LocalSettings(EnvironmentSettings):
    """Host and ports of ``make up``."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    host: str = Field(default="127.0.0.1", description="What all parts listen on; another lets other machines in.")
    prefect_port: int = _port(4200, "Prefect's server")
    mlflow_port: int = _port(5000, "MLflow's pages")
    service_port: int = _port(3000, "the prediction service")
    evidently_port: int = _port(8001, "Evidently's pages")
    feast_port: int = _port(8888, "Feast's pages")
    status_port: int = _port(8080, "the status page")

    def url(self, part: str) -> str:
        """Where ``part`` answers callers on this machine."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"http://{f'[{host}]' if ':' in host else host}:{self.port(part)}"

    def port(self, part: str) -> int:
        """The port of ``part``."""
        return int(getattr(self, f"{part}_port"))

    def ports(self) -> dict[str, int]:
        """The variable that sets each port, and the port."""
        names = [name for name in LocalSettings.model_fields if name.endswith("_port")]
        return {LocalSettings.variable(name): int(getattr(self, name)) for name in names}


def load_local_settings() -> LocalSettings:
    """Read the settings from the environment.

    Returns:
        The settings, with defaults for unset variables.

    Raises:
        SettingsError: A value is invalid; the message names the variable.
    """
    return LocalSettings.from_environment()
