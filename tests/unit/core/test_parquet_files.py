"""Parquet files are read by their literal paths, whatever characters these have."""

from pathlib import Path

import duckdb
import ibis
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.parquet_files import create_parquet_view, read_parquet_file, scan_parquet_files
from tests.support.folder_names import AWKWARD_NAMES, DECOY_NAMES

_ROW = {"customer_id": "a", "amount": 1.0}


def _write(folder: Path, row: dict[str, object]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.Table.from_pylist([row]), folder / "rows.parquet")
    return folder / "rows.parquet"


def _read_all(file: Path) -> list[list[dict[str, object]]]:
    with duckdb.connect() as connection:
        create_parquet_view(connection, "rows", [file])
        by_duckdb = connection.execute("SELECT * FROM rows").to_arrow_table().to_pylist()
    backend = ibis.duckdb.connect()
    by_ibis = scan_parquet_files(backend, [file]).to_pyarrow().to_pylist()
    backend.disconnect()
    return [by_duckdb, by_ibis, read_parquet_file(file).to_pylist()]


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_readers_in_a_folder_with_an_awkward_name_read_only_its_file(name: str, tmp_path: Path) -> None:
    file = _write(tmp_path / name, _ROW)
    for decoy in DECOY_NAMES:
        if decoy != name:
            _write(tmp_path / decoy, {"customer_id": "decoy", "amount": 9.0})

    assert _read_all(file) == [[_ROW]] * 3


# Every character of a name but "/", control characters and the backslash, which `Settings` rejects beside a pattern.
_CHARACTERS = st.characters(codec="utf-8", exclude_characters="/\\", exclude_categories=("Cc", "Cs"))
_NAMES = st.text(st.one_of(st.sampled_from("*?[]!=%#{}'\";$~ .-"), _CHARACTERS), min_size=1, max_size=12)


@given(name=_NAMES.filter(lambda name: name not in (".", "..") and len(name.encode()) < 200))
@settings(max_examples=40, deadline=None)
def test_readers_in_a_folder_with_any_name_read_its_file(name: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    root = tmp_path_factory.mktemp("names")
    _write(root / "a", {"customer_id": "decoy", "amount": 9.0})
    file = _write(root / f"x{name}" / "customer_id=b", _ROW)

    assert _read_all(file) == [[_ROW]] * 3


def test_create_parquet_view_of_several_files_has_all_rows(tmp_path: Path) -> None:
    files = [_write(tmp_path / f"[{number}]", {"number": number}) for number in range(3)]
    with duckdb.connect() as connection:
        create_parquet_view(connection, "rows", files)

        assert connection.execute("SELECT number FROM rows ORDER BY number").fetchall() == [(0,), (1,), (2,)]
