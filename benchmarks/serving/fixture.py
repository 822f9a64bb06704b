"""What all contenders share."""

import json
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from feature_repo.settings import NO_TELEMETRY

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
BATCH = 1000
SHADOW_REGISTRY = "mlflow-shadow"
_STATE = ("HOLDFAST_", "FEAST_", "BENTOML_", "MLFLOW_", "PREFECT_", "OTEL_")


@dataclass(frozen=True)
class Scene:
    """The data folder, the bento, the configurations of the store (Feast's own and Holdfast's), and the environment."""

    data: Path
    bento: str
    stock_store: Path
    store: Path
    environment: dict[str, str]

    def questions(self, name: str) -> Path:
        """A file of request bodies, one per line."""
        return self.data / "questions" / f"{name}.jsonl"

    @property
    def expected(self) -> dict[str, float]:
        """Customer to probability, of scikit-learn on the offline features."""
        found: dict[str, float] = json.loads((self.data / "questions" / "expected.json").read_text())
        return found


def common_environment(data: Path, clock: str) -> dict[str, str]:
    """What every server is started with, whatever the caller's shell says; the time of every request is the same."""
    bare = {name: value for name, value in os.environ.items() if not name.startswith(_STATE)}
    return bare | {
        **NO_TELEMETRY,
        "PATH": f"{BIN}:{os.environ['PATH']}",
        "HOLDFAST_DATA": str(data),
        "HOLDFAST_CLOCK": clock,
        "BENTOML_HOME": str(data / "bentoml"),
        "MLFLOW_TRACKING_URI": f"sqlite:///{data / 'mlflow' / 'mlflow.db'}",
    }
