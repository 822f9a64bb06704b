"""How the service serves: its settings, from the environment (prefix ``HOLDFAST_``), read when asked for.

Where traces go is OpenTelemetry's own variable, ``OTEL_EXPORTER_OTLP_ENDPOINT``.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field, field_validator
from pydantic_settings import NoDecode

from feature_repo.errors import SettingsError
from feature_repo.settings import PREFIX, EnvironmentSettings

_ORIGIN = re.compile(r"https?://[^\s/?#,@]+")


class ServingSettings(EnvironmentSettings):
    """Settings of the service alone; those it shares with the flows are ``feature_repo.settings.Settings``."""

    api_keys: str | None = Field(
        default=None,
        repr=False,
        description="Who may ask: name:sha256-hex, several by comma or line. Without any, only this machine.",
    )
    api_keys_file: Path | None = Field(
        default=None, description="The same in a file, one per line, which is read again when it changes."
    )
    max_concurrency: int = Field(
        default=256, ge=1, le=10_000, description="Requests answered at once; one more is told to come back later."
    )
    workers: int = Field(
        default=1, ge=1, le=64, description="Processes that answer; each has models and memory of its own."
    )
    store_timeout_ms: int = Field(
        default=250, ge=1, le=30_000, description="How long a request waits for the online store, milliseconds."
    )
    registry_poll_seconds: float = Field(
        default=3, ge=0.1, le=3600, description="How often the model registry is asked who is champion and challenger."
    )
    registry_start_seconds: float = Field(
        default=3,
        ge=0,
        le=300,
        description="How long a start waits for the model registry before it serves the model it was built with.",
    )
    prediction_log: bool = Field(default=True, description="Whether what was served is kept, to be monitored.")
    prediction_log_days: int = Field(default=180, ge=1, le=3650, description="How long it is kept.")
    last_known: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="Of how many customers the last features are kept in memory, to answer from while the online "
        "store is down; 0: of none.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Web pages that may ask from a browser, by comma: https://shop.example, or * for all."
    )

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        if value == "":
            raise ValueError("the path of a file; to serve without one, unset the variable")
        return value

    @field_validator("api_keys_file")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        """Links stay links: Kubernetes replaces a mounted secret by moving one."""
        return value and value.expanduser().absolute()

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _by_comma(cls, value: Any) -> Any:
        return tuple(filter(None, map(str.strip, value.lower().split(",")))) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value != ("*",) and not all(map(_ORIGIN.fullmatch, value)):
            raise ValueError("origins such as https://shop.example, without a path and separated by commas, or * alone")
        return value


def load_serving_settings() -> ServingSettings:
    """Read the settings from the environment.

    Raises:
        SettingsError: A value is refused; names the variable and what it must be.
    """
    _require_known_key_variables()
    return ServingSettings.from_environment()


def _require_known_key_variables() -> None:
    """Ignoring a misspelt variable would open the service to everybody."""
    known = ("API_KEYS", "API_KEYS_FILE")
    for name in os.environ:
        if name.upper().startswith(f"{PREFIX}API") and name.upper().removeprefix(PREFIX) not in known:
            raise SettingsError(f"{name} is no setting. Use {' or '.join(PREFIX + item for item in known)}.")
