"""The daily run: ingest, features, score; a step that fails ends it."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import REPLAY_MARKER, Settings
from holdfast.batch_scoring.scores_table import read_scores
from holdfast.batch_scoring.scoring_run import unscored_days
from holdfast.core.errors import IngestError
from holdfast.feature_store.materialization import OnlineStoreNewerError
from holdfast.ingestion.batches import list_batches
from tests.support.definition_versions import version_files
from tests.support.registered_versions import register_champion
from tests.support.small_shop import AS_OF, MAPPING, use_data_folder

NEXT = AS_OF + timedelta(days=1)


@pytest.fixture
def today(tmp_path: Path) -> tuple[list[str], list[str]]:
    """What came in on the last day: a new customer, and one who is known."""
    (tmp_path / "today.csv").write_text(f"id,when,amount\nnew,{AS_OF.isoformat()},5\nc000,{AS_OF.isoformat()},7\n")
    (tmp_path / "today.yaml").write_text(MAPPING)
    return [str(tmp_path / "today.csv")], [str(tmp_path / "today.yaml")]


@pytest.mark.long
def test_daily_new_transactions_are_in_the_scores_of_the_day(
    registry_shop: tuple[Settings, Any],
    client: Any,
    today: tuple[list[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from prefect.runtime import flow_run

    from flows.daily import daily

    version = register_champion(client)
    monkeypatch.setitem(vars(flow_run), "scheduled_start_time", NEXT + timedelta(hours=1))
    result = daily(*today)  # of the day that began an hour ago, whose midnight a backfill would ask for
    assert unscored_days(registry_shop[0], [NEXT]) == []
    assert result.ingested[0].rows_added == 2
    assert (result.built.as_of, result.built.current.materialized, result.built.current.parity.mismatches) == (
        NEXT,
        True,
        0,
    )
    assert result.scored is not None
    table = result.scored.table
    assert (table.as_of, table.model_version, result.scored.written) == (NEXT, version, True)
    scores = read_scores(table.path).set_index("customer_id")
    assert scores.loc["new", "active"]
    assert scores["reasons"].loc["c000"]
    ingested, features, scored = result.summary().splitlines()
    assert "2 rows added" in ingested
    assert "0 mismatches" in features
    assert scored.startswith("Scored ")

    again = daily(*today, as_of=NEXT)
    assert again.ingested[0].rows_added == 0
    assert not again.built.current.materialized
    assert again.scored is not None and not again.scored.written


def test_daily_without_champion_scores_no_customer(
    flows_in_process: None,
    shop: Settings,
    tmp_path: Path,
    today: tuple[list[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from flows.daily import daily

    countries = tmp_path / "countries.yaml"
    countries.write_text(
        "kind: attributes\ncolumns: {customer_id: id, event_timestamp: when, attributes: {country: amount}}\n"
    )
    monkeypatch.setenv("HOLDFAST_SOURCE", ":".join(today[0] * 2))
    monkeypatch.setenv("HOLDFAST_MAPPING", f"{today[1][0]}:{countries}")
    result = daily(as_of=NEXT)
    assert [(ingested.kind, ingested.rows_added) for ingested in result.ingested] == [
        ("transactions", 2),
        ("attributes", 2),
    ]
    assert result.built.current.parity.mismatches == 0
    assert result.scored is None
    assert result.summary().splitlines()[-1].startswith("No customer is scored. There is no registry at ")
    assert not shop.scores.exists()


def test_daily_failed_step_ends_the_run(
    registry_shop: tuple[Settings, Any],
    client: Any,
    today: tuple[list[str], list[str]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from flows.daily import daily
    from flows.features import materialize_task

    monkeypatch.setattr(materialize_task, "retry_delay_seconds", 0)
    settings = registry_shop[0]
    record = version_files(settings.data) / "online_state.json"
    state = record.read_bytes()
    register_champion(client)
    with pytest.raises(OnlineStoreNewerError, match="would leave newer values in the store"):
        daily(*today, as_of=AS_OF - timedelta(days=1))
    batches = len(list_batches(settings))
    Path(today[0][0]).write_text("id,amount\n1,5\n")
    with pytest.raises(IngestError):
        daily(*today, as_of=NEXT)
    assert len(list_batches(settings)) == batches
    assert record.read_bytes() == state
    assert not settings.scores.exists()


def test_daily_source_with_replayed_data_set_raises(
    flows_in_process: None, tmp_path: Path, today: tuple[list[str], list[str]]
) -> None:
    from flows.daily import daily

    data = tmp_path / "replayed"
    data.mkdir()
    (data / REPLAY_MARKER).touch()
    with use_data_folder(data), pytest.raises(IngestError, match="would be mixed with it permanently"):
        daily(*today)
    assert not (data / "batches").exists()
