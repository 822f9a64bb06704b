"""Baseline state of simulations: ingested history, current features, a promoted champion, and scores of all customers.

The baseline is built once per number of customers and state of the code, and copied for each run. Its online store is
SQLite; a simulation on another store fills that store first.
"""

import hashlib
import shutil
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from feature_repo.settings import Settings
from holdfast.backtesting.settings import DEFAULT_GATES
from holdfast.models.contract import CHAMPION
from holdfast.models.registry_client import RegistryClient
from holdfast.training.settings import SearchSettings, TrainingSettings
from simulations.daily_data import MAPPING, START, read_transactions, write_day
from simulations.workspace import ROOT

# Few trials for a first champion within seconds, and gates that a model of few customers can pass.
TRAINING = TrainingSettings(search=SearchSettings(trials=3), resamples=100)
GATES = DEFAULT_GATES.model_copy(
    update={
        "max_calibration_error": 0.2,
        "max_slice_gap": 0.4,
        "max_instability": 0.2,
    }
)

# Files that the baseline depends on; Prefect's deployments are registered for each run.
_SOURCES = (
    "feature_repo/*.py",
    "feature_repo/*.yaml",
    "flows/*.py",
    "holdfast/core/*.py",
    "holdfast/models/*.py",
    "holdfast/feast_stores/*.py",
    "holdfast/ingestion/*.py",
    "holdfast/feature_store/*.py",
    "holdfast/training/*.py",
    "holdfast/model_versions/*.py",
    "holdfast/promotion/*.py",
    "holdfast/batch_scoring/*.py",
    "holdfast/online_features/*.py",
    "holdfast/packaging/*.py",
    "holdfast/reporting/*.py",
    "holdfast/runtime/*.py",
    "holdfast/backtesting/settings.py",
    "simulations/baseline_state.py",
    "simulations/daily_data.py",
    "requirements.lock",
)
_MAX_STALE = 6  # baselines of earlier code are useless, but baselines of several sizes are not
_ARRIVAL = timedelta(hours=1)  # the file of a day arrives in the next morning
KNOWN_AT = START + 2 * _ARRIVAL


@dataclass(frozen=True)
class BaselineKey:
    """Key of a baseline.

    Attributes:
        customers: Number of customers; 0: all.
        code: Fingerprint of the code that builds the baseline; the code may change meanwhile.
    """

    customers: int
    code: str

    def folder(self, simulations: Path) -> Path:
        """Return the folder of the baseline.

        Args:
            simulations: Folder of all simulations.

        Returns:
            Path of the folder, which may not exist yet.
        """
        return simulations / f".baseline-{self.customers or 'all'}-{self.code}"


def copy_baseline(simulations: Path, key: BaselineKey, state: Path) -> None:
    """Replace a state folder by a copy of the baseline, atomically.

    Args:
        simulations: Folder of all simulations.
        key: Baseline to copy.
        state: State folder of the simulation; removed first.
    """
    new = state.with_name(f"{state.name}.new")
    for folder in (new, state):
        if folder.exists():
            shutil.rmtree(folder)
    shutil.copytree(key.folder(simulations), new)
    new.rename(state)


def remove_stale_baselines(simulations: Path, key: BaselineKey) -> None:
    """Remove incomplete baselines of killed runs, and all but the newest baselines.

    Args:
        simulations: Folder of all simulations.
        key: Baseline that stays.
    """
    for incomplete in simulations.glob(".building-*"):
        shutil.rmtree(incomplete, ignore_errors=True)
    baselines = sorted(simulations.glob(".baseline-*"), key=lambda path: path.stat().st_mtime)
    for stale in [path for path in baselines if path != key.folder(simulations)][:-_MAX_STALE]:
        shutil.rmtree(stale, ignore_errors=True)


def build_baseline(state: Path, customers: int) -> None:
    """Fill the data folder of this process up to the morning of the first day. Its servers must run.

    Args:
        state: State folder.
        customers: Number of customers; 0: all.
    """
    from flows.features import features
    from flows.ingest import ingest
    from flows.promote import promote
    from flows.score import score
    from flows.train import train
    from holdfast.ingestion.datasets import locate_dataset
    from holdfast.packaging.bento_stores import save_served_model

    settings = Settings.from_environment()
    folder, mapping = state / "landing", state / "mapping.yaml"
    folder.mkdir(parents=True)
    mapping.write_text(MAPPING)
    transactions = read_transactions(locate_dataset("cdnow")[0], customers)
    eve = START - timedelta(days=1)
    history = transactions.history()
    last = transactions.on_day(eve)
    first = write_day(history[~history.index.isin(last.index)], state / "history", "history")
    ingest(str(first), str(mapping), ingested_at=eve + _ARRIVAL)
    write_day(last, folder, f"{eve:%Y-%m-%d}")
    ingest(str(folder), str(mapping), ingested_at=START + _ARRIVAL)
    features(START, KNOWN_AT)
    trained = train(START, KNOWN_AT, TRAINING, GATES)
    promote(trained.model_version, reason="the first champion of a simulation")
    score(START, KNOWN_AT)
    save_served_model(settings, *RegistryClient(settings.mlflow_tracking_uri).download_by_alias(CHAMPION))


def code_fingerprint() -> str:
    """Compute the fingerprint of all code that the baseline depends on.

    Returns:
        12 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for pattern in _SOURCES:
        for path in sorted(ROOT.glob(pattern)):
            digest.update(str(path.relative_to(ROOT)).encode() + path.read_bytes())
    return digest.hexdigest()[:12]
