"""JSON of quarantined rows."""

import json

import numpy as np
import pyarrow as pa
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.ingestion.parsing.columns import RowIssue
from holdfast.ingestion.quarantine import build_quarantine
from holdfast.ingestion.reading.source import SourceFile

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=8) | st.sampled_from(['"', "\\", "\x00\n\t", "é€"])


@given(st.lists(st.tuples(texts, texts), min_size=1, max_size=8), texts, st.data())
@settings(max_examples=200, deadline=None)
def test_build_quarantine_raw_equals_json_of_each_bad_row(
    rows: list[tuple[str, str]], name: str, data: st.DataObject
) -> None:
    table = pa.table([pa.array(column) for column in zip(*rows, strict=True)], names=[name, "same"])
    is_bad = np.array(data.draw(st.lists(st.booleans(), min_size=len(rows), max_size=len(rows))))
    file = SourceFile(name="a.csv", rows=table, row_numbers=np.arange(1, len(rows) + 1))
    found = build_quarantine(file, [RowIssue("odd", is_bad)], is_bad)
    second = "same (2)" if name == "same" else "same"
    expected = [
        json.dumps({name: first, second: last}, ensure_ascii=False)
        for (first, last), bad in zip(rows, is_bad, strict=True)
        if bad
    ]
    assert found["raw"].tolist() == expected
    assert found["reasons"].tolist() == [["odd"]] * len(expected)
