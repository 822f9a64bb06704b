"""Column mapping files."""

from pathlib import Path

import pytest

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import load_mapping

COLUMNS = "columns: {customer_id: a, event_timestamp: b, amount: c}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("columns: [", "not readable as YAML"),
        ("- a\n", "must be a YAML mapping that starts with `columns:`"),
        ("time_zone: UTC\n", "columns: missing. Add this key."),
        ("columns: {customer_id: a, amount: c}\n", "columns.event_timestamp: missing"),
        (
            "columns: {customer_id: a, event_timestamp: b, quantity: c}\n",
            "either amount, or both quantity and unit_price",
        ),
        (
            "columns: {customer_id: a, event_timestamp: b, amount: c, unit_price: d}\n",
            "map amount or unit_price, not both",
        ),
        ("columns: {customer_id: a, event_timestamp: b, amount: a}\n", "mapped to the same column"),
        (COLUMNS + "timezone: UTC\n", "timezone: unknown key. Known here: columns, timestamp_format, time_zone"),
        ("columns: {customer_id: a, event_timestamp: b, amount: c, price: d}\n", "columns.price: unknown key"),
        (COLUMNS + "cancellation: {column: a, starts_with: C, ends_with: D}\n", "cancellation.ends_with: unknown key"),
        (COLUMNS + "timestamp_format: '%Q'\n", "timestamp_format: 'Q' is a bad directive"),
        (COLUMNS + "timestamp_format: day/month\n", "has no directive"),
        (COLUMNS + "time_zone: Europe/Londno\n", "time_zone: 'Europe/Londno' is not an IANA time zone"),
        (COLUMNS + "encoding: latin1000\n", "encoding: 'latin1000' is not an encoding"),
        (COLUMNS + "delimiter: tabs\n", "delimiter: 'tabs' must be one character"),
        (COLUMNS + "exact_duplicates: drop\n", "exact_duplicates: Input should be 'keep' or 'quarantine'"),
        (COLUMNS + "max_bad_share: 2\n", "max_bad_share: Input should be less than or equal to 1"),
    ],
)
def test_load_mapping_with_invalid_content_names_file_and_key(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "export.yaml"
    path.write_text(text)
    with pytest.raises(IngestError) as error:
        load_mapping(path)
    assert str(path) in str(error.value)
    assert message in str(error.value)


def test_load_mapping_with_several_errors_reports_all(tmp_path: Path) -> None:
    path = tmp_path / "export.yaml"
    path.write_text(COLUMNS + "time_zone: Mars\ndelimiter: tabs\n")
    with pytest.raises(IngestError, match=r"(?s)time_zone.*delimiter"):
        load_mapping(path)


def test_load_mapping_with_missing_file_raises(tmp_path: Path) -> None:
    with pytest.raises(IngestError, match=r"nowhere\.yaml does not exist"):
        load_mapping(tmp_path / "nowhere.yaml")


def test_sha256_depends_on_values_not_on_formatting(tmp_path: Path) -> None:
    path = tmp_path / "export.yaml"
    digests = []
    for text in (COLUMNS, "# a comment\ntime_zone: UTC\n" + COLUMNS, COLUMNS + "time_zone: Europe/Paris\n"):
        path.write_text(text)
        digests.append(load_mapping(path).sha256)
    assert digests[0] == digests[1] != digests[2]
