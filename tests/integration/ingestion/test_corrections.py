"""Corrections: sources that restate stored rows are refused, and replace batches by a known time."""

import errno
import shlex
import tempfile
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import hypothesis
import pytest
from hypothesis import strategies as st

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from holdfast.feature_store.snapshots import build_snapshots
from holdfast.ingestion.batches import list_batches, select_known
from holdfast.ingestion.corrections import RestatedRowsError
from tests.support.ingest_pipeline import run_ingest
from tests.support.ingestion_fixtures import SIMPLE, read_table
from tests.support.small_shop import registered_store

NOW = datetime(2026, 1, 1, tzinfo=UTC)
DAY = timedelta(days=1)
KEY = ["customer_id", "event_timestamp", "amount", "quantity"]
BASE = "columns: {customer_id: who, event_timestamp: when, amount: total}\n"
HEADER = "who,mail,when,total,n,kind"
ROWS = (
    "k1,k1@shop.example,2025-06-02 10:00,10.00,2,sale",
    "k1,k1@shop.example,2025-06-03 11:30,5.00,1,void",
    "k2,k2@shop.example,2025-06-04 23:30,6.00,3,sale",
    "Zoë,zoe@shop.example,2025-06-05 08:15,7.50,1,sale",
)
# Mapping that reads the same bytes otherwise.
OTHER_READINGS = {
    "time zone": BASE + "time_zone: America/New_York\n",
    "cancellation": BASE + "cancellation: {column: kind, starts_with: void}\n",
    "customer": BASE.replace("who", "mail"),
    "quantity": BASE.replace("total", "total, quantity: n"),
}


@pytest.fixture
def mapping(tmp_path: Path) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = tmp_path / "mapping.yaml"
        path.write_text(text)
        return path

    return write


@pytest.mark.parametrize("reading", OTHER_READINGS)
@pytest.mark.parametrize("reverse", [False, True])
def test_commit_batch_with_other_reading_of_same_bytes_is_refused_and_replaces(
    settings: Settings, tmp_path: Path, source: Callable, mapping: Callable, reading: str, reverse: bool
) -> None:
    first, second = (BASE, OTHER_READINGS[reading])[:: -1 if reverse else 1]
    path = source(*ROWS, header=HEADER)
    old = run_ingest(settings, path, mapping(first), NOW)
    before = read_table(settings)
    with pytest.raises(RestatedRowsError) as refused:
        run_ingest(settings, path, mapping(second), NOW + DAY)
    message = str(refused.value)
    assert f"is stored in batch {old.batch_id} (source.csv, 4 rows" in message
    assert "would be in the table twice" in message
    commands = [shlex.split(line) for line in message.splitlines() if "flows.ingest" in line]
    assert commands[0][-2:] == ["--replace", old.batch_id]
    assert commands[1] == [*commands[0][:-2], "--force"]
    assert commands[0][3:5] == ["--source", str(path)]
    assert read_table(settings) == before
    new = run_ingest(settings, path, mapping(second), NOW + DAY, replace=(str(old.batch_id)[:5],))
    alone = Settings(data=tmp_path / "alone")
    run_ingest(alone, path, mapping(second), NOW)
    assert read_table(settings) == read_table(alone)
    assert read_table(settings, NOW) == read_table(settings, NOW + DAY - timedelta(microseconds=1)) == before
    assert new.rows_added == 4
    assert f"Replaced batch {old.batch_id}" in new.summary()


def test_commit_batch_with_folder_of_stored_files_read_otherwise_is_refused(
    settings: Settings, tmp_path: Path, source: Callable, mapping: Callable
) -> None:
    folder = tmp_path / "exports"
    folder.mkdir()
    first = source(*ROWS, header=HEADER, name="exports/may.csv")
    old = run_ingest(settings, first, mapping(BASE), NOW)
    source("k3,k3@shop.example,2025-07-01 10:00,3.00,1,sale", header=HEADER, name="exports/june.csv")
    with pytest.raises(RestatedRowsError, match=f"--replace {old.batch_id}"):
        run_ingest(settings, folder, mapping(OTHER_READINGS["cancellation"]), NOW + DAY)
    result = run_ingest(settings, folder, mapping(BASE), NOW + DAY)
    assert (result.rows_added, result.rows_already_known) == (1, 4)


def test_refusal_of_other_reading_describes_the_change_of_the_mapping(
    settings: Settings, source: Callable, mapping: Callable
) -> None:
    path = source(*ROWS, header=HEADER)
    run_ingest(settings, path, mapping(BASE), NOW)
    with pytest.raises(RestatedRowsError, match="time_zone was UTC, is America/New_York") as refused:
        run_ingest(settings, path, mapping(OTHER_READINGS["time zone"]), NOW + DAY)
    assert "4 of its rows are not in the new reading" in str(refused.value)


@pytest.mark.parametrize("addition", ["max_bad_share: 0.25\n", "exact_duplicates: quarantine\n", "# comment\n"])
def test_commit_batch_with_other_mapping_and_same_rows_adds_nothing(
    settings: Settings, source: Callable, mapping: Callable, addition: str
) -> None:
    path = source(*ROWS, header=HEADER)
    run_ingest(settings, path, mapping(BASE), NOW)
    assert run_ingest(settings, path, mapping(BASE + addition), NOW + DAY).rows_added == 0
    assert len(list_batches(settings)) == 1


def test_commit_batch_with_mapping_that_reads_quarantined_rows_adds_them(
    settings: Settings, source: Callable, mapping: Callable
) -> None:
    path = source("k1,k1,2025-06-02", ",k2,2025-06-03", ",k3,2025-06-04", header="id,mail,when")
    path.write_text(
        path.read_text().replace("when", "when,amount").replace("\nk1,k1,2025-06-02", "\nk1,k1,2025-06-02,5")
    )
    path.write_text(path.read_text().replace("06-03", "06-03,5").replace("06-04", "06-04,5"))
    rules = "columns: {customer_id: id, event_timestamp: when, amount: amount}\nmax_bad_share: 1\n"
    assert run_ingest(settings, path, mapping(rules), NOW).rows_quarantined == 2
    result = run_ingest(settings, path, mapping(rules.replace("customer_id: id", "customer_id: mail")), NOW + DAY)
    assert (result.rows_added, result.rows_already_known) == (2, 1)


def test_commit_batch_with_mapping_that_leaves_rows_out_is_refused(
    settings: Settings, source: Callable, mapping: Callable
) -> None:
    path = source(*ROWS, ROWS[0], header=HEADER)
    run_ingest(settings, path, mapping(BASE), NOW)
    with pytest.raises(RestatedRowsError, match="1 rows would stay in the table"):
        run_ingest(settings, path, mapping(BASE + "exact_duplicates: quarantine\n"), NOW + DAY)


@pytest.mark.parametrize("name", ["", "zz"])
def test_replace_of_unknown_batch_is_refused(ingest: Callable, name: str) -> None:
    old = ingest("a,2025-01-01,5,1")
    with pytest.raises(IngestError, match=rf"No batch '{name}' to replace.*{old.batch_id} \(export.csv\)"):
        ingest("a,2025-01-01,6,1", replace=(name,))


def test_replace_of_replaced_batch_names_its_successor(ingest: Callable) -> None:
    old = ingest("a,2025-01-01,5,1")
    new = ingest("a,2025-01-01,6,1", replace=(old.batch_id,))
    with pytest.raises(IngestError, match=rf"{old.batch_id} was replaced by batch {new.batch_id}"):
        ingest("a,2025-01-01,7,1", replace=(old.batch_id,))
    assert ingest("a,2025-01-01,6,1", replace=(old.batch_id,)).status == "already ingested"


def test_replace_and_return_to_the_first_source_stores_three_batches(settings: Settings, ingest: Callable) -> None:
    first = ingest("a,2025-01-01,5,1")
    second = ingest("a,2025-01-01,6,1", replace=(first.batch_id,))
    third = ingest("a,2025-01-01,5,1", replace=(second.batch_id,))
    assert len({first.batch_id, second.batch_id, third.batch_id}) == 3
    amounts = [[row[2] for row in read_table(settings, NOW + day * DAY)] for day in range(3)]
    assert amounts == [[5.0], [6.0], [5.0]]
    assert ingest("a,2025-01-01,5,1").status == "already ingested"


def test_replace_by_shorter_source_is_refused_unless_forced(settings: Settings, ingest: Callable) -> None:
    old = ingest("a,2025-01-01,5,1", "b,2025-03-01,5,1")
    with pytest.raises(RestatedRowsError, match=r"rows of 2025-01-01 to 2025-01-01, but.*2025-03-01.*are lost"):
        ingest("a,2025-01-01,6,1", replace=(old.batch_id,))
    result = ingest("a,2025-01-01,6,1", replace=(old.batch_id,), force=True)
    assert "the rows of the other days are lost" in result.summary()
    assert [row[2] for row in read_table(settings)] == [6.0]


def test_replace_of_batch_that_later_source_repeats_is_refused_unless_forced(
    settings: Settings, ingest: Callable
) -> None:
    old = ingest("a,2025-01-01,5,1", "b,2025-01-02,5,1")
    grown = ["b,2025-01-02,5,1", "c,2025-01-03,5,1"]
    later = ingest(*grown, name="grown.csv")
    corrected = ["a,2025-01-01,6,1", "x,2025-01-02,1,1"]
    with pytest.raises(RestatedRowsError, match=rf"--replace {old.batch_id} --replace {later.batch_id}"):
        ingest(*corrected, replace=(old.batch_id,))
    note = ingest(*corrected, replace=(old.batch_id,), force=True).notes[-1]
    assert "Ingest it again" in note
    assert {row[0] for row in read_table(settings)} == {"a", "x", "c"}
    assert ingest(*grown, name="grown.csv").rows_added == 1
    assert {row[0] for row in read_table(settings)} == {"a", "b", "c", "x"}
    assert ingest(*grown, name="grown.csv").rows_added == 0


def test_replace_of_all_daily_exports_by_the_last_one_leaves_one_batch(settings: Settings, ingest: Callable) -> None:
    times = [datetime(2025, 3, 1, tzinfo=UTC) + number * timedelta(hours=7, minutes=13) for number in range(40)]
    lines, moved = (
        [f"k{number % 7},{time + shift:%Y-%m-%d %H:%M:%S},{10 + number},1" for number, time in enumerate(times)]
        for shift in (timedelta(0), timedelta(hours=10, minutes=30))
    )
    old = [ingest(*lines[: 10 * (day + 1)]).batch_id for day in range(4)]
    with pytest.raises(RestatedRowsError) as refused:
        ingest(*moved)
    assert all(f"--replace {batch_id}" in str(refused.value) for batch_id in old)
    new = ingest(*moved, replace=tuple(old))
    assert [batch.batch_id for batch in select_known(list_batches(settings))] == [new.batch_id]
    assert sum(read_table(settings).values()) == len(moved)


def test_replace_builds_new_snapshots_of_the_changed_days_only(settings: Settings, ingest: Callable) -> None:
    def total(as_of: datetime, known_at: datetime) -> list[float]:
        snapshot = build_snapshots(settings, registered_store(), as_of, known_at)[0]
        return duckdb.read_parquet(str(snapshot.path)).fetchdf()["total_amount"].tolist()

    ingest("a,2025-01-01,5,1")
    old = ingest("a,2025-03-01,7,1", name="march.csv")
    assert total(datetime(2025, 4, 1, tzinfo=UTC), NOW + DAY) == [12.0]
    ingest("a,2025-03-01,8,1", name="march.csv", replace=(old.batch_id,))
    assert total(datetime(2025, 4, 1, tzinfo=UTC), NOW + 2 * DAY) == [13.0]
    assert total(datetime(2025, 4, 1, tzinfo=UTC), NOW + DAY) == [12.0]
    earlier = build_snapshots(settings, registered_store(), datetime(2025, 2, 1, tzinfo=UTC), NOW + 2 * DAY)[0]
    assert earlier.known_at == NOW
    ingest("a,2025-03-20,8,1", name="april.csv", replace=(list_batches(settings)[-1].batch_id,), force=True)
    between = build_snapshots(settings, registered_store(), datetime(2025, 3, 10, tzinfo=UTC), NOW + 3 * DAY)[0]
    assert between.known_at == NOW + 3 * DAY, "rows before as_of were replaced, although the new ones are after it"


def test_replace_on_full_disk_leaves_the_old_table(
    settings: Settings, ingest: Callable, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*arguments: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    old = ingest("a,2025-01-01,5,1")
    before = read_table(settings)
    with monkeypatch.context() as patched:
        patched.setattr(Path, "rename", fail)
        with pytest.raises(OSError, match="No space left"):
            ingest("a,2025-01-01,6,1", replace=(old.batch_id,))
    assert read_table(settings) == before
    assert ingest("a,2025-01-01,6,1", replace=(old.batch_id,)).rows_added == 1


def test_replace_of_one_batch_by_two_runs_at_once_succeeds_once(
    settings: Settings, tmp_path: Path, simple: Path, source: Callable
) -> None:
    old = run_ingest(settings, source("a,2025-01-01,5,1"), simple, NOW)
    paths = [source(f"a,2025-01-01,{amount},1", name=f"{amount}.csv") for amount in (6, 7)]

    def replace(path: Path) -> str:
        try:
            return run_ingest(settings, path, simple, replace=(str(old.batch_id),)).status
        except IngestError as error:
            return str(error)

    with ThreadPoolExecutor(2) as pool:
        outcomes = sorted(pool.map(replace, paths), key=len)
    assert outcomes[0] == "added"
    assert "was replaced by batch" in outcomes[1]
    assert sum(read_table(settings).values()) == 1


_rows = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from([1, 2, 3]), st.sampled_from([5, 6])), min_size=1, max_size=5
)


@pytest.mark.long
@hypothesis.given(st.lists(st.tuples(_rows, st.sets(st.integers(0, 3), max_size=2)), min_size=2, max_size=5))
@hypothesis.settings(max_examples=25, deadline=None)
def test_any_sequence_of_corrections_gives_the_table_of_the_valid_sources(
    steps: list[tuple[list[tuple[str, int, int]], set[int]]],
) -> None:
    """Compare the table with that of the remaining sources from scratch, and with every earlier table."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        together, mapping = Settings(data=folder / "together"), folder / "simple.yaml"
        mapping.write_text(SIMPLE)
        sources: dict[str, Path] = {}
        tables: dict[datetime, Counter] = {}
        for number, (rows, replaced) in enumerate(steps):
            path, time = folder / f"{number}.csv", NOW + number * DAY
            lines = [f"{who},2025-01-0{day},{amount},1" for who, day, amount in rows]
            path.write_text("\n".join(["id,when,amount,quantity", *lines]) + "\n")
            valid = [batch.batch_id for batch in select_known(list_batches(together))]
            names = tuple(valid[position] for position in replaced if position < len(valid))
            try:
                result = run_ingest(together, path, mapping, time, names)
            except RestatedRowsError:
                continue
            sources |= {str(result.batch_id): path} if result.status == "added" else {}
            tables[time] = read_table(together)
        for time, table in tables.items():
            assert read_table(together, time) == table
        alone = Settings(data=folder / "alone")
        for number, batch in enumerate(select_known(list_batches(together))):
            run_ingest(alone, sources[batch.batch_id], mapping, NOW + number * DAY, force=True)
        assert read_table(together) == read_table(alone)
