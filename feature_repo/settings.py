"""Settings shared by flows and services: data folder, clock and churn definition.

Values are read from the environment (prefix ``HOLDFAST_``) by ``from_environment``, never at import.
docs/settings.md lists all settings.
"""

import os
import shlex
import sys
import unicodedata
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from feature_repo.database_urls import sqlite_url
from feature_repo.errors import SettingsError
from feature_repo.log_records import protect_log_lines
from feature_repo.private_files import restrict_new_files
from feature_repo.store_addresses import describe_database_protection, require_protected
from feature_repo.timestamps import as_utc

PREFIX = "HOLDFAST_"
REPLAY_MARKER = "REPLAY"  # a file of this name marks a data folder that replays a historical data set
NO_TELEMETRY = {
    "DO_NOT_TRACK": "true",
    "MLFLOW_DISABLE_TELEMETRY": "true",  # MLflow accepts exactly "true"
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "BENTOML_DO_NOT_TRACK": "true",
    "FEAST_USAGE": "False",
}

_PREFECT_DATABASES = ("PREFECT_API_DATABASE_CONNECTION_URL", "PREFECT_SERVER_DATABASE_CONNECTION_URL")
_PACKAGE = Path(__file__).resolve().parent


class EnvironmentSettings(BaseSettings):
    """Base class of all settings: read from environment variables with the prefix ``HOLDFAST_``, frozen."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, extra="ignore", frozen=True)

    @classmethod
    def from_environment(cls) -> Self:
        """Read the settings from the environment.

        Returns:
            The settings, with defaults for unset variables.

        Raises:
            SettingsError: Values are invalid; the message names each variable and the values that are allowed.
        """
        try:
            return cls()
        except ValidationError as error:
            problems: dict[str, list[Any]] = {}
            for item in error.errors():  # a field that takes one of several types has an error for each
                problems.setdefault(str(item["loc"][0]), []).append(item)
            raise SettingsError(" ".join(cls._message(*problem) for problem in problems.items())) from None

    @classmethod
    def variable(cls, field: str) -> str:
        """Return the environment variable of a field.

        Args:
            field: Name of the field.

        Returns:
            Name of the variable.
        """
        alias = cls.model_fields[field].validation_alias
        return alias if isinstance(alias, str) else f"{cls.model_config['env_prefix']}{field.upper()}"

    @classmethod
    def _message(cls, field: str, errors: list[Any]) -> str:
        name = next((name for name in cls.model_fields if field.lower() in (name, cls.variable(name).lower())), field)
        hidden = cls.model_config.get("hide_input_in_errors") or not cls.model_fields[name].repr
        given = "is invalid" if hidden else f"is {errors[0]['input']!r}"
        return f"{cls.variable(name)} {given}; it must be {' or '.join(cls._expected(name, item) for item in errors)}."

    @classmethod
    def _expected(cls, name: str, error: Any) -> str:
        field = cls.model_fields[name]
        own = error.get("ctx", {}).get("error")
        if isinstance(own, ValueError):  # raised by a validator of the class
            return str(own)
        if field.annotation is bool:
            return "true or false"
        if field.annotation in (int, float):
            words = {"ge": "of at least", "gt": "above", "le": "of at most"}
            limits = {key: getattr(item, key) for item in field.metadata for key in words if hasattr(item, key)}
            limited = " and ".join(f"{words[key]} {limit}" for key, limit in limits.items())
            if limits.keys() == {"ge", "le"}:
                limited = f"from {limits['ge']} to {limits['le']}"
            return f"a {'whole ' if field.annotation is int else ''}number {limited}".strip()
        if error["type"].startswith("datetime"):
            return "a time such as 2024-03-01T12:00:00"
        return str(error["msg"]).removeprefix("Input should be ")


def _default_data_dir() -> Path:
    """Return ``data`` beside the source checkout; in a bento, whose source folder is read-only, in the work folder."""
    root = _PACKAGE.parent
    return (root if (root / "pyproject.toml").exists() else Path.cwd()) / "data"


def _default_clock(values: dict[str, Any]) -> Literal["wall", "data"]:
    return "data" if (values["data"] / REPLAY_MARKER).exists() else "wall"


class Settings(EnvironmentSettings):
    """Settings shared by flows and services."""

    data: Path = Field(default_factory=_default_data_dir, description="Folder of all state.")
    clock: Literal["wall", "data"] | datetime = Field(
        default_factory=_default_clock,
        description="Current time where no as_of is given: 'wall', the system clock; 'data', the midnight after the "
        "last transaction; or a fixed time. Default: 'data' in a folder that replays a historical data set.",
    )
    label: Literal["no_purchase", "not_renewed"] = Field(
        default="no_purchase",
        description="What churn is. 'no_purchase': no purchase in the horizon. 'not_renewed': a subscription, the "
        "attribute subscription_end, that is not renewed by its end plus the grace.",
    )
    horizon_days: int = Field(
        default=90,
        ge=1,
        description="A customer without a purchase for this long has churned; with the label 'not_renewed' models are "
        "trained on customers whose subscription ends within so many days.",
    )
    activity_days: int = Field(
        default=180,
        ge=1,
        description="With the label 'no_purchase' models are trained on customers with a purchase in the last so many "
        "days.",
    )
    grace_days: int = Field(
        default=14,
        ge=0,
        description="With the label 'not_renewed', days after the end of a subscription until which a renewal counts.",
    )
    mlflow_tracking_uri: str = Field(
        default="",
        validate_default=True,
        repr=False,  # may contain a password
        validation_alias="MLFLOW_TRACKING_URI",
        description="Model registry and tracking server (MLflow's own variable); empty: in the data folder.",
    )

    database: str = Field(
        default="",
        repr=False,  # may contain a password
        description="PostgreSQL database of alerts and locks, which several machines share: "
        "postgresql://user:password@host/name; empty: files in the data folder.",
    )
    plain_hosts: str = Field(
        default="",
        description="Hosts of Redis and databases on a private network, separated by commas. Any other host than this "
        "machine is refused without TLS and a password.",
    )

    @field_validator("data")
    @classmethod
    def _absolute(cls, value: Path) -> Path:
        path = value.expanduser().resolve()
        if any(unicodedata.category(character) in ("Cc", "Cs") for character in str(path)):
            raise ValueError("the path of a folder without control characters, in UTF-8")
        if "\\" in str(path) and any(character in str(path) for character in "*?["):
            raise ValueError("the path of a folder without a backslash, or without *, ? and [, for DuckDB")
        return path

    @field_validator("clock")
    @classmethod
    def _aware(cls, value: str | datetime) -> str | datetime:
        return as_utc(value) if isinstance(value, datetime) else value

    @field_validator("database")
    @classmethod
    def _postgresql(cls, value: str) -> str:
        if value and not value.startswith(("postgresql://", "postgres://")):
            raise ValueError("an address of PostgreSQL, such as postgresql://user:password@host/name")
        if problem := describe_database_protection(value):
            raise ValueError(problem)
        return value

    @field_validator("mlflow_tracking_uri")
    @classmethod
    def _embedded_database(cls, value: str, info: ValidationInfo) -> str:
        if problem := describe_database_protection(value):
            raise ValueError(problem)
        if value or "data" not in info.data:
            return value
        return sqlite_url(info.data["data"] / "mlflow" / "mlflow.db")

    @property
    def batches(self) -> Path:
        """Return the folder of ingested batches: transactions, quarantine and manifest of each."""
        return self.data / "batches"

    @property
    def snapshots(self) -> Path:
        """Return the folder of feature snapshots: ``VIEW/TRANSFORMATIONS/AS_OF/KNOWN_AT.parquet``."""
        return self.data / "snapshots"

    @property
    def feast(self) -> Path:
        """Return the folder of Feast's registry and its embedded online store."""
        return self.data / "feast"

    @property
    def mlflow(self) -> Path:
        """Return the folder of MLflow's database and artifacts."""
        return self.data / "mlflow"

    @property
    def predictions(self) -> Path:
        """Return the folder of the service's prediction log, one subfolder per day."""
        return self.data / "predictions"

    @property
    def scores(self) -> Path:
        """Return the folder of batch scores, one Parquet file per scoring time."""
        return self.data / "scores"

    @property
    def monitoring(self) -> Path:
        """Return the folder of monitoring results and reference data."""
        return self.data / "monitoring"

    @property
    def evidently(self) -> Path:
        """Return the folder of Evidently's workspace."""
        return self.data / "evidently"

    @property
    def alerts(self) -> Path:
        """Return the path of the database of alerts and their deliveries."""
        return self.data / "alerts.db"

    def environment(self) -> dict[str, str]:
        """Return the environment variables of all tools, used by flows, services, tests and images.

        Telemetry is off, and each tool stores its state under the data folder.

        Returns:
            Variable to value.
        """
        prefect = self.data / "prefect"
        variables = {
            "HOLDFAST_DATA": str(self.data),
            "HOLDFAST_PROJECT": str(_PACKAGE.parent),  # prefect.yaml: the folder from which workers load flows
            "PREFECT_HOME": str(prefect),
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "90",
            # Default timeouts are too short for SQLite's locks on a busy machine: an automation would miss its event.
            "PREFECT_SERVER_DATABASE_TIMEOUT": "60",
            "PREFECT_SERVER_DATABASE_CONNECTION_TIMEOUT": "60",
            "PREFECT_FLOWS_HEARTBEAT_FREQUENCY": "30",  # detects a dead run's process sooner than the default, 180 s
            # In memory, a restarted server loses the holders of slots, and their slots stay occupied.
            "PREFECT_SERVER_CONCURRENCY_LEASE_STORAGE": "prefect.server.concurrency.lease_storage.filesystem",
            "PREFECT_LOGGING_EXTRA_LOGGERS": "holdfast",  # logged alerts appear in the flow run's log, too
            "PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW": "ignore",  # alerts outside a flow run are not sent
            "BENTOML_HOME": str(self.data / "bentoml"),
            "MLFLOW_TRACKING_URI": self.mlflow_tracking_uri,
            "MLFLOW_LOGGING_LEVEL": "WARNING",
            "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false",
            "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false",  # saves 17 s and 1.8 GB at the start of the UI
            **NO_TELEMETRY,
        }
        if "?" in str(prefect):  # Prefect's own URL of its database would end there
            variables["PREFECT_API_DATABASE_CONNECTION_URL"] = sqlite_url(prefect / "prefect.db", "aiosqlite")
        return variables


def apply_environment() -> None:
    """Set the variables of ``Settings.environment`` that are not set yet, and protect files and log of this process."""
    restrict_new_files()
    protect_log_lines()
    for name in _PREFECT_DATABASES:
        require_protected(describe_database_protection(os.environ.get(name, "")), name)
    for name, value in Settings.from_environment().environment().items():
        os.environ.setdefault(name, value)


if __name__ == "__main__":
    # `eval "$(make -s env)"` lets commands of feast, mlflow, prefect and bentoml find the state.
    variables = Settings.from_environment().environment()
    variables["PATH"] = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    sys.stdout.writelines(f"export {name}={shlex.quote(value)}\n" for name, value in variables.items())
