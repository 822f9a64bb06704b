"""Where state lives, what time it is, and what "churned" means: the settings flows and services share.

Every value is read from the environment (prefix ``HOLDFAST_``) when :func:`load_settings` is called,
never at import.
"""

import os
import shlex
import sys
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from feature_repo.timestamps import as_utc

_PACKAGE = Path(__file__).resolve().parent

# A file of this name says that the data folder holds a historical data set to replay.
REPLAY_MARKER = "REPLAY"


def _default_data_dir() -> Path:
    """``data`` beside the source checkout; in a bento, whose source folder is read-only, under the caller."""
    root = _PACKAGE.parent
    return (root if (root / "pyproject.toml").exists() else Path.cwd()) / "data"


def _default_clock(values: dict[str, Any]) -> Literal["wall", "data"]:
    return "data" if (values["data"] / REPLAY_MARKER).exists() else "wall"


class Settings(BaseSettings):
    """Settings shared by flows and services."""

    model_config = SettingsConfigDict(env_prefix="HOLDFAST_", extra="ignore", frozen=True)

    data: Path = Field(default_factory=_default_data_dir, description="The one folder that holds all state.")
    clock: Literal["wall", "data"] | datetime = Field(
        default_factory=_default_clock,
        description="What 'now' means where no as_of is given: the wall clock; 'data', the midnight after the "
        "last transaction; or a fixed time. Not set, it is 'data' in a folder that replays a historical data set.",
    )
    horizon_days: int = Field(default=90, ge=1, description="A customer without a purchase for this long churned.")
    activity_days: int = Field(default=180, ge=1, description="Models learn from customers who bought this recently.")

    @field_validator("data")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        return value.expanduser().resolve()

    @field_validator("clock")
    @classmethod
    def _aware(cls, value: str | datetime) -> str | datetime:
        return as_utc(value) if isinstance(value, datetime) else value

    @property
    def batches(self) -> Path:
        """One folder per ingested batch: transactions, quarantine and manifest."""
        return self.data / "batches"

    @property
    def snapshots(self) -> Path:
        """Feature snapshots: ``VIEW/TRANSFORMATIONS/AS_OF/KNOWN_AT.parquet``."""
        return self.data / "snapshots"

    @property
    def feast(self) -> Path:
        """Feast's registry and its embedded online store."""
        return self.data / "feast"

    @property
    def mlflow(self) -> Path:
        """MLflow's database and artifacts."""
        return self.data / "mlflow"

    @property
    def predictions(self) -> Path:
        """The prediction log of the service: a folder per day."""
        return self.data / "predictions"

    @property
    def scores(self) -> Path:
        """Batch scores: one Parquet file per moment."""
        return self.data / "scores"

    @property
    def monitoring(self) -> Path:
        """What monitoring measured, and what it compares with."""
        return self.data / "monitoring"

    @property
    def evidently(self) -> Path:
        """Evidently's workspace: its reports."""
        return self.data / "evidently"

    @property
    def alerts(self) -> Path:
        """Alerts: which are open, and which were delivered."""
        return self.data / "alerts.db"

    @property
    def mlflow_tracking_uri(self) -> str:
        """The tracking server of the environment if one is named, else the embedded database."""
        return os.environ.get("MLFLOW_TRACKING_URI") or f"sqlite:///{self.mlflow / 'mlflow.db'}"

    def environment(self) -> dict[str, str]:
        """The one environment block: used by flows, services, tests and images.

        No telemetry leaves the machine, and every tool keeps its state under the data folder.
        """
        return {
            "HOLDFAST_DATA": str(self.data),
            "HOLDFAST_PROJECT": str(_PACKAGE.parent),  # prefect.yaml: where workers find the flows
            "PREFECT_HOME": str(self.data / "prefect"),
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
            # On a busy machine SQLite's locks last longer than by default, and an automation would miss its event.
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
            "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # how soon a run whose process died is missed; by default 180 s
            # In memory, a server that starts again forgets who holds a slot, and the slot stays taken.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_LOGGING_EXTRA_LOGGERS": "holdfast",  # alerts that go to the log are in the flow run's, too
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # and those of no flow run are nowhere else
            "BENTOML_HOME": str(self.data / "bentoml"),
            "MLFLOW_TRACKING_URI": self.mlflow_tracking_uri,
            "MLFLOW_LOGGING_LEVEL": "WARNING",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # 17 s and 1.8 GB for a page that lists runs
            **NO_TELEMETRY,
        }


# MLflow wants exactly "true" here.
NO_TELEMETRY = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "BENTOML_DO_NOT_TRACK": "true",
    "FEAST_USAGE": "False",
}


def load_settings() -> Settings:
    """Read the settings from the environment."""
    return Settings()


def apply_environment() -> None:
    """Set each variable of the environment block that the caller has not set."""
    for name, value in load_settings().environment().items():
        os.environ.setdefault(name, value)


if __name__ == "__main__":
    # `eval "$(make -s env)"` lets the tools' own commands (feast, mlflow, prefect, bentoml) find the state.
    variables = load_settings().environment() | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    sys.stdout.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
