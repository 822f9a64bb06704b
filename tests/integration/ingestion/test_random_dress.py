"""Property of ingest: whatever the dress of a file, its mapping gives the table or a refusal, never another table."""

import tempfile
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

from hypothesis import Phase, given, settings

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading.reader import read_source
from holdfast.ingestion.validation import ValidationResult, validate_source
from tests.support.table_dress import TableDress, Transaction, dresses, transactions

NOW = datetime(2026, 1, 1, tzinfo=UTC)
EXAMPLES = 200


def _ingest(rows: list[Transaction], dress: TableDress) -> ValidationResult:
    with tempfile.TemporaryDirectory() as folder:
        path, mapping = dress.write(rows, Path(folder))
        rules = ColumnMapping.model_validate(mapping)
        return validate_source(read_source(path, rules), rules, NOW)


def test_dressed_table_gives_its_rows_or_a_refusal() -> None:
    refusals: list[str] = []

    @given(transactions(), dresses())
    @settings(max_examples=EXAMPLES, deadline=None, derandomize=True, phases=[Phase.explicit, Phase.generate])
    def check(rows: list[Transaction], dress: TableDress) -> None:
        try:
            result = _ingest(rows, dress)
        except IngestError as error:
            refusals.append(f"{error} {dress}")
            return
        reasons = result.reasons
        assert not reasons, reasons
        stored = Counter(
            (row.customer_id, row.event_timestamp.to_pydatetime(), row.amount, row.quantity)
            for row in result.rows.itertuples()
        )
        assert stored == Counter(row.stored for row in rows)

    check()
    assert len(refusals) < 0.1 * EXAMPLES, refusals


@given(transactions(), dresses(["csv"]))
@settings(max_examples=100, deadline=None, derandomize=True)
def test_dressed_table_with_wrong_decimal_never_scales_amounts(rows: list[Transaction], dress: TableDress) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path, mapping = dress.write(rows, Path(folder))
        decimal = "," if dress.number.decimal == "." else "."
        rules = ColumnMapping.model_validate({**mapping, "decimal": decimal, "max_bad_share": 1})
        try:
            result = validate_source(read_source(path, rules), rules, NOW)
        except IngestError:
            return
    amounts = Counter(float(row.amount) for row in rows)
    assert not Counter(result.rows["amount"].tolist()) - amounts
