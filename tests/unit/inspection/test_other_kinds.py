"""First look at a source of attributes or events: a draft of its mapping."""

from pathlib import Path

import pytest
import yaml

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.inspection.mapping_proposer import propose_mapping

ROWS = [
    f"c{number % 40:03},{1 + number % 28:02}.{1 + number % 12:02}.2025,{['UK', 'FR', 'DE'][number % 3]},"
    f"{'visit' if number % 2 else 'ticket'},{number % 9 + 0.5},text number {number} of many words"
    for number in range(300)
]


@pytest.fixture
def source(tmp_path: Path) -> Path:
    path = tmp_path / "crm.csv"
    path.write_text("\n".join(["Customer,Date,Country,Type,Minutes,Comment", *ROWS]) + "\n")
    return path


def _draft(source: Path, kind: str) -> ColumnMapping:
    with pytest.raises(IngestError, match="A draft for") as error:
        propose_mapping(source, {"kind": kind})
    text = str(error.value)
    return ColumnMapping.model_validate(yaml.safe_load(text[text.index("kind: ") : text.index("Write it")]))


def test_draft_of_attributes_names_the_columns_of_few_values(source: Path) -> None:
    mapping = _draft(source, "attributes")
    assert mapping.columns.attributes == {"country": "Country", "type": "Type"}
    assert (mapping.columns.customer_id, mapping.columns.event_timestamp) == ("Customer", "Date")
    assert mapping.timestamp_format == "%d.%m.%Y"


def test_draft_of_events_names_kind_and_number(source: Path) -> None:
    mapping = _draft(source, "events")
    assert (mapping.columns.kind, mapping.columns.value) == ("Type", "Minutes")


def test_source_without_money_names_the_other_kinds(tmp_path: Path) -> None:
    path = tmp_path / "visits.csv"
    path.write_text("\n".join(["Customer,Date,Country", *(",".join(row.split(",")[:3]) for row in ROWS)]) + "\n")
    proposal, _ = propose_mapping(path, {})
    assert any("--set kind=events" in note for note in proposal.notes)
