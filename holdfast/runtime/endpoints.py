"""Addresses of the components and of their pages, and the sources of the daily run."""

from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import NoDecode, SettingsConfigDict

from feature_repo.settings import EnvironmentSettings
from holdfast.core.path_names import split_paths
from holdfast.core.redaction import redact_logins


class EndpointSettings(EnvironmentSettings):
    """Addresses and data sources."""

    model_config = SettingsConfigDict(env_ignore_empty=True)

    service_url: str = Field(
        default="http://127.0.0.1:3000", description="Prediction service: rollouts read its /metrics."
    )
    prefect_url: str = Field(default="http://127.0.0.1:4200", description="Prefect UI, which alerts link to.")
    mlflow_url: str = Field(default="http://127.0.0.1:5000", description="MLflow UI.")
    evidently_url: str = Field(default="http://127.0.0.1:8001", description="Evidently UI.")
    feast_url: str = Field(default="http://127.0.0.1:8888", description="Feast UI.")
    runbook_url: str = Field(default="docs/runbook.md", description="Runbook, which alerts link to.")
    host_names: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(),
        description="Names under which other machines reach the status page, separated by commas: holdfast.example. "
        "Addresses and the names of this machine need no entry.",
    )
    source: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(),
        description="File or folder that the daily run ingests; several are separated by colons, as in PATH, and "
        "ingested in this order: /in/sales:/in/customers.csv:/in/tickets",
    )
    mapping: Annotated[tuple[Path, ...], NoDecode] = Field(
        default=(),
        description="YAML file that maps the columns of the source; as many as sources, in their order, or several "
        "that read one source.",
    )

    @field_validator("host_names", mode="before")
    @classmethod
    def _split_names(cls, value: Any) -> Any:
        return tuple(filter(None, map(str.strip, value.lower().split(",")))) if isinstance(value, str) else value

    @field_validator("source", "mapping", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(split_paths([value])) if isinstance(value, str) else value


def current_run_url() -> str:
    """Return the URL of the current flow run.

    Returns:
        The URL; empty outside of a flow run.
    """
    from prefect.runtime import flow_run

    return run_url(str(flow_run.id)) if flow_run.id else ""


def run_url(flow_run_id: str) -> str:
    """Return the URL of a flow run.

    Args:
        flow_run_id: Prefect's id.

    Returns:
        The URL in the Prefect UI.
    """
    return f"{_base_url()}/runs/flow-run/{flow_run_id}"


def artifact_url(key: str) -> str:
    """Return the URL of an artifact and its history.

    Args:
        key: Prefect's artifact key.

    Returns:
        The URL in the Prefect UI.
    """
    return f"{_base_url()}/artifacts/key/{key}"


def runbook_entry_url(event: str) -> str:
    """Return the URL of the runbook entry of an event.

    Args:
        event: Name of the event, ``holdfast.*``.

    Returns:
        A URL or a path, by the setting of the runbook.
    """
    return f"{redact_logins(EndpointSettings.from_environment().runbook_url)}#{event.replace('.', '-')}"


def _base_url() -> str:
    return redact_logins(EndpointSettings.from_environment().prefect_url.rstrip("/"))  # links carry no login
