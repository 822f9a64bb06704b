"""Batch scoring: equal to the service, one file per time, earlier scores are archived."""

import errno
import json
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from holdfast.batch_scoring import scores_table as scores_module
from holdfast.batch_scoring.score_store import list_score_tables
from holdfast.batch_scoring.scores_table import read_scores
from holdfast.batch_scoring.scoring_run import NoActiveCustomersError
from holdfast.feature_store.missing_versions import MissingVersionError
from holdfast.models.contract import CHAMPION, MODEL_NAME, SERVED_MODEL_TAG
from holdfast.models.registered_version import NoSuchAliasError
from holdfast.models.registry_client import RegistryClient
from tests.support.registered_versions import register_champion
from tests.support.score_tables import stat_score_files
from tests.support.small_shop import AS_OF, KNOWN_AT, join_process, prefect_api, start_process, transactions

EVERYBODY = sorted({row.customer_id for row in transactions() if row.amount > 0})


@pytest.fixture
def settings(registry_shop: tuple[Settings, Any]) -> Settings:
    """Settings of a shop with a registered champion."""
    return registry_shop[0]


@pytest.fixture(params=["logistic", pytest.param("boosting", marks=pytest.mark.long)])
def served(request: pytest.FixtureRequest, settings: Settings, client: Any) -> Iterator[tuple[Settings, Any]]:
    """The service over HTTP with a champion of each family, on the shop's own features."""
    from holdfast.packaging.bento_stores import save_served_model
    from tests.support.http_service import serve_over_http

    register_champion(client, request.param)
    save_served_model(settings, *RegistryClient(settings.mlflow_tracking_uri).download_by_alias(CHAMPION))
    with serve_over_http(settings.data, HOLDFAST_CLOCK="data") as address, address.client() as http:
        yield settings, http


def test_score_equals_the_service_bit_for_bit(served: tuple[Settings, Any]) -> None:
    from flows.score import score

    _, http = served
    result = score(AS_OF, KNOWN_AT)
    table = read_scores(result.table.path)
    asked = {"customer_ids": EVERYBODY, "as_of": AS_OF.isoformat(), "explain": True}
    answer = http.post("/predict_batch", json=asked).json()
    assert as_utc(datetime.fromisoformat(answer["as_of"])) == AS_OF
    assert [item["customer_id"] for item in answer["predictions"]] == table["customer_id"].tolist() == EVERYBODY
    assert {item["status"] for item in answer["predictions"]} == {"ok"}
    for row, item in zip(table.to_dict("records"), answer["predictions"], strict=True):
        for name in ("churn_probability", "will_churn", "active", "stale", "model_version"):
            assert row[name] == item[name], (row["customer_id"], name)  # JSON keeps every bit of a float
        assert row["threshold"] == answer["threshold"]
        assert row["feature_timestamp"] == datetime.fromisoformat(item["feature_timestamp"])
        reasons = [{"text": text} | why for text, why in zip(row["reasons"], row["reason_details"], strict=True)]
        assert reasons == item["explanation"]["reasons"]
    assert 0 < table["active"].sum() < len(table)
    assert 0 < table["will_churn"].sum() < len(table)
    assert result.customers == len(EVERYBODY)
    assert result.active == table["active"].sum()
    assert result.will_churn == (table["active"] & table["will_churn"]).sum()
    alone = http.post("/predict", json={"customer_id": "c007", "explain": True}).json()
    assert alone["explanation"] == answer["predictions"][EVERYBODY.index("c007")]["explanation"]


def test_score_saves_table_and_plot_artifacts(settings: Settings, client: Any) -> None:
    from prefect.artifacts import Artifact

    from flows.score import score

    version = register_champion(client)
    result = score(AS_OF, KNOWN_AT)
    assert f"{len(EVERYBODY)} customers as of 2024-07-01 00:00 UTC by version {version}" in result.summary()
    table, plot = Artifact.get("scores"), Artifact.get("scores-plot")
    assert table is not None and plot is not None
    active, others = json.loads(table.data)
    assert active["scored"] == result.active
    assert active["will churn"] == result.will_churn
    assert active["scored"] + others["scored"] == len(EVERYBODY)
    assert plot.data.startswith("data:image/png;base64,iVBOR")


def test_score_again_changes_nothing(settings: Settings, client: Any) -> None:
    from flows.score import score

    register_champion(client)
    first = score(AS_OF, KNOWN_AT)
    before = stat_score_files(settings)
    again = score(AS_OF, KNOWN_AT + timedelta(days=1))
    assert (first.written, again.written) == (True, False)
    assert again.summary().startswith("Scored before, from the same data: ")
    assert stat_score_files(settings) == before
    assert (again.customers, again.active, again.will_churn) == (first.customers, first.active, first.will_churn)


def test_score_new_champion_replaces_table_and_archives_previous(settings: Settings, client: Any) -> None:
    from flows.score import score

    first = register_champion(client)
    early = score(AS_OF, KNOWN_AT)
    before = read_scores(early.table.path)
    second = register_champion(client, "boosting")
    late = score(AS_OF, KNOWN_AT)
    assert (late.table.path, late.replaced, late.table.model_version) == (early.table.path, first, second)
    assert "The table of version" in late.summary()
    replaced, current = list_score_tables(settings)
    assert (replaced.model_version, replaced.current) == (first, False)
    assert (current.model_version, current.current, current.path) == (second, True, late.table.path)
    assert {item.as_of for item in (replaced, current)} == {AS_OF}
    assert read_scores(replaced.path).equals(before)
    assert set(read_scores(current.path)["model_version"]) == {second}

    client.set_registered_model_alias(MODEL_NAME, CHAMPION, first)  # rolled back
    assert score(AS_OF, KNOWN_AT).replaced == second
    assert [(item.model_version, item.current) for item in list_score_tables(settings)] == [
        (second, False),
        (first, True),
    ]
    assert read_scores(early.table.path).equals(before)


def test_score_late_data_is_another_table(settings: Settings, client: Any) -> None:
    from flows.score import score

    register_champion(client)
    june = datetime(2024, 6, 1, tzinfo=AS_OF.tzinfo)
    score(june, june)  # late rows and all of May come a day later
    late = score(june, KNOWN_AT)
    assert late.written
    earlier, current = list_score_tables(settings)
    assert earlier.known_at < current.known_at
    assert len(read_scores(earlier.path)) < len(read_scores(current.path))


def test_list_score_tables_ignores_foreign_files(settings: Settings, client: Any) -> None:
    from flows.score import score

    register_champion(client)
    settings.scores.mkdir()
    (settings.scores / "2024-07-01.parquet").write_bytes(b"PAR1 half")
    read_scores(score(AS_OF, KNOWN_AT).table.path)
    (settings.scores / "notes.parquet").write_bytes(b"mine")
    assert [item.as_of for item in list_score_tables(settings)] == [AS_OF]


def test_score_without_champion_raises(settings: Settings) -> None:
    from flows.score import score

    with pytest.raises(NoSuchAliasError, match=r"has no champion .*python -m flows\.train.*python -m flows\.promote"):
        score(AS_OF, KNOWN_AT)
    assert not settings.scores.exists()


def test_score_champion_of_other_definitions_raises(settings: Settings, client: Any) -> None:
    from flows.score import score

    version = register_champion(client)
    contract = json.loads(client.get_model_version(MODEL_NAME, version).tags[SERVED_MODEL_TAG])
    contract["fingerprint"]["on_demand"] = "0" * 64
    client.set_model_version_tag(MODEL_NAME, version, SERVED_MODEL_TAG, json.dumps(contract))
    with pytest.raises(MissingVersionError, match=r"of the feature definitions is not registered"):
        score(AS_OF, KNOWN_AT)
    assert not settings.scores.exists()


def test_score_without_active_customers_raises(settings: Settings, client: Any) -> None:
    from flows.score import score

    register_champion(client)
    with pytest.raises(
        NoActiveCustomersError, match="no customer with a purchase in the 180 days before 2025-01-01 00:00 UTC"
    ):
        score(datetime(2025, 1, 1, tzinfo=AS_OF.tzinfo))
    assert stat_score_files(settings) == {}


def _score() -> None:
    from flows.score import score

    score(AS_OF, KNOWN_AT)


@pytest.mark.long
def test_score_two_concurrent_runs_write_one_complete_file(settings: Settings, client: Any) -> None:
    register_champion(client)
    children = [start_process(_score, settings.data, api=prefect_api()) for _ in range(2)]
    assert [join_process(child) for child in children] == [0, 0]
    (path,) = stat_score_files(settings)
    assert path == "2024-07-01.parquet"
    assert read_scores(settings.scores / path)["customer_id"].tolist() == EVERYBODY


def test_score_full_disk_leaves_previous_table(
    settings: Settings, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.score import score

    first = register_champion(client)
    before = read_scores(score(AS_OF, KNOWN_AT).table.path)
    register_champion(client, "boosting")

    def full(table: Any, path: Path) -> None:
        path.write_bytes(b"PAR1 half")
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(scores_module.pq, "write_table", full)
    with pytest.raises(OSError, match="No space left"):
        score(AS_OF, KNOWN_AT)
    monkeypatch.undo()
    assert [(item.model_version, item.current) for item in list_score_tables(settings)] == [(first, True)]
    assert read_scores(settings.scores / "2024-07-01.parquet").equals(before)
    assert not list(settings.scores.rglob(".writing-*"))
