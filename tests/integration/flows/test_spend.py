"""The spend model beside the champion: training, gates, promotion, one score table, and its faults."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from feature_repo.settings import Settings
from holdfast.batch_scoring.score_store import list_score_tables
from holdfast.batch_scoring.scores_table import read_scores
from holdfast.model_versions.gate_settings import RegressionGateSettings
from holdfast.model_versions.records import GatesRecord, PromotionRecord
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.models.promotion_signature import UnsignedVersionError, require_signed
from holdfast.models.registry_client import RegistryClient
from tests.support.prefect_server import received_events
from tests.support.registered_versions import copy_base_shop, register_champion
from tests.support.shop_fixtures import QUICK
from tests.support.small_shop import AS_OF, KNOWN_AT

pytestmark = pytest.mark.long

SPEND = "holdfast-spend"
ADDED = ["expected_spend", "value_at_risk", "spend_version"]


@pytest.fixture(scope="module")
def shop(prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Settings, Any]]:
    """Train the spend model once, beside a synthetic champion of churn; tests restore what they change."""
    from tests.support.small_shop import fast_flows

    with copy_base_shop(tmp_path_factory.mktemp("spend")) as (settings, client), fast_flows():
        register_champion(client)
        yield settings, client


@pytest.fixture(scope="module")
def trained(shop: tuple[Settings, Any]) -> Any:
    """Return the result of the training."""
    from flows.train import train

    return train(AS_OF, KNOWN_AT, QUICK, model="spend")


@pytest.fixture(scope="module")
def without_spend(shop: tuple[Settings, Any]) -> pd.DataFrame:
    """Return the scores from before there was a spend model."""
    from flows.score import score

    result = score(AS_OF, KNOWN_AT)
    assert (result.value_at_risk, result.spend_problem) == (None, "")
    table = read_scores(result.table.path)
    assert table[ADDED].isna().all(axis=None)
    return table


@pytest.fixture(scope="module")
def promoted(shop: tuple[Settings, Any], without_spend: pd.DataFrame, trained: Any) -> Any:
    """Promote the spend model, after the scores without it."""
    from flows.promote import promote

    return promote(model="spend")


def _spend_client(settings: Settings) -> Any:
    from holdfast.training.mlflow_client import open_registry

    return open_registry(settings, SPEND)


def test_train_registers_beside_the_champion(shop: tuple[Settings, Any], trained: Any) -> None:
    from flows.train import train

    settings, client = shop
    spend = _spend_client(settings)
    assert (trained.model_name, trained.model_version, trained.is_champion) == (SPEND, "1", False)
    assert spend.get_experiment_by_name(SPEND) is not None
    assert {str(item.version) for item in client.search_model_versions(f"name = '{MODEL_NAME}'")} == {"1"}
    contract = RegistryClient(settings.mlflow_tracking_uri, SPEND).get_by_alias(CHALLENGER).contract()
    assert (contract.label_name, contract.model_name, contract.examples) == ("spend", SPEND, [])
    assert len(contract.predicted_examples) > len(contract.inputs)
    again = train(AS_OF, KNOWN_AT, QUICK, model="spend")
    assert (again.model_version, again.trained, again.gates.computed) == ("1", False, False)
    assert "--model spend" in trained.summary()


def test_reproduce_gives_the_same_predictions_in_a_clean_process(shop: tuple[Settings, Any], trained: Any) -> None:
    from holdfast.lineage.reproduction import load_recorded_version, reproduce_version

    recorded = load_recorded_version(_spend_client(shop[0]), trained.model_version)
    result = reproduce_version(shop[0], recorded, lambda text: None)
    assert (result.identical, result.differences) == (True, [])
    assert result.rows == trained.evaluation.rows
    assert recorded.scores["model"].nunique() > 100


def test_lineage_of_batches_and_versions_names_the_model(shop: tuple[Settings, Any], trained: Any) -> None:
    from holdfast.lineage.batch_history import load_batch_history
    from holdfast.lineage.version_history import load_version_history
    from holdfast.reporting.lineage_tree import build_version_tree

    history = load_version_history(_spend_client(shop[0]), shop[0], trained.model_version)
    assert history.evaluation == trained.evaluation
    assert SPEND in str(build_version_tree(history).label)
    versions = load_batch_history(shop[0], history.batches[0].batch_id).versions
    assert [item.model_name for item in versions if item.aliases] == [SPEND]


def test_challenger_event_names_the_model(trained: Any) -> None:
    """The trigger of the rollout passes the model on."""
    found = received_events("holdfast.challenger.ready", lambda event: event["payload"]["model"] == "spend")
    assert trained.model_version in [event["payload"]["version"] for event in found]


def test_gates_and_promotion_concern_one_model(shop: tuple[Settings, Any], trained: Any, promoted: Any) -> None:
    settings, client = shop
    assert [gate.name for gate in trained.gates.gates if gate.verdict == "failed"] == []
    assert (promoted.version, promoted.previous) == ("1", None)
    spend = _spend_client(settings)
    gates, promotion = GatesRecord.load(spend, "1"), PromotionRecord.load(spend, "1")
    assert gates is not None
    assert promotion is not None
    assert (gates.verdict, promotion.previous) == ("passed", None)
    assert [*spend.get_registered_model(SPEND).aliases] == [CHAMPION]
    assert [*client.get_registered_model(MODEL_NAME).aliases] == [CHAMPION]
    assert PromotionRecord.load(client, "1") is None


def test_score_adds_spend_and_value_at_risk(
    shop: tuple[Settings, Any], without_spend: pd.DataFrame, promoted: Any
) -> None:
    from flows.score import score

    settings, _ = shop
    result = score(AS_OF, KNOWN_AT)
    table = read_scores(result.table.path)
    pd.testing.assert_frame_equal(table.drop(columns=ADDED), without_spend.drop(columns=ADDED))  # to the last bit
    assert (table["expected_spend"] >= 0).all()
    assert (table["value_at_risk"] == table["churn_probability"] * table["expected_spend"]).all()
    assert set(table["spend_version"]) == {"1"}
    assert result.value_at_risk == pytest.approx(table.loc[table["active"], "value_at_risk"].sum())
    assert "value at risk" in result.summary()
    assert not score(AS_OF, KNOWN_AT).written
    assert len(list_score_tables(settings)) == 2  # with the table from before the spend model


def _model_file(settings: Settings) -> Path:
    contract = RegistryClient(settings.mlflow_tracking_uri, SPEND).get_by_alias(CHAMPION).contract()
    files = (settings.mlflow / "artifacts").rglob("model.skops")
    (file,) = (item for item in files if hashlib.sha256(item.read_bytes()).hexdigest() == contract.model_sha256)
    return file


def _damage_file(settings: Settings) -> Any:
    file = _model_file(settings)
    content = file.read_bytes()
    file.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    return lambda: file.write_bytes(content)


def _remove_file(settings: Settings) -> Any:
    file = _model_file(settings)
    content = file.read_bytes()
    file.unlink()
    return lambda: file.write_bytes(content)


def _invalid_contract(settings: Settings) -> Any:
    client = _spend_client(settings)
    tag = client.get_model_version(SPEND, "1").tags["holdfast.served_model"]
    client.set_model_version_tag(SPEND, "1", "holdfast.served_model", "{}")
    return lambda: client.set_model_version_tag(SPEND, "1", "holdfast.served_model", tag)


def _alias_of_a_classification(settings: Settings) -> Any:
    client = _spend_client(settings)
    tag = client.get_model_version(SPEND, "1").tags["holdfast.served_model"]
    churn = client.get_model_version(MODEL_NAME, "1").tags["holdfast.served_model"]
    client.set_model_version_tag(SPEND, "1", "holdfast.served_model", churn)
    return lambda: client.set_model_version_tag(SPEND, "1", "holdfast.served_model", tag)


@pytest.mark.parametrize("fault", [_damage_file, _remove_file, _invalid_contract, _alias_of_a_classification])
def test_score_with_a_broken_spend_model_gives_the_same_churn(
    shop: tuple[Settings, Any], without_spend: pd.DataFrame, promoted: Any, fault: Any
) -> None:
    from flows.score import score

    settings, _ = shop
    whole = score(AS_OF, KNOWN_AT)
    earlier = read_scores(whole.table.path)
    restore = fault(settings)
    try:
        broken = score(AS_OF, KNOWN_AT)
        assert broken.spend_problem
        assert not broken.written  # the spend that was known stays
        pd.testing.assert_frame_equal(read_scores(broken.table.path), earlier)
        Path(whole.table.path).unlink()
        fresh = score(AS_OF, KNOWN_AT)
        table = read_scores(fresh.table.path)
        pd.testing.assert_frame_equal(table.drop(columns=ADDED), without_spend.drop(columns=ADDED))
        assert table[ADDED].isna().all(axis=None)
        assert "no expected spend" in fresh.summary()
    finally:
        restore()
    assert score(AS_OF, KNOWN_AT).spend_problem == ""


def test_service_loads_no_spend_model(shop: tuple[Settings, Any], promoted: Any) -> None:
    """The loader of the service refuses a regression, whatever alias names it."""
    from holdfast.models.loaded_model import UnusableModelError, load_verified_model

    contract, content = RegistryClient(shop[0].mlflow_tracking_uri, SPEND).download_by_alias(CHAMPION)
    with pytest.raises(UnusableModelError):
        load_verified_model(contract, content)


def test_train_promotes_a_version_that_passes_and_ends_in_order_with_one_that_fails(
    shop: tuple[Settings, Any], promoted: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The scheduled run: one parameter, no rollout; churn stays as it is."""
    from flows.score import score
    from flows.train import train

    settings, client = shop
    quick = QUICK.model_copy(update={"candidates": ["tweedie"]})
    limits = RegressionGateSettings(min_rank_correlation=0.999)
    with monkeypatch.context() as patch:
        patch.setattr("flows.gates.declared_thresholds", lambda declaration, thresholds: limits)
        refused = train(AS_OF, KNOWN_AT, quick, model="spend", promote=True)
    assert (refused.model_version, refused.gates.passed, refused.is_champion) == ("2", False, False)
    assert score(AS_OF, KNOWN_AT).spend_problem == ""
    spend = _spend_client(settings)
    assert [*spend.get_registered_model(SPEND).aliases] == [CHAMPION]
    other = train(AS_OF, KNOWN_AT, quick, model="spend", promote=True)
    assert (other.model_version, other.trained) == ("2", False)
    assert other.is_champion is other.gates.passed
    assert str(client.get_model_version_by_alias(MODEL_NAME, CHAMPION).version) == "1"
    found = {gate.name: gate for gate in other.gates.gates}["not surely worse than the champion"]
    assert found.value is not None
    assert "the test rows that version 1 has not learned" in found.detail


def test_promotion_signs_the_champions_of_every_model(shop: tuple[Settings, Any], promoted: Any) -> None:
    """The first key makes signatures a requirement for all models, whichever of them was promoted first."""
    for name in (MODEL_NAME, SPEND):
        version = RegistryClient(shop[0].mlflow_tracking_uri, name).get_by_alias(CHAMPION)
        require_signed(version, CHAMPION)
        with pytest.raises(UnsignedVersionError, match="signature of another version"):
            require_signed(replace(version, model_name="holdfast-other"), CHAMPION)
