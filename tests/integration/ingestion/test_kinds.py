"""Kinds of source: what transactions, attributes and events have in common, and what separates them."""

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import ibis
import pandas as pd
import pyarrow.parquet as pq
import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from holdfast.core.parquet_files import scan_parquet_files
from holdfast.feature_store.snapshots import effective_known_at
from holdfast.ingestion.batches import list_batches, table_files, transaction_files
from holdfast.ingestion.corrections import RestatedRowsError
from holdfast.ingestion.kinds import KINDS, TRANSACTIONS
from holdfast.ingestion.schemas import TABLE_SCHEMAS
from tests.support.ingest_pipeline import run_ingest
from tests.support.kind_sources import KIND_SOURCES, KindSource

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
every_kind = pytest.mark.parametrize("of_kind", KIND_SOURCES, ids=lambda source: source.kind)
SALES = "columns: {customer_id: id, event_timestamp: when, amount: amount}\n"


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


@pytest.mark.parametrize("kind", KINDS)
def test_table_schema_has_the_columns_of_the_kind(kind: str) -> None:
    assert list(TABLE_SCHEMAS[kind].to_schema().columns) == KINDS[kind].table.names  # type: ignore[index]


@every_kind
def test_source_of_a_kind_is_stored_once_and_grows(
    settings: Settings, tmp_path: Path, batches: Callable, of_kind: KindSource
) -> None:
    mapping = of_kind.write_mapping(tmp_path)
    first = run_ingest(settings, of_kind.write(tmp_path / "a.csv", 0, 20), mapping, NOW)
    assert (first.kind, first.rows_added, first.rows_quarantined) == (of_kind.kind, 20, 1)
    again = run_ingest(settings, of_kind.write(tmp_path / "a.csv", 0, 20), mapping, NOW + DAY)
    assert again.status == "already ingested"
    grown = run_ingest(settings, of_kind.write(tmp_path / "b.csv", 0, 30), mapping, NOW + DAY)
    assert (grown.rows_added, grown.rows_already_known, grown.rows_already_quarantined) == (10, 20, 1)
    for batch in batches():
        table = pq.read_table(settings.batches / batch.batch_id / of_kind.file)
        assert table.schema.equals(KINDS[of_kind.kind].table)
        assert (batch.kind, table.num_rows) == (of_kind.kind, batch.rows_added)
    assert len(table_files(settings, of_kind.kind)) == 2
    assert [table_files(settings, kind) for kind in KINDS if kind != of_kind.kind] == [[], []]


@every_kind
def test_replace_of_a_kind_restores_by_known_at(settings: Settings, tmp_path: Path, of_kind: KindSource) -> None:
    mapping = of_kind.write_mapping(tmp_path)
    old = run_ingest(settings, of_kind.write(tmp_path / "a.csv", 0, 20), mapping, NOW)
    source = of_kind.write(tmp_path / "b.csv", 0, 25)
    new = run_ingest(settings, source, mapping, NOW + DAY, (str(old.batch_id),))
    assert new.rows_added == 25
    for time, count in ((NOW, 20), (NOW + DAY, 25)):
        frames = [pd.read_parquet(file) for file in table_files(settings, of_kind.kind, time)]
        assert sum(map(len, frames)) == count
    short = of_kind.write(tmp_path / "c.csv", 0, 1)
    if of_kind.kind == "attributes":
        with pytest.raises(RestatedRowsError, match="are lost"):
            run_ingest(settings, short, mapping, NOW + 2 * DAY, (str(new.batch_id),))


def test_replace_of_another_kind_is_refused(settings: Settings, tmp_path: Path) -> None:
    sales, attributes, _ = KIND_SOURCES
    old = run_ingest(settings, sales.write(tmp_path / "a.csv", 0, 5), sales.write_mapping(tmp_path), NOW)
    source, mapping = attributes.write(tmp_path / "b.csv", 0, 5), attributes.write_mapping(tmp_path)
    with pytest.raises(IngestError, match="has transactions, and this source has attributes"):
        run_ingest(settings, source, mapping, NOW + DAY, (str(old.batch_id),))


def test_manifest_without_kind_has_transactions(settings: Settings, tmp_path: Path, batches: Callable) -> None:
    sales = KIND_SOURCES[0]
    run_ingest(settings, sales.write(tmp_path / "a.csv", 0, 5), sales.write_mapping(tmp_path), NOW)
    (path,) = settings.batches.glob("*/batch.json")
    manifest = json.loads(path.read_text())
    del manifest["kind"], manifest["rows_from_columns"]
    path.write_text(json.dumps(manifest))
    assert [batch.kind for batch in batches()] == ["transactions"]
    assert len(transaction_files(settings)) == 1


def test_batch_without_source_column_is_read_beside_one_with_it(settings: Settings, tmp_path: Path) -> None:
    sales = KIND_SOURCES[0]
    run_ingest(settings, sales.write(tmp_path / "a.csv", 0, 5), sales.write_mapping(tmp_path), NOW)
    (file,) = transaction_files(settings)
    pq.write_table(pq.read_table(file).drop_columns("source"), file)  # as before the column
    till = _write(
        tmp_path / "till.yaml",
        sales.mapping.replace("quantity: quantity", "quantity: quantity, source: {constant: till}"),
    )
    grown = run_ingest(settings, sales.write(tmp_path / "b.csv", 0, 8), sales.write_mapping(tmp_path), NOW + DAY)
    assert (grown.rows_added, grown.rows_already_known) == (3, 5)
    other = run_ingest(settings, sales.write(tmp_path / "c.csv", 20, 24), till, NOW + 2 * DAY)
    assert other.rows_added == 4
    table = scan_parquet_files(ibis.duckdb.connect(), transaction_files(settings), TRANSACTIONS.table)
    assert sorted(table.source.to_pyarrow().to_pylist(), key=str) == [None] * 8 + ["till"] * 4


def test_equal_sales_of_two_sources_are_two_and_a_renamed_source_is_refused(settings: Settings, tmp_path: Path) -> None:
    def ingest(source: str, rows: list[str], number: int) -> int:
        path = _write(tmp_path / f"{number}.csv", "\n".join(["id,when,amount", *rows]) + "\n")
        mapping = _write(tmp_path / "m.yaml", SALES.replace("amount}", f"amount, source: {{constant: {source}}}}}"))
        return run_ingest(settings, path, mapping, NOW + number * DAY).rows_added

    shop = [f"{number},2025-01-{1 + number:02},{number}.5" for number in range(1, 20)]
    till = [f"{number},2025-02-{1 + number:02},{number}.5" for number in range(1, 20)]
    assert ingest("shop", shop, 0) == 19
    assert ingest("till", [*till, shop[0]], 1) == 20
    with pytest.raises(RestatedRowsError, match=r"18 new rows equal stored rows.* except for source"):
        ingest("web", [*shop, "99,2025-01-30,5"], 2)


def test_one_file_gives_transactions_attributes_and_events(
    settings: Settings, tmp_path: Path, batches: Callable
) -> None:
    path = _write(
        tmp_path / "orders.csv", "id,when,amount,Country,k\na,2025-01-01,5,UK,visit\na,2025-02-01,6,UK,mail\n"
    )
    common = "columns: {customer_id: id, event_timestamp: when, "
    mappings = [
        SALES,
        f"kind: attributes\n{common}attributes: {{country: Country}}}}\n",
        f"kind: attributes\n{common}attributes: {{channel: k}}}}\n",
        f"kind: events\n{common}kind: k}}\nwhere: {{k: visit}}\n",
        f"kind: events\n{common}kind: k}}\nwhere: {{k: mail}}\n",
    ]
    added = [
        run_ingest(settings, path, _write(tmp_path / "m.yaml", text), NOW + number * DAY).rows_added
        for number, text in enumerate(mappings)
    ]
    assert added == [2, 1, 2, 1, 1]
    city = mappings[1].replace("country: Country", "country: amount")
    with pytest.raises(RestatedRowsError, match="read by another mapping"):
        run_ingest(settings, path, _write(tmp_path / "m.yaml", city), NOW + 9 * DAY)


def test_batch_of_any_kind_affects_the_snapshots_after_its_rows(settings: Settings, tmp_path: Path) -> None:
    sales, attributes, events = KIND_SOURCES
    run_ingest(settings, sales.write(tmp_path / "a.csv", 0, 5), sales.write_mapping(tmp_path), NOW)
    late = datetime(2025, 6, 1, tzinfo=UTC)
    for number, of_kind in ((1, attributes), (2, events)):
        path = of_kind.write(tmp_path / f"{of_kind.kind}.csv", 0, 5)
        run_ingest(settings, path, of_kind.write_mapping(tmp_path), NOW + number * DAY)
        found = list_batches(settings)
        assert effective_known_at(found, late, NOW + 9 * DAY) == NOW + number * DAY
        assert effective_known_at(found, late, NOW) == NOW
        assert effective_known_at(found, datetime(2025, 1, 1, 12, tzinfo=UTC), NOW + 9 * DAY) == NOW + number * DAY


def test_restated_events_are_refused(settings: Settings, tmp_path: Path) -> None:
    mapping = KIND_SOURCES[2].write_mapping(tmp_path)
    rows = [f"{number},2025-01-{1 + number:02} 10:00,visit,{number}" for number in range(1, 20)]
    run_ingest(settings, _write(tmp_path / "a.csv", "\n".join(["id,when,kind,minutes", *rows]) + "\n"), mapping, NOW)
    for change, column in ((",visit,", ",visit,7"), (" 10:00", " 11:00")):
        changed = "\n".join(["id,when,kind,minutes", *(row.replace(change, column) for row in rows)])
        with pytest.raises(RestatedRowsError, match="of one event would be in the table"):
            run_ingest(settings, _write(tmp_path / "b.csv", changed + "\n"), mapping, NOW + DAY)
    delivered = "\n".join(["id,when,kind,minutes", *(row.replace("visit", "mail") for row in rows)])
    assert run_ingest(settings, _write(tmp_path / "c.csv", delivered + "\n"), mapping, NOW + DAY).rows_added == 19


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("kind: visits\n", "kind: Input should be 'transactions', 'attributes' or 'events'"),
        ("kind: events\n", "amount is a field of a mapping with `kind: transactions`; this one has `kind: events`"),
        ("missing_values: [x]\n", "missing_values is a key of attributes; this mapping has `kind: transactions`"),
    ],
)
def test_mapping_of_the_wrong_kind_is_refused_with_the_key(
    settings: Settings, tmp_path: Path, text: str, message: str
) -> None:
    with pytest.raises(IngestError) as error:
        run_ingest(settings, tmp_path / "none.csv", _write(tmp_path / "m.yaml", text + SALES), NOW)
    assert message in str(error.value)
