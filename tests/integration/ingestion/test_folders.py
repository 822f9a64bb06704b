"""A folder is one source in parts: each row counts once, and the summary lists each file."""

import gzip
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pandas as pd
import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import IngestError
from holdfast.ingestion.results import IngestResult
from tests.support.folder_names import AWKWARD_NAMES
from tests.support.ingest_pipeline import run_ingest

_HEADER = "id,when,amount\n"
_ROWS = [f"c{number},2025-01-{number:02d}T10:00:00,{number}.5" for number in range(1, 13)]

Ingest = Callable[..., IngestResult]


def _text(*rows: str, header: str = _HEADER) -> str:
    return header + "".join(f"{row}\n" for row in rows)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "exports").mkdir()
    return tmp_path / "exports"


@pytest.fixture
def ingest(tmp_path: Path, folder: Path) -> Ingest:
    def run(files: dict[str, str | bytes], rules: str = "", time: datetime | None = None) -> IngestResult:
        for name, content in files.items():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            (folder / name).write_bytes(content.encode() if isinstance(content, str) else content)
        mapping = tmp_path / "mapping.yaml"
        mapping.write_text(f"columns: {{customer_id: id, event_timestamp: when, amount: amount}}\n{rules}\n")
        return run_ingest(Settings(data=tmp_path / "data"), folder, mapping, time)

    return run


def test_ingest_of_a_folder_reads_subfolders_and_names_their_files(ingest: Ingest, tmp_path: Path) -> None:
    result = ingest({"2025-01.csv": _text(*_ROWS[:2]), "2025-02/part-0.csv": _text(_ROWS[2], "c4,never,1")})

    assert (result.rows_added, result.rows_quarantined) == (3, 1)
    assert "2025-02/part-0.csv: 2 rows read." in result.notes
    (quarantine,) = (tmp_path / "data" / "batches").glob("*/quarantine.parquet")
    assert pd.read_parquet(quarantine)["source_file"].tolist() == ["2025-02/part-0.csv"]


@pytest.mark.parametrize(
    "copy",
    [
        pytest.param(lambda text: text, id="plain"),
        pytest.param(lambda text: gzip.compress(text.encode()), id="compressed"),
    ],
)
def test_ingest_of_the_same_content_under_two_names_reads_it_once(copy: Callable, ingest: Ingest) -> None:
    content = copy(_text(*_ROWS[:2]))
    name = "orders (1).csv" + (".gz" if isinstance(content, bytes) else "")
    result = ingest({"orders.csv": _text(*_ROWS[:2]), name: content})

    assert result.rows_added == 2
    assert any("left out, the same content as" in note for note in result.notes)


def test_ingest_of_a_folder_with_one_distinct_file_is_that_file(ingest: Ingest, tmp_path: Path, folder: Path) -> None:
    first = ingest({"a.csv": _text(*_ROWS[:2]), "b.csv": _text(*_ROWS[:2])})
    (folder / "b.csv").unlink()

    assert ingest({}).status == "already ingested"
    assert first.rows_read == 2


@pytest.mark.parametrize("names", [("01.csv", "02.csv", "03.csv"), ("c.csv", "b.csv", "a.csv")])
def test_ingest_of_growing_exports_reads_each_row_once(names: tuple[str, ...], ingest: Ingest) -> None:
    ends = (3, 7, 12)
    result = ingest({name: _text(*_ROWS[:end]) for name, end in zip(names, ends, strict=True)})

    assert (result.rows_read, result.rows_added) == (12, 12)
    for name, end in zip(names[:2], ends[:2], strict=True):
        assert any(note.startswith(f"{name}: left out, all {end} rows are in ") for note in result.notes)


@pytest.mark.parametrize(
    ("small", "large"),
    [
        pytest.param(_ROWS[:4], _ROWS[::-1], id="another order"),
        pytest.param(_ROWS[:1] * 2, [*_ROWS, _ROWS[0]], id="repeated row"),
        pytest.param(_ROWS[5:6], _ROWS, id="one row"),
        pytest.param(["c1;1", _ROWS[3]], ["c2,2025-01-01,1", "c1;1", *_ROWS], id="malformed line"),
    ],
)
def test_ingest_of_an_export_within_another_reads_the_larger_one(
    small: list[str], large: list[str], ingest: Ingest
) -> None:
    result = ingest({"a.csv": _text(*small), "b.csv": _text(*large)})

    assert result.rows_read == len(large)


def test_ingest_of_overlapping_periods_reads_the_common_rows_once(ingest: Ingest) -> None:
    result = ingest({"a.csv": _text(*_ROWS[:8]), "b.csv": _text(*_ROWS[5:])})

    assert (result.rows_read, result.rows_added) == (12, 12)
    assert "b.csv: 4 rows read; 3 more rows are in files before it." in result.notes
    assert any("3 equal rows" in note and "overlapping_files: keep" in note for note in result.notes)


def test_ingest_of_overlapping_files_with_another_column_order_reads_the_common_rows_once(ingest: Ingest) -> None:
    moved = [",".join(["x", *row.split(",")[::-1]]) for row in _ROWS[5:]]
    result = ingest({"a.csv": _text(*_ROWS[:8]), "b.csv": _text(*moved, header="note,amount,when,id\n")})

    assert result.rows_added == 12


def test_ingest_of_many_scattered_equal_rows_is_rejected_until_decided(ingest: Ingest) -> None:
    files = {"a.csv": _text(*_ROWS[:8]), "b.csv": _text(_ROWS[0], _ROWS[9], _ROWS[6], _ROWS[10], _ROWS[3], _ROWS[11])}

    with pytest.raises(IngestError, match=r"a\.csv and b\.csv have 3 equal rows \(row 1 of b\.csv: c1,.*50%.*drop"):
        ingest(files)
    assert ingest(files, "overlapping_files: drop").rows_added == 11


def test_ingest_with_overlapping_files_keep_counts_every_row(ingest: Ingest) -> None:
    files = {"a.csv": _text(*_ROWS[:8]), "b.csv": _text(*_ROWS[5:]), "c.csv": _text(*_ROWS[:8])}

    assert ingest(files, "overlapping_files: keep").rows_added == 8 + 7 + 8


def test_ingest_of_a_single_equal_row_counts_it_as_a_repeat_with_a_note(ingest: Ingest) -> None:
    result = ingest({"a.csv": _text(*_ROWS[:8]), "b.csv": _text(*_ROWS[7:9], *_ROWS[9:])})

    assert result.rows_added == 13
    assert any("1 equal rows (row 1 of b.csv" in note and "repeated purchases" in note for note in result.notes)


def test_ingest_of_files_read_by_different_rules_compares_no_rows(ingest: Ingest) -> None:
    files = {"a.csv": _text("c1,2025-01-01,1", "c2,2025-01-02,2"), "b.csv": _text("c1,2025-01-01,1")}

    assert ingest(files, 'files: [{match: b.csv, decimal: ","}]').rows_added == 3


def test_ingest_of_an_overlap_with_carried_values_is_rejected(ingest: Ingest) -> None:
    with pytest.raises(IngestError, match="carry_down"):
        ingest({"a.csv": _text(*_ROWS[:8]), "b.csv": _text(*_ROWS[5:])}, "carry_down: {columns: [id], within: when}")


def test_ingest_of_a_folder_lists_a_bounded_number_of_files(ingest: Ingest) -> None:
    files = {f"{number:02d}.csv": _text(f"c{number},2025-02-01,{number + 1}") for number in range(30)}
    result = ingest(files | {f"{number:02d}.md": "x" for number in range(30)})

    assert result.rows_added == 30
    assert result.notes[0] == "30 files read, 30 left out."
    assert len(result.notes) == 1 + 2 * 11


def test_ingest_of_an_ingested_folder_names_files_that_are_left_out(ingest: Ingest) -> None:
    ingest({"a.csv": _text(*_ROWS)})
    result = ingest({"b.csv.part": "x"})

    assert result.status == "already ingested"
    assert "b.csv.part: left out, unfinished or temporary file." in result.notes


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_ingest_of_an_awkward_folder_reads_its_own_rows(name: str, tmp_path: Path) -> None:
    for other, customer in ((name, "own"), ("shop2", "decoy"), ("a", "decoy"), ("ab", "decoy")):
        if other == name and customer == "decoy":
            continue
        (tmp_path / "in" / other).mkdir(parents=True)
        (tmp_path / "in" / other / "x.csv").write_text(_text(f"{customer},2025-01-01,5"))
    mapping = tmp_path / "in" / f"{name}.yaml"
    mapping.write_text("columns: {customer_id: id, event_timestamp: when, amount: amount}\n")
    settings = Settings(data=tmp_path / "out" / name)
    for source in (tmp_path / "in" / name / "x.csv", tmp_path / "in" / name):
        run_ingest(settings, source, mapping, datetime.now(UTC))

    (file,) = settings.batches.glob("*/transactions.parquet")
    assert pd.read_parquet(file)["customer_id"].tolist() == ["own"]


def test_ingest_of_a_relative_path_in_a_read_only_folder_works(
    ingest: Ingest, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "a.csv").write_text(_text(*_ROWS))
    folder.chmod(0o500)
    monkeypatch.chdir(folder)
    (tmp_path / "mapping.yaml").write_text("columns: {customer_id: id, event_timestamp: when, amount: amount}\n")
    run_ingest(Settings(data=tmp_path / "data"), Path(), tmp_path / "mapping.yaml")
    folder.chmod(0o700)
    (manifest,) = (tmp_path / "data" / "batches").glob("*/batch.json")

    assert '"source": "exports"' in manifest.read_text()
    assert [path.name for path in folder.iterdir()] == ["a.csv"]


def test_ingest_without_a_column_that_a_folder_name_has_explains_that_folder_names_add_none(ingest: Ingest) -> None:
    with pytest.raises(IngestError, match=r"id=7/x\.csv: column 'id'.*A folder is called id=….*write 'id' into the"):
        ingest({"id=7/x.csv": "when,amount\n2025-01-01,1\n", "id=8/x.csv": "when,amount\n2025-01-01,1\n"})


def test_ingest_of_a_folder_with_another_text_names_the_keys_that_leave_it_out(ingest: Ingest) -> None:
    with pytest.raises(IngestError, match=r"notes\.txt: column 'id'.*no part of the table.*`exclude_files`"):
        ingest({"a.csv": _text(*_ROWS), "notes.txt": "exported on Monday\n"})
