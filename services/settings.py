"""Settings of the service: environment variables with the prefix ``HOLDFAST_``, read at each call.

Traces are configured by OpenTelemetry's own variables, such as ``OTEL_EXPORTER_OTLP_ENDPOINT``.
"""

import os
import re
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import Field, field_validator
from pydantic_settings import NoDecode
from typing_extensions import override

from feature_repo.errors import SettingsError
from feature_repo.settings import PREFIX, EnvironmentSettings, apply_environment

_TRACE_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_ORIGIN = re.compile(r"https?://[^\s/?#,@]+")


class ServingSettings(EnvironmentSettings):
    """Settings of the service only; ``feature_repo.settings.Settings`` holds those shared with the flows."""

    api_keys: str | None = Field(
        default=None,
        repr=False,
        description="Valid API keys, each name:sha256-hex, separated by commas or lines.",
    )
    api_keys_file: Path | None = Field(
        default=None, description="File with API keys, one per line; read again when it changes."
    )
    keyless: Literal["", "loopback"] = Field(
        default="",
        description="'loopback': without keys, requests from this machine are allowed; a proxy on it would pass "
        "on those of others. Empty: without keys, none. `make up` and `make serve` set 'loopback' on this machine.",
    )
    max_concurrency: int = Field(
        default=256,
        ge=1,
        le=10_000,
        description="Maximum number of concurrent requests of a process; a batch counts one per 100 customers; further "
        "ones get HTTP 503 with Retry-After.",
    )
    workers: int = Field(
        default=1, ge=1, le=64, description="Number of processes; each loads the models into its memory."
    )
    store_timeout_ms: int = Field(
        default=250, ge=1, le=30_000, description="Maximum time of one read of the online store, milliseconds."
    )
    registry_poll_seconds: float = Field(
        default=3, ge=0.1, le=3600, description="Seconds between two reads of the model registry's aliases."
    )
    registry_start_seconds: float = Field(
        default=3,
        ge=0,
        le=300,
        description="Seconds that a start waits for the model registry before it serves the model in the bento.",
    )
    model_trial_seconds: float = Field(
        default=60,
        ge=0,
        le=600,
        description="Seconds for the trial of a new model version in a process of its own, before it is loaded; "
        "0: no trial.",
    )
    model_trial_memory_mb: int = Field(
        default=2048, ge=1, description="Address space of that process in megabytes, of which 600 are libraries."
    )
    prediction_log: bool = Field(default=True, description="Write served predictions to the prediction log.")
    prediction_log_days: int = Field(default=180, ge=1, le=3650, description="Days that predictions stay in the log.")
    last_known: int = Field(
        default=0,
        ge=0,
        le=10_000_000,
        description="Number of customers whose last features are cached, to score while the online store is down "
        "(marked stale); 0: no cache.",
    )
    cors_origins: Annotated[tuple[str, ...], NoDecode] = Field(
        default=(), description="Origins allowed by CORS, separated by commas: https://shop.example, or * for all."
    )

    @classmethod
    @override
    def from_environment(cls) -> Self:
        """Read the settings; raise for a misspelt variable, with which the service would start without keys."""
        known = ("API_KEYS", "API_KEYS_FILE")
        for name in os.environ:
            if name.upper().startswith(f"{PREFIX}API") and name.upper().removeprefix(PREFIX) not in known:
                raise SettingsError(f"{name} is not a setting. Use {' or '.join(PREFIX + item for item in known)}.")
        return super().from_environment()

    @field_validator("api_keys_file", mode="before")
    @classmethod
    def _require_path(cls, value: Any) -> Any:
        if value == "":
            raise ValueError("the path of a file; to serve without one, unset the variable")
        return value

    @field_validator("api_keys_file")
    @classmethod
    def _make_absolute(cls, value: Path | None) -> Path | None:
        """Keep symbolic links: Kubernetes replaces a mounted secret by moving a link."""
        return value and value.expanduser().absolute()

    @field_validator("cors_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        return tuple(filter(None, map(str.strip, value.lower().split(",")))) if isinstance(value, str) else value

    @field_validator("cors_origins")
    @classmethod
    def _require_origins(cls, value: tuple[str, ...]) -> tuple[str, ...]:
        if value != ("*",) and not all(map(_ORIGIN.fullmatch, value)):
            raise ValueError("origins such as https://shop.example, without a path and separated by commas, or * alone")
        return value


def apply_service_environment() -> None:
    """Set the environment of the process; call this before numpy, scikit-learn or BentoML's stores are used.

    Variables that are set already stay as they are.
    """
    apply_environment()
    # A request scores a few rows: starting OpenMP's threads takes many times longer than the scoring itself.
    os.environ.setdefault("OMP_NUM_THREADS", "1")


def tracing_enabled() -> bool:
    """Check whether OpenTelemetry's variables name a trace endpoint.

    Returns:
        True if an endpoint is set and ``OTEL_SDK_DISABLED`` is not true.
    """
    disabled = os.environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not disabled and any(os.environ.get(name) for name in _TRACE_ENDPOINTS)


def prometheus_folder() -> Path | None:
    """Return the folder in which the processes of the service share their metrics.

    Returns:
        Folder that BentoML sets; None in a single process.
    """
    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    return Path(folder) if folder else None
