"""Files that change while they are read."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.reading import file_content, reader
from holdfast.ingestion.reading.file_content import read_content

RULES = ColumnMapping.model_validate({"columns": {"customer_id": "id", "event_timestamp": "when", "amount": "amount"}})
TABLE = b"id,when,amount\n1,2025-01-01,5\n"


def _after_each_read(monkeypatch: pytest.MonkeyPatch, action: object, times: int) -> None:
    """Run an action between the two looks at the version of a file, the first times."""
    original, calls = os.fstat, []

    def fstat(descriptor: int) -> os.stat_result:
        found = original(descriptor)
        calls.append(descriptor)
        if len(calls) <= times:
            action()  # type: ignore[operator]
        return found

    monkeypatch.setattr(file_content.os, "fstat", fstat)


def test_file_that_always_grows_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(TABLE)

    def grow() -> None:
        with path.open("ab") as stream:
            stream.write(b"2,2025-01-01,5\n")

    _after_each_read(monkeypatch, grow, times=99)
    with pytest.raises(IngestError, match=r"x\.csv changed while it was read: another program is writing it"):
        read_content(path)


def test_file_that_was_replaced_once_is_read_as_its_new_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, new = tmp_path / "x.csv", tmp_path / "new.csv"
    path.write_bytes(TABLE)
    new.write_bytes(TABLE.replace(b"5", b"6"))
    os.utime(new, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns))
    _after_each_read(monkeypatch, lambda: new.rename(path) if new.exists() else None, times=1)
    assert read_content(path)[0] == TABLE.replace(b"5", b"6")


@pytest.mark.parametrize("change", ["append", "remove", "rewrite"])
def test_file_that_changes_while_others_are_read_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    first, second = tmp_path / "1.csv", tmp_path / "2.csv"
    first.write_bytes(TABLE)
    second.write_bytes(TABLE)

    def read_and_change(path: Path) -> object:
        result = read_content(path)
        if path == second and change == "remove":
            first.unlink()
        elif path == second:
            first.write_bytes(TABLE + b"2,2025-01-01,5\n" if change == "append" else TABLE.replace(b"5", b"6"))
            os.utime(first, ns=(0, 1))
        return result

    monkeypatch.setattr(reader, "read_content", read_and_change)
    with pytest.raises(IngestError, match=r"1\.csv changed while it was read"):
        reader.read_source(tmp_path, RULES)


@pytest.mark.parametrize("ending", [".part", ".crdownload", ".filepart", ".aria2"])
def test_unfinished_download_is_refused_by_its_name_or_the_file_beside_it(tmp_path: Path, ending: str) -> None:
    path, mark = tmp_path / "x.csv", tmp_path / f"x.csv{ending}"
    path.write_bytes(TABLE)
    mark.write_bytes(TABLE)
    with pytest.raises(IngestError, match=rf"x\.csv is an unfinished download.*remove x\.csv\{ending}"):
        read_content(path)
    with pytest.raises(IngestError, match=rf"x\.csv\{ending} is an unfinished download.*rename x\.csv\{ending}"):
        read_content(mark)
    mark.unlink()
    assert read_content(path)[0] == TABLE


def test_pipe_is_read(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    with ThreadPoolExecutor(1) as executor:
        executor.submit(pipe.write_bytes, TABLE)
        assert read_content(pipe)[0] == TABLE
