"""Tables that flows publish in the Prefect UI."""

from holdfast.ingestion.results import IngestResult
from holdfast.reporting.artifact_tables import ingest_rows


def test_ingest_rows_with_a_note_lists_it_after_counts_and_reasons() -> None:
    result = IngestResult("b", "added", 5, 4, 0, 1, 0, {"amount is missing": 1}, ("Customer 'guest' has 3 rows.",))
    rows = ingest_rows(result)
    assert rows[-2:] == [
        {"what": "bad: amount is missing", "rows": 1},
        {"what": "note: Customer 'guest' has 3 rows.", "rows": ""},
    ]
