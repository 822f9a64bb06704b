"""Where the parts of a local Holdfast listen: read from the environment (prefix ``HOLDFAST_``)."""

from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from holdfast.core.errors import HoldfastError

_PREFIX = "HOLDFAST_"


class LocalSettingsError(HoldfastError):
    """A variable has a value that cannot be."""


def _port(default: int, about: str) -> Any:
    return Field(default=default, ge=1, le=65535, description=f"Port of {about}.")


class LocalSettings(BaseSettings):
    """Host and ports of ``make up``."""

    model_config = SettingsConfigDict(env_prefix=_PREFIX, extra="ignore", frozen=True, env_ignore_empty=True)

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
        return {_PREFIX + name.upper(): int(getattr(self, name)) for name in names}


def load_local_settings() -> LocalSettings:
    """Read them from the environment.

    Raises:
        LocalSettingsError: A value is refused; names the variable.
    """
    try:
        return LocalSettings()
    except ValidationError as error:
        problems = [(str(item["loc"][0]), item["input"]) for item in error.errors()]
        said = [f"{_PREFIX}{name.upper()} is {given!r}; it must be a port from 1 to 65535." for name, given in problems]
        raise LocalSettingsError(" ".join(said)) from None
