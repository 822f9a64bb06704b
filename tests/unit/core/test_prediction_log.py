"""Tests of the prediction log: values, truncated files, time ranges."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from feature_repo.timestamps import DAY_US, NO_TIME, epoch_us
from holdfast.core.prediction_log import IncrementalReader, iter_predictions, read_predictions
from tests.support.prediction_batches import NOON_US, logged_request_ids, make_batch, request_ids, write_log

COLUMNS = ["request_id", "answered_at", "customer_id", "as_of", "model", "version", "route", "definitions"]
COLUMNS += ["churn_probability", "stale"]
NOON = datetime(2024, 3, 1, 12, tzinfo=UTC)
MICROSECOND = timedelta(microseconds=1)


def bits(values: object) -> list[int]:
    return np.asarray(values, dtype=np.float64).view(np.uint64).tolist()


def test_read_predictions_missing_or_empty_folder_returns_no_rows(tmp_path: Path) -> None:
    (tmp_path / "empty" / "2024-03-01").mkdir(parents=True)
    for folder in (tmp_path / "nowhere", tmp_path / "empty"):
        table = read_predictions(folder, NOON)
        assert table.num_rows == 0
        assert table.column_names == COLUMNS


def test_read_predictions_returns_inputs_and_event_times(tmp_path: Path) -> None:
    batch = make_batch(
        ["r1", "r2"],
        version="3/ü",
        route="canary",
        customer_ids=["c1", "Zoë\n"],
        as_of_us=np.array([NOON_US - 1, 0]),
        inputs=np.array([[0.1, np.nan], [-0.0, np.inf]]),
        timestamps_us=np.array([[NOON_US - 7, NOON_US - 8], [NO_TIME, NOON_US - 9]]),
        predictions=np.array([0.25, 1 / 3]),
        stale=np.array([False, True]),
    )
    write_log(tmp_path, batch)
    table = read_predictions(str(tmp_path))
    assert table.column_names == [*COLUMNS, "recency", "gap", "history__timestamp", "rhythm__timestamp"]
    assert bits(table["recency"]) == bits([0.1, -0.0])
    assert bits(table["gap"]) == bits([np.nan, np.inf])
    assert table["gap"].null_count == 0  # what the model received is a NaN
    rows = table.drop_columns(["recency", "gap"]).to_pylist()
    common = {"answered_at": NOON, "model": "churn", "version": "3/ü", "route": "canary", "definitions": None}
    assert rows == [
        common
        | {"request_id": "r1", "customer_id": "c1", "as_of": NOON - MICROSECOND, "churn_probability": 0.25}
        | {"stale": False, "history__timestamp": NOON - 7 * MICROSECOND, "rhythm__timestamp": NOON - 8 * MICROSECOND},
        common
        | {"request_id": "r2", "customer_id": "Zoë\n", "as_of": datetime(1970, 1, 1, tzinfo=UTC)}
        | {"churn_probability": 1 / 3, "stale": True}
        | {"history__timestamp": None, "rhythm__timestamp": NOON - 9 * MICROSECOND},
    ]


def test_read_predictions_of_two_models_with_equal_versions_separates_them(tmp_path: Path) -> None:
    """Version numbers are per model, so that no reader may take the spend of version 1 for the churn of version 1."""
    spend = make_batch(["r2"], model="spend", column="expected_spend", predictions=np.array([81.5]))
    write_log(tmp_path, make_batch(["r1"]), spend)
    churn, other = read_predictions(tmp_path), read_predictions(tmp_path, model="spend")
    assert (request_ids(churn), request_ids(other)) == (["r1"], ["r2"])
    assert (churn["model"].to_pylist(), other["model"].to_pylist()) == (["churn"], ["spend"])
    assert (churn["version"].to_pylist(), other["version"].to_pylist()) == (["1"], ["1"])
    assert other["expected_spend"].to_pylist() == [81.5]
    assert "churn_probability" not in other.column_names
    assert "expected_spend" not in churn.column_names
    reader = IncrementalReader(tmp_path, NOON - timedelta(hours=1), "spend")
    assert [request_ids(table) for table in reader.read_new()] == [["r2"]]
    assert read_predictions(tmp_path, model="basket").num_rows == 0


def test_read_predictions_of_two_definitions_has_each_with_its_inputs(tmp_path: Path) -> None:
    """An input that only one version of the definitions has is null for the other."""
    one = make_batch(["r1"], definitions="aaaaaaaaaaaa")
    two = make_batch(["r2"], version="2", definitions="bbbbbbbbbbbb", input_names=["recency", "visits"])
    write_log(tmp_path, one, two, make_batch(["r3"]))
    rows = {row["request_id"]: row for row in read_predictions(tmp_path).to_pylist()}
    assert [rows[name]["definitions"] for name in ("r1", "r2", "r3")] == ["aaaaaaaaaaaa", "bbbbbbbbbbbb", None]
    assert [(rows[name]["gap"], rows[name]["visits"]) for name in ("r1", "r2")] == [(1.0, None), (None, 1.0)]


PATTERNS = st.integers(0, 2**64 - 1) | st.floats(width=64).map(lambda value: bits([value])[0])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.tuples(PATTERNS, PATTERNS, PATTERNS), min_size=1, max_size=4), min_size=1, max_size=3))
@example([[(0x7FF0000000000001, 0xFFFFFFFFFFFFFFFF, 1)]])  # a signalling NaN, one with a payload, the least number
def test_read_predictions_any_values_returns_the_same_bits(rows_of_batches: list[list[tuple[int, int, int]]]) -> None:
    batches = []
    for rows in rows_of_batches:
        floats = np.array(rows, dtype=np.uint64).view(np.float64)
        # The layouts that slicing and transposing make.
        inputs, probabilities = np.asfortranarray(floats[:, :2]), floats[:, 2]
        batches.append(make_batch([str(i) for i in range(len(rows))], inputs=inputs, predictions=probabilities))
    with TemporaryDirectory() as folder:
        write_log(Path(folder), *batches)
        table = read_predictions(Path(folder))
    read = zip(*(bits(table[name]) for name in ("recency", "gap", "churn_probability")), strict=True)
    assert list(read) == [row for rows in rows_of_batches for row in rows]


def test_read_predictions_truncated_file_returns_complete_records(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    ends = []
    batches = [make_batch([f"{start}{i}" for i in range(3)]) for start in "ab"]
    for count in (1, 2):
        write_log(tmp_path / str(count), *batches[:count])
        [file] = (tmp_path / str(count) / "2024-03-01").glob("*.arrows")
        ends.append(file.stat().st_size)
    whole = file.read_bytes()
    schema_end = ends[0] - (ends[1] - ends[0])
    for cut in [
        cut for cut in range(len(whole) + 1) if cut % 11 == 0 or any(abs(cut - end) < 18 for end in (0, *ends))
    ]:
        caplog.clear()
        file.write_bytes(whole[:cut])
        expected = [f"{start}{i}" for start in "ab"[: sum(cut >= end for end in ends)] for i in range(3)]
        assert logged_request_ids(tmp_path / "2") == expected, cut
        assert (str(file) in caplog.text) == (cut not in (schema_end, *ends)), (cut, caplog.messages)


def test_read_predictions_versions_with_other_inputs_share_one_table(tmp_path: Path) -> None:
    write_log(
        tmp_path,
        make_batch(["a"]),
        make_batch(["b"], version="2", route="shadow", input_names=["gap", "trend"], inputs=np.array([[5.0, 6.0]])),
        make_batch(["c"], version="3", views=["history"], timestamps_us=np.array([[NOON_US]])),
    )
    table = read_predictions(tmp_path).sort_by("request_id")
    assert table["version"].to_pylist() == ["1", "2", "3"]
    assert table["route"].to_pylist() == ["champion", "shadow", "champion"]
    assert table["recency"].to_pylist() == [0.0, None, 0.0]
    assert table["gap"].to_pylist() == [1.0, 5.0, 1.0]
    assert table["trend"].to_pylist() == [None, 6.0, None]
    assert table["rhythm__timestamp"].null_count == 1
    assert table.schema.field("trend").type == pa.float64()


def test_read_predictions_time_range_is_exact_and_skips_other_files(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    days = [
        make_batch([f"{day}{name}"], answered_at_us=NOON_US + day * DAY_US + i)
        for day in (-1, 0, 1)
        for i, name in enumerate("abc")
    ]
    write_log(tmp_path, *days)
    day = timedelta(days=1)

    def between(since: datetime | None, until: datetime | None) -> list[str]:
        return request_ids(read_predictions(tmp_path, since, until))

    assert between(NOON, NOON + 2 * MICROSECOND) == ["0a", "0b"]
    assert between(NOON + MICROSECOND, None) == ["0b", "0c", "1a", "1b", "1c"]
    assert between(None, NOON - day + MICROSECOND) == ["-1a"]
    assert between(NOON - day + 2 * MICROSECOND, NOON + MICROSECOND) == ["-1c", "0a"]
    assert between(datetime(2024, 3, 1), datetime(2024, 3, 2)) == ["0a", "0b", "0c"]  # noqa: DTZ001 no zone is UTC
    assert between(NOON, NOON) == []
    assert [table.num_rows for table in iter_predictions(tmp_path, NOON)] == [3, 3]
    (tmp_path / "2024-03-02" / "broken.arrows").write_bytes(b"no stream")
    assert between(NOON, NOON + MICROSECOND) == ["0a"]
    assert caplog.messages == []
    assert between(None, None) == sorted(f"{day}{name}" for day in (-1, 0, 1) for name in "abc")
    assert "broken.arrows" in caplog.text


def test_read_predictions_ignores_other_files(tmp_path: Path) -> None:
    write_log(tmp_path, make_batch(["a"]))
    (tmp_path / "2024-03-02").write_text("a file")
    (tmp_path / "20240301").mkdir()
    (tmp_path / "notes").mkdir()
    (tmp_path / "2024-03-01" / "notes.txt").write_text("no predictions")
    assert logged_request_ids(tmp_path) == ["a"]


def test_log_file_is_readable_by_any_arrow_reader(tmp_path: Path) -> None:
    write_log(tmp_path, make_batch(["a", "b"]))
    [file] = tmp_path.rglob("*.arrows")
    table = pa.ipc.open_stream(file.read_bytes()).read_all()
    assert table.schema.metadata[b"version"] == b"1"
    assert table.schema.metadata[b"inputs"] == b'["recency", "gap"]'
    assert table["inputs"].to_pylist() == [[0.0, 1.0], [2.0, 3.0]]


def test_noon_us_is_noon() -> None:
    assert epoch_us(NOON) == NOON_US
