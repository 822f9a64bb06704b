"""Who is measured, and how each is started as its own documentation says."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from benchmarks.serving.fixture import BIN, Scene
from benchmarks.serving.processes import HOST
from benchmarks.serving.response_checks import all_features, same_model, same_probabilities, same_schema

Check = Callable[[Scene, list[Any]], None]


@dataclass(frozen=True)
class Contender:
    """One server: ``command`` holds ``{port}``; ``check`` gets the answers to the first questions.

    ``says`` is what its metrics must hold before it is measured: that it runs as it should.
    """

    name: str
    command: list[str]
    path: str
    questions: str
    check: Check
    environment: dict[str, str] = field(default_factory=dict)
    ready: str = "/readyz"
    says: str = ""
    workers: int = 1


def bentoml_serve(target: str) -> list[str]:
    """As a user would."""
    return [sys.executable, "-m", "bentoml", "serve", target, "--host", HOST, "--port", "{port}"]


def holdfast(
    scene: Scene, name: str = "holdfast", workers: int = 1, says: str = "", environment: Mapping[str, str] | None = None
) -> Contender:
    """The built bento as a user would serve it; variants by what is in their environment."""
    return Contender(
        name,
        bentoml_serve(scene.bento),
        "/predict",
        "predict",
        same_probabilities,
        {"FEAST_FS_YAML_FILE_PATH": str(scene.store), "HOLDFAST_WORKERS": str(workers), **(environment or {})},
        workers=workers,
        says=says,
    )


def others(scene: Scene) -> list[Contender]:
    """The no-ops, the naive service and the tools' own servers, each in the better of its settings."""
    stock = {"FEAST_FS_YAML_FILE_PATH": str(scene.stock_store)}
    model = next((scene.data / "bentoml" / "models" / "holdfast-churn").glob("v1-*"))
    # Without --max-requests 0 it would restart its worker after every thousand requests.
    feast = [str(BIN / "feast"), "-c", str(scene.stock_store.parent), "serve", "--host", HOST, "--port", "{port}"]
    mlflow = [str(BIN / "mlflow"), "models", "serve", "-m", str(scene.data / "mlflow-model"), "--env-manager", "local"]
    return [
        Contender(
            "noop",
            bentoml_serve("benchmarks.serving.noop_service:Noop"),
            "/predict",
            "predict",
            same_schema,
        ),
        Contender(
            "noop_tuned",
            bentoml_serve("benchmarks.serving.noop_service:NoopTuned"),
            "/predict",
            "predict",
            same_schema,
        ),
        Contender(
            "naive",
            bentoml_serve("benchmarks.serving.naive_service:NaiveChurn"),
            "/predict",
            "predict",
            same_probabilities,
            stock | {"NAIVE_MODEL": str(model)},
        ),
        Contender(
            "feast_serve",
            [*feast, "--workers", "1", "--no-access-log", "--max-requests", "0"],
            "/get-online-features",
            "feast",
            all_features,
            stock,
            ready="/health",
        ),
        Contender(
            "mlflow_serve",
            [*mlflow, "--workers", "1", "--host", HOST, "--port", "{port}"],
            "/invocations",
            "mlflow",
            same_model,
            ready="/ping",
        ),
    ]
