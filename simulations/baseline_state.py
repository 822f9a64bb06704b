"""The world a simulation begins in: history ingested, features of today, a champion promoted, everybody scored.

Made once for so many customers and a state of the code, and copied for each run. Its online store is SQLite; a
simulation on another one fills that first.
"""

import hashlib
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from feature_repo.settings import load_settings
from holdfast.backtesting.settings import DEFAULT_GATES
from holdfast.models.contract import CHAMPION
from holdfast.models.registry_client import RegistryClient
from holdfast.training.settings import SearchSettings, TrainingSettings
from simulations.daily_data import MAPPING, START, read_days, write_day
from simulations.workspace import ROOT

# A champion to begin with, soon: few trials, and gates that a model of few customers can pass.
TRAINING = TrainingSettings(search=SearchSettings(trials=3), resamples=100)
GATES = DEFAULT_GATES.model_copy(
    update={
        "min_roc_auc": 0.55,
        "min_gain_over_baselines": -0.2,
        "max_calibration_error": 0.2,
        "max_slice_gap": 0.4,
        "max_instability": 0.2,
        "max_wrong_direction": 0.25,
    }
)

# What the world depends on; Prefect's deployments are made anew for each run.
_MADE_BY = (
    "feature_repo/*.py",
    "feature_repo/*.yaml",
    "flows/features.py",
    "flows/gates.py",
    "flows/ingest.py",
    "flows/promote.py",
    "flows/score.py",
    "flows/train.py",
    "holdfast/core/*.py",
    "holdfast/models/*.py",
    "holdfast/feast_stores/*.py",
    "holdfast/ingestion/*.py",
    "holdfast/feature_store/*.py",
    "holdfast/training/*.py",
    "holdfast/model_versions/*.py",
    "holdfast/promotion/*.py",
    "holdfast/batch_scoring/*.py",
    "holdfast/packaging/bento_stores.py",
    "holdfast/backtesting/settings.py",
    "simulations/baseline_state.py",
    "simulations/daily_data.py",
    "requirements.lock",
)
_KEPT = 6  # worlds of earlier code are of no use, but several sizes are
_ARRIVAL = timedelta(hours=1)  # a day's file comes in the next morning
KNOWN_AT = START + 2 * _ARRIVAL


@dataclass(frozen=True)
class WorldKey:
    """Which world. ``code`` names the state of the code that makes it: it may change while one is made."""

    customers: int
    code: str

    def folder(self, simulations: Path) -> Path:
        """Where it is kept."""
        return simulations / f".world-{self.customers or 'all'}-{self.code}"


def copy_world(simulations: Path, key: WorldKey, state: Path) -> None:
    """A fresh state, with nothing of an earlier run; whole or not at all."""
    new = state.with_name(f"{state.name}.new")
    for folder in (new, state):
        if folder.exists():
            shutil.rmtree(folder)
    shutil.copytree(key.folder(simulations), new)
    new.rename(state)


def forget_others(simulations: Path, key: WorldKey) -> None:
    """Remove worlds that a killed run left half made, and all but the newest."""
    for left in simulations.glob(".making-*"):
        shutil.rmtree(left, ignore_errors=True)
    worlds = sorted(simulations.glob(".world-*"), key=lambda path: path.stat().st_mtime)
    for old in [path for path in worlds if path != key.folder(simulations)][:-_KEPT]:
        shutil.rmtree(old, ignore_errors=True)


def make_world(state: Path, customers: int) -> None:
    """Fill this process's data folder, whose servers run, up to the morning of the first day."""
    from flows.features import features
    from flows.ingest import ingest
    from flows.promote import promote
    from flows.score import score
    from flows.train import train
    from holdfast.ingestion.datasets import locate_dataset
    from holdfast.packaging.bento_stores import save_served_model

    settings = load_settings()
    folder, mapping = state / "landing", state / "mapping.yaml"
    folder.mkdir(parents=True)
    mapping.write_text(MAPPING)
    days = read_days(locate_dataset("cdnow")[0], customers)
    eve = START - timedelta(days=1)
    history = days.history()
    last = days.of(eve)
    first = write_day(history[~history.index.isin(last.index)], state / "history", "history")
    ingest(str(first), str(mapping), ingested_at=eve + _ARRIVAL)
    write_day(last, folder, f"{eve:%Y-%m-%d}")
    ingest(str(folder), str(mapping), ingested_at=START + _ARRIVAL)
    known_at = KNOWN_AT
    features(START, known_at)
    trained = train(START, known_at, TRAINING, GATES)
    promote(trained.model_version, reason="the first champion of a simulation")
    score(START, known_at)
    save_served_model(settings, *RegistryClient(settings.mlflow_tracking_uri).download_by_alias(CHAMPION))


def code_now() -> str:
    """Names the state of all code that the world depends on."""
    digest = hashlib.sha256()
    for pattern in _MADE_BY:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]
