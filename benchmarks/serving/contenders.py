"""Contenders of the benchmark, each started as its documentation recommends."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.serving.fixture import BIN, BenchmarkFixture
from benchmarks.serving.response_checks import (
    check_features,
    check_model_server,
    check_predictions,
    check_schema,
)
from holdfast.runtime.processes import HOST

ResponseCheck = Callable[[BenchmarkFixture, list[Any]], None]


@dataclass(frozen=True)
class Contender:
    """Server to measure.

    Attributes:
        command: Program and arguments, with ``{port}`` for the port.
        path: Path of the requests.
        requests: Name of the file with request bodies.
        check: Check of the first responses.
        ready: Path that responds with 200 when the server is ready.
        required_metric: Text that the metrics must contain before the measurement; "": no requirement.
    """

    name: str
    command: list[str]
    path: str
    requests: str
    check: ResponseCheck
    environment: dict[str, str] = field(default_factory=dict)
    ready: str = "/readyz"
    required_metric: str = ""
    workers: int = 1


def _bentoml_serve(target: str) -> list[str]:
    """Build the command of `bentoml serve`."""
    return [sys.executable, "-m", "bentoml", "serve", target, "--host", HOST, "--port", "{port}"]


def holdfast_contender(
    fixture: BenchmarkFixture,
    name: str = "holdfast",
    workers: int = 1,
    required_metric: str = "",
    environment: Mapping[str, str] | None = None,
    check: ResponseCheck = check_predictions,
) -> Contender:
    """Create Holdfast's contender: the bento, served as a user would.

    Args:
        fixture: Shared fixture.
        name: Name in the result.
        workers: Number of workers.
        required_metric: As in :class:`Contender`.
        environment: Additional environment variables of a variant.
        check: Check of the first responses.

    Returns:
        The contender.
    """
    return Contender(
        name,
        _bentoml_serve(fixture.bento),
        "/predict",
        "predict",
        check,
        {"FEAST_FS_YAML_FILE_PATH": str(fixture.store), "HOLDFAST_WORKERS": str(workers), **(environment or {})},
        workers=workers,
        required_metric=required_metric,
    )


def other_contenders(fixture: BenchmarkFixture) -> list[Contender]:
    """Create the other contenders: no-ops, naive service and the tools' servers, each with its best settings.

    Args:
        fixture: Shared fixture.

    Returns:
        The contenders.
    """
    stock = {"FEAST_FS_YAML_FILE_PATH": str(fixture.stock_store)}
    model = next((fixture.data / "bentoml" / "models" / "holdfast-churn").glob("v1-*"))
    # Without --max-requests 0 Feast restarts its worker after every thousand requests.
    feast = [str(BIN / "feast"), "-c", str(fixture.stock_store.parent), "serve", "--host", HOST, "--port", "{port}"]
    mlflow = [
        str(BIN / "mlflow"),
        "models",
        "serve",
        "-m",
        str(fixture.data / "mlflow-model"),
        "--env-manager",
        "local",
    ]
    return [
        Contender(
            "noop",
            _bentoml_serve("benchmarks.serving.noop_service:Noop"),
            "/predict",
            "predict",
            check_schema,
        ),
        Contender(
            "noop_tuned",
            _bentoml_serve("benchmarks.serving.noop_tuned_service:NoopTuned"),
            "/predict",
            "predict",
            check_schema,
        ),
        Contender(
            "naive",
            _bentoml_serve("benchmarks.serving.naive_service:NaiveChurn"),
            "/predict",
            "predict",
            check_predictions,
            stock | {"NAIVE_MODEL": str(model)},
        ),
        Contender(
            "feast_serve",
            [*feast, "--workers", "1", "--no-access-log", "--max-requests", "0"],
            "/get-online-features",
            "feast",
            check_features,
            stock,
            ready="/health",
        ),
        Contender(
            "mlflow_serve",
            [*mlflow, "--workers", "1", "--host", HOST, "--port", "{port}"],
            "/invocations",
            "mlflow",
            check_model_server,
            ready="/ping",
        ),
    ]
