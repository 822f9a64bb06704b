"""Shop with registered versions: real models and rows, with a given evaluation."""

import functools
import hashlib
import json
import os
import shutil
import signal
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from feature_repo.names import FEATURE_SERVICE
from feature_repo.settings import Settings
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.model_versions.records import GatesRecord
from holdfast.models.calibrated_classifier import CalibratedModel
from holdfast.models.contract import CHAMPION, MODEL_FILE, MODEL_NAME, SERVED_MODEL_TAG, ServedModel
from holdfast.training.calibration import fit_calibrator
from holdfast.training.contract_builder import score_examples
from holdfast.training.evaluation_report import EVALUATION_FILE, Evaluation
from holdfast.training.fitting import fit_model
from holdfast.training.model_families import FAMILIES
from holdfast.training.recipe import RECIPE_FILE, Recipe
from tests.support.gate_evidence import good_evaluation
from tests.support.labels import purchase_label
from tests.support.main_job import STATE
from tests.support.small_shop import (
    AS_OF,
    KNOWN_AT,
    build_features,
    copy_shop,
    register_definitions,
    registered_store,
    use_data_folder,
)

# The evaluation is to order, the rest is real: on so few customers no interval of a comparison is narrow.
LENIENT: dict[str, Any] = {"max_loss_to_champion": 0.05, "max_latency_ms": 1000}


@dataclass(frozen=True)
class BaseShop:
    """Shop with features, parity report and an empty registry; read-only."""

    data: Path
    development: Any
    test: Any
    fingerprint: dict[str, str]


@functools.cache
def base_shop() -> BaseShop:
    """Build the base shop once per process."""
    from holdfast.core.definition_hashes import feature_fingerprint
    from holdfast.feature_store.parity import check_parity, save_parity
    from holdfast.feature_store.snapshots import read_customers
    from holdfast.models.fingerprint import fingerprint
    from holdfast.training.dataset import build_training_set, find_labeled_cutoffs
    from holdfast.training.mlflow_client import open_tracking
    from holdfast.training.time_split import select_closed_cutoffs

    folder = Path(tempfile.mkdtemp(dir=STATE, prefix="base-shop-"))
    with use_data_folder(copy_shop(folder)) as settings:
        snapshot = build_features(settings)
        version, store = register_definitions(), registered_store()
        report = check_parity(store, registered_store(KNOWN_AT), read_customers(snapshot), AS_OF)
        save_parity(settings, version, report, KNOWN_AT, feature_fingerprint(store))
        cutoffs = find_labeled_cutoffs(settings, AS_OF, KNOWN_AT, 30).used
        data = build_training_set(settings, version, cutoffs, AS_OF, KNOWN_AT)
        development = data.at_cutoffs(select_closed_cutoffs(cutoffs, cutoffs[-4], settings.horizon_days))
        open_tracking(settings).create_registered_model(MODEL_NAME)
        return BaseShop(settings.data, development, data.at_cutoffs(cutoffs[-4:]), fingerprint(store, purchase_label()))


@contextmanager
def copy_base_shop(folder: Path) -> Iterator[tuple[Settings, Any]]:
    """Use a copy of the base shop in this process; yield its settings and MLflow's client."""
    from holdfast.training.mlflow_client import open_tracking

    data = Path(shutil.copytree(base_shop().data, folder / "data"))
    with sqlite3.connect(data / "mlflow" / "mlflow.db") as database:
        place = (data / "mlflow" / "artifacts").as_uri()
        database.execute("UPDATE experiments SET artifact_location = ? WHERE name = 'holdfast-churn'", (place,))
    database.close()
    with use_data_folder(data) as settings:
        yield settings, open_tracking(settings)


@functools.cache
def fit_kind(kind: str = "good") -> Any:
    """Fit a model: good, noisy (labels half at random), inverted (opposite labels), or of a family."""
    development = base_shop().development
    if kind in FAMILIES:
        classifier = fit_model(kind, FAMILIES[kind].defaults, development, 0)
        log_odds = classifier.decision_function(development.x)
        return CalibratedModel(classifier, fit_calibrator("sigmoid", log_odds, development.y))
    if kind == "good":
        return fit_model("logistic", {"C": 0.01}, development, 0)
    churned = development.y.copy()
    if kind == "noisy":
        rng = np.random.default_rng(0)
        churned = np.where(rng.random(len(churned)) < 0.9, rng.random(len(churned)) < 0.5, churned)
    if kind == "inverted":
        churned = ~churned
    steps = [SimpleImputer(strategy="median", add_indicator=True), StandardScaler(), LogisticRegression(C=0.01)]
    return make_pipeline(*steps).fit(development.x, churned)


def register_version(
    client: Any,
    kind: str = "good",
    evaluation: Evaluation | None = None,
    without: str = "",
    tags: dict[str, str] | None = None,
    **contract: Any,
) -> str:
    """Register a version as training does and return its number; ``without`` names a file missing in its run."""
    fitted, test, development = fit_kind(kind), base_shop().test, base_shop().development
    files = {
        EVALUATION_FILE: (evaluation or good_evaluation()).model_dump_json(),
        RECIPE_FILE: Recipe(
            family="logistic",
            params={"C": 0.01},
            calibration="none",
            seed=0,
            threshold=0.4,
            folds=(),
            development=tuple(development.keys["cutoff"].unique()),
            test=tuple(test.keys["cutoff"].unique()),
            digests={},
        ).model_dump_json(),
        "lineage.json": json.dumps({"as_of": AS_OF.isoformat(), "known_at": KNOWN_AT.isoformat()}),
    }
    names = [feature.name for feature in test.inputs]
    served = {
        "model_name": MODEL_NAME,
        "model_version": "",
        "feature_service": FEATURE_SERVICE,
        "inputs": names,
        "reference": [0.0] * len(names),
        "threshold": 0.4,
        "horizon_days": 90,
        "activity_days": 180,
        "label_sql": purchase_label().sql,
        "fingerprint": base_shop().fingerprint,
        "examples": score_examples(fitted, [[0.0] * len(names)]),
    }
    experiment = client.get_experiment_by_name("holdfast-churn").experiment_id
    run = client.create_run(experiment)
    with tempfile.TemporaryDirectory() as folder:
        for name, text in files.items():
            (Path(folder) / name).write_text(text)
        scores = {"model": fitted.predict_proba(test.x)[:, 1], "base_rate": development.y.mean()}
        frame: pd.DataFrame = test.keys.assign(churned=test.y, **scores)
        frame.to_parquet(Path(folder) / "test_predictions.parquet", index=False)
        (Path(folder) / "model").mkdir()
        skops.io.dump(fitted, Path(folder) / "model" / MODEL_FILE)
        served["model_sha256"] = hashlib.sha256((Path(folder) / "model" / MODEL_FILE).read_bytes()).hexdigest()
        if without:
            (Path(folder) / without).unlink()
        client.log_artifacts(run.info.run_id, folder)
    client.set_terminated(run.info.run_id)
    known = {SERVED_MODEL_TAG: ServedModel(**served | contract).model_dump_json()} | (tags or {})
    source = f"{run.info.artifact_uri}/model"
    return str(client.create_model_version(MODEL_NAME, source, run.info.run_id, tags=known).version)


def record_passed_gates(
    client: Any, version: str, champion: str | None, when: datetime | None = None, key: str = "k"
) -> None:
    """Record on a version that it passed its gates beside ``champion``."""
    when = when or datetime.now(UTC)
    GatesRecord(verdict="passed", champion=champion, settings="s", when=when, failed=[], key=key).save(client, version)


def kill_process_at(call: str, nth: int = 1) -> None:
    """Kill this process at the nth of these calls of MLflow's client."""
    from mlflow import MlflowClient

    original, calls = getattr(MlflowClient, call), 0

    def fatal(*arguments: Any, **options: Any) -> Any:
        nonlocal calls
        calls += 1
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments, **options)

    setattr(MlflowClient, call, fatal)


def read_aliases(client: Any) -> dict[str, str]:
    """Return alias to version."""
    return {name: str(version) for name, version in client.get_registered_model(MODEL_NAME).aliases.items()}


def list_failed_gates(result: Any) -> dict[str, str]:
    """Return the name of each failed gate and its detail."""
    assert result.passed is (not result.failed)
    return {gate.name: gate.detail for gate in result.gates if gate.name in result.failed}


def run_gates(version: str, **settings: Any) -> Any:
    """Run the gates with lenient thresholds for a small shop and a slow machine."""
    from flows.gates import gates

    return gates(version, GateSettings(**LENIENT | settings))


def register_champion(client: Any, kind: str = "logistic", **contract: Any) -> str:
    """Register a version as the champion."""
    version = register_version(client, kind, **contract)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
    return version
