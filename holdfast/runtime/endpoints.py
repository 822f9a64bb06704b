"""Addresses of the components, and the source of the daily run."""

from pathlib import Path

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from feature_repo.settings import EnvironmentSettings


class EndpointSettings(EnvironmentSettings):
    """Addresses and data source."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    service_url: str = Field(default="http://127.0.0.1:3000", description="Prediction service.")
    prefect_url: str = Field(default="http://127.0.0.1:4200", description="Prefect UI.")
    mlflow_url: str = Field(default="http://127.0.0.1:5000", description="MLflow UI.")
    evidently_url: str = Field(default="http://127.0.0.1:8001", description="Evidently UI.")
    feast_url: str = Field(default="http://127.0.0.1:8888", description="Feast UI.")
    runbook_url: str = Field(default="docs/runbook.md", description="Runbook, which alerts link to.")
    source: Path | None = Field(default=None, description="File or folder that the daily run ingests.")
    mapping: Path | None = Field(default=None, description="YAML file that maps the columns of the source.")
