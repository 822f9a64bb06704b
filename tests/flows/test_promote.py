"""Promotion: every check can stop a version, and only the alias ever moves."""

import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_repo.model_contract import MODEL_NAME
from flows.promotion.checks import PromotionSettings
from flows.promotion.registry import UnknownVersionError, champion_version
from tests.flows.conftest import Trained
from tests.flows.small_shop import at_work_on

GOOD = {
    "test.model.roc_auc": 0.8,
    "test.recency.roc_auc": 0.7,
    "test.model.brier": 0.18,
    "test.base_rate.brier": 0.25,
}
Plant = Callable[[dict[str, float]], str]


@pytest.fixture
def registry(trained: Trained, tmp_path: Path) -> Iterator[Any]:
    """MLflow's client on a copy of the database of the trained shop."""
    from flows.training.tracking import open_mlflow

    (tmp_path / "data" / "mlflow").mkdir(parents=True)
    shutil.copy(trained.data / "mlflow" / "mlflow.db", tmp_path / "data" / "mlflow" / "mlflow.db")
    with at_work_on(tmp_path / "data") as settings:
        yield open_mlflow(settings)


@pytest.fixture
def plant(registry: Any, trained: Trained) -> Plant:
    """Register a version whose run has these test metrics; returns its number."""

    def register(metrics: dict[str, float]) -> str:
        run = registry.create_run(registry.get_run(trained.result.run_id).info.experiment_id)
        for name, value in metrics.items():
            registry.log_metric(run.info.run_id, name, value)
        registry.set_terminated(run.info.run_id)
        source = registry.get_model_version(MODEL_NAME, trained.result.model_version).source
        return str(registry.create_model_version(MODEL_NAME, source, run.info.run_id).version)

    return register


def test_the_latest_version_is_promoted_once(flows_here: None, registry: Any, plant: Plant) -> None:
    from flows.promote import promote

    first, second = plant(GOOD), plant(GOOD)
    assert int(second) == int(first) + 1
    result = promote()
    assert (result.version, result.previous, result.moved) == (second, None, True)
    assert all(check.passed for check in result.checks)
    assert champion_version(registry) == second
    again = promote(second)
    assert (again.version, again.previous, again.moved) == (second, second, False)
    back = promote(first)
    assert (back.version, back.previous, back.moved) == (first, second, True)
    assert champion_version(registry) == first


FAILURES: dict[str, tuple[dict[str, float], str]] = {
    "ROC-AUC": (
        GOOD | {"test.model.roc_auc": 0.55, "test.recency.roc_auc": 0.5},
        "ROC-AUC is 0.5500, wants at least 0.6",
    ),
    "above recency": (
        GOOD | {"test.recency.roc_auc": 0.79},
        f"ROC-AUC above recency alone is {0.8 - 0.79:.4f}, wants at least 0.02",
    ),
    "Brier": (
        GOOD | {"test.model.brier": 0.3},
        f"Brier score below the base rate's is {0.25 - 0.3:.4f}, wants at least 0.0",
    ),
    "not computed": (
        {name: value for name, value in GOOD.items() if name != "test.recency.roc_auc"},
        "ROC-AUC above recency alone is not computed, wants at least 0.02",
    ),
}


@pytest.mark.parametrize("name", FAILURES)
def test_a_failed_check_stops_it_and_the_champion_stays(
    flows_here: None, registry: Any, plant: Plant, name: str
) -> None:
    from flows.promote import PromotionRefusedError, promote

    metrics, reason = FAILURES[name]
    champion = plant(GOOD)
    promote(champion)
    worse = plant(metrics)
    with pytest.raises(PromotionRefusedError) as error:
        promote()
    said = f"{MODEL_NAME} version {worse} stays out: {reason}. The champion is unchanged. "
    assert str(error.value).startswith(said)
    assert champion_version(registry) == champion


def test_several_failures_are_all_named(flows_here: None, registry: Any, plant: Plant) -> None:
    from flows.promote import PromotionRefusedError, promote

    plant({})
    missing = "not computed"
    with pytest.raises(
        PromotionRefusedError, match=rf"ROC-AUC is {missing}.*recency alone is {missing}.*Brier.*is {missing}"
    ):
        promote()
    assert champion_version(registry) is None


def test_thresholds_can_be_moved(flows_here: None, registry: Any, plant: Plant) -> None:
    from flows.promote import PromotionRefusedError, promote

    version = plant(GOOD)
    with pytest.raises(PromotionRefusedError, match=r"ROC-AUC is 0\.8000, wants at least 0\.81"):
        promote(version, PromotionSettings(min_roc_auc=0.81))
    assert promote(version, PromotionSettings(min_roc_auc=0.8)).moved


@pytest.mark.parametrize("version", ["999", "latest", "-1"])
def test_an_unknown_version_is_named(flows_here: None, registry: Any, version: str) -> None:
    from flows.promote import promote

    with pytest.raises(UnknownVersionError, match=f"{MODEL_NAME} has no version {version}.*python -m flows.train"):
        promote(version)
    assert champion_version(registry) is None


def test_an_empty_registry_is_named(flows_here: None, registry: Any, trained: Trained, tmp_path: Path) -> None:
    from flows.promote import promote

    registry.delete_registered_model(MODEL_NAME)
    with pytest.raises(UnknownVersionError, match=f"{MODEL_NAME} has no version at all"):
        promote()
    assert os.environ["HOLDFAST_DATA"] == str(tmp_path / "data")
