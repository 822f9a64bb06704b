"""Where the other parts of a running Holdfast are, and where its transactions come from."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import BaseSettings, SettingsConfigDict


class EndpointSettings(BaseSettings):
    """Addresses and sources; read from the environment (prefix ``HOLDFAST_``) when :func:`load_endpoint_settings` is called."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_", extra="ignore", frozen=True, env_ignore_empty=True)

    service_url: str = Field(default="http://127.0.0.1:3000", description="The prediction service.")
    prefect_url: str = Field(default="http://127.0.0.1:4200", description="Prefect's pages.")
    mlflow_url: str = Field(default="http://127.0.0.1:5000", description="MLflow's pages.")
    evidently_url: str = Field(default="http://127.0.0.1:8001", description="Evidently's pages.")
    feast_url: str = Field(default="http://127.0.0.1:8888", description="Feast's pages.")
    runbook_url: str = Field(default="docs/runbook.md", description="What alerts link to: the runbook.")
    source: Path | None = Field(default=None, description="File or folder that the daily run ingests.")
    mapping: Path | None = Field(default=None, description="YAML that says which column of the source is what.")


def load_endpoint_settings() -> EndpointSettings:
    """Read them from the environment."""
    return EndpointSettings()
