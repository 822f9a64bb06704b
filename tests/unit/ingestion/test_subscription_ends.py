"""Ends of subscriptions as times: formats, erased values, and rows that go to quarantine."""

from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from holdfast.ingestion.batches import table_files
from tests.support.ingest_pipeline import run_ingest

ARRIVAL = datetime(2025, 6, 1, tzinfo=UTC)
WIDE = (
    "kind: attributes\n"
    "columns: {customer_id: id, event_timestamp: since, attributes: {subscription_end: until, plan: plan}}\n"
    "erased_values: [cancelled]\n"
)
LONG = "kind: attributes\ncolumns: {customer_id: id, event_timestamp: since, attribute: field, value: until}\n"


def ingest(folder: Path, mapping: str, *lines: str) -> tuple[dict[tuple[str, str], str | None], dict[str, int]]:
    """Ingest lines of a file; returns the stored values by customer and attribute, and the quarantine reasons."""
    source, file = folder / "subscriptions.csv", folder / "mapping.yaml"
    source.write_text("\n".join(lines) + "\n")
    file.write_text(mapping)
    settings = Settings(data=folder / "data")
    result = run_ingest(settings, source, file, ARRIVAL)
    rows = pd.concat([pd.read_parquet(path) for path in table_files(settings, "attributes")])
    stored = {(row.customer_id, row.attribute): row.value for row in rows.itertuples()}
    return stored, result.reasons


@pytest.mark.parametrize(
    ("extra", "since", "until", "stored"),
    [
        ("", "2025-01-01", "2025-03-31", "2025-03-31T00:00:00Z"),
        ("time_zone: Europe/Berlin\n", "2025-01-01", "2025-03-31", "2025-03-30T22:00:00Z"),
        ("", "2025-01-01T08:00:00Z", "2025-03-31T12:00:00.9999+02:00", "2025-03-31T10:00:00.999900Z"),
        ('timestamp_format: "%d.%m.%Y"\n', "01.01.2025", "31.03.2025", "2025-03-31T00:00:00Z"),
        ("timestamp_format: [epoch_seconds, iso8601]\n", "1735689600", "2025-03-31", "2025-03-31T00:00:00Z"),
        ("", "2025-01-01", "9999-12-31", "2261-12-31T00:00:00Z"),
        ("", "2025-01-01", "cancelled", None),
    ],
)
def test_end_is_stored_as_time_in_utc(tmp_path: Path, extra: str, since: str, until: str, stored: str | None) -> None:
    found, reasons = ingest(tmp_path, WIDE + extra, "id,since,until,plan", f"a,{since},{until},31.03.2025")
    assert reasons == {}
    assert found == {("a", "subscription_end"): stored, ("a", "plan"): "31.03.2025"}


def test_other_attributes_of_long_format_stay_texts(tmp_path: Path) -> None:
    lines = ["a,2025-01-01,subscription_end,2025-03-31", "a,2025-01-01,plan,2025-03-31", "b,2025-01-01,plan,gold"]
    found, _ = ingest(tmp_path, LONG, "id,since,field,until", *lines)
    assert found == {
        ("a", "subscription_end"): "2025-03-31T00:00:00Z",
        ("a", "plan"): "2025-03-31",
        ("b", "plan"): "gold",
    }


def test_wrong_ends_go_to_quarantine_with_their_reason(tmp_path: Path) -> None:
    lines = [
        "good,2025-01-01,2025-02-01,",
        "today,2025-02-01T18:00:00,2025-02-01,",
        "text,2025-01-01,soon,",
        "early,2025-02-02T18:00:00,2025-02-01,",
        "blank,2025-01-01,,gold",
    ]
    found, reasons = ingest(tmp_path, WIDE, "id,since,until,plan", *lines)
    assert set(found) == {("good", "subscription_end"), ("today", "subscription_end"), ("blank", "plan")}
    assert reasons == {
        "subscription_end is not a timestamp": 1,
        "subscription_end is before the time from which it is valid": 1,
    }


def test_ends_in_another_format_are_refused_with_the_format(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=r"can be read as subscription_end \(expected ISO 8601.*timestamp_format"):
        ingest(tmp_path, WIDE, "id,since,until,plan", "a,2025-01-01,31.03.2025,", "b,2025-01-02,30.04.2025,")
