"""Listing of a folder: every file is read or left out with a reason, and none is read twice."""

import os
import socket
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from holdfast.core.errors import IngestError
from holdfast.ingestion.reading.source_files import FileListing, list_source_files
from tests.support.folder_names import AWKWARD_NAMES

_ROW = "id,when,amount\na,2025-01-01,5\n"


def _write(folder: Path, *names: str, text: str = _ROW) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)


def _list(folder: Path, exclude: Sequence[str] = ()) -> FileListing:
    return list_source_files(folder, exclude)


def _names(listing: FileListing) -> list[str]:
    return [file.name for file in listing.files]


def _reasons(listing: FileListing) -> dict[str, str]:
    return {report.name: report.reason for report in listing.left_out}


def test_list_source_files_reads_subfolders_sorted_by_path(tmp_path: Path) -> None:
    _write(tmp_path, "b.csv", "2025/02/part-0.csv", "2025/01.CSV", "a/x.parquet")

    assert _names(_list(tmp_path)) == ["2025/01.CSV", "2025/02/part-0.csv", "a/x.parquet", "b.csv"]


@pytest.mark.parametrize(
    "name",
    [
        *("a.csv", "A.CSV", "a.b.csv", "a.txt", "a.tsv", "a.psv", "a.parquet", "a.pq", "a.feather", "a.orc"),
        *("a.csv.gz", "a.csv.zst", "a.csv.bz2", "a.csv.xz", "a.csv.zip", "a.zip", "a.gz", "a.tar.gz", "a.tgz"),
        *("a.xlsx", "a.xls", "a.ods", "part-00000", "part-r-00001", "a b (1).csv", "~a.csv", "a.part.csv", "temp.csv"),
    ],
)
def test_list_source_files_reads_a_table(name: str, tmp_path: Path) -> None:
    _write(tmp_path, name)

    assert _names(_list(tmp_path)) == [name]


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        *((f"a.csv.{ending}", "unfinished") for ending in ("part", "crdownload", "tmp", "filepart", "PARTIAL", "swp")),
        *((f"a.{ending}", "unfinished") for ending in ("part", "download")),
        ("a.csv.part.gz", "unfinished"),
        *((name, "lock file") for name in ("~$a.xlsx", ".~lock.a.xlsx#")),
        *((name, "backup") for name in ("a.csv~", "a.csv.bak", "a.csv.orig", "a.csv.old", "#a.csv#")),
        *((name, "operating system") for name in ("Thumbs.db", "desktop.ini", "._a.csv", ".DS_Store", ".a.csv.crc")),
        *((name, "hidden") for name in ("_SUCCESS", "_a.csv", ".a.csv")),
        *((name, "no table") for name in ("README", "README.md", "notes.pdf", "mapping.yaml", "export.log")),
    ],
)
def test_list_source_files_leaves_out_what_is_no_part_with_a_reason(name: str, reason: str, tmp_path: Path) -> None:
    _write(tmp_path, "2025-01.csv", name)
    listing = _list(tmp_path)

    assert _names(listing) == ["2025-01.csv"]
    assert list(_reasons(listing)) == [name]
    assert reason in _reasons(listing)[name]


@pytest.mark.parametrize("name", ["2025-02.json", "2025-02.avro", "2025-02.csv.2", "2025-02", "sub/2025-02.rds"])
def test_list_source_files_with_much_that_is_unreadable_is_rejected(name: str, tmp_path: Path) -> None:
    _write(tmp_path, "2025-01.csv", name)

    with pytest.raises(IngestError, match=f"cannot be read: {name} .*exclude_files"):
        _list(tmp_path)
    assert _reasons(_list(tmp_path, [name]))[name] == "excluded by exclude_files"


def test_list_source_files_with_a_small_file_that_is_unreadable_names_it(tmp_path: Path) -> None:
    _write(tmp_path, "2025-01.csv", text=_ROW * 100)
    _write(tmp_path, "schema.json", text="{}")

    assert _reasons(_list(tmp_path)) == {"schema.json": "names that end in .json are not read"}


@pytest.mark.parametrize("place", ["", "lake/orders/"])
@pytest.mark.parametrize(
    ("log", "table_format"),
    [
        ("_delta_log/00000000000000000001.json", "Delta Lake"),
        (".hoodie/hoodie.properties", "Hudi"),
        ("metadata/v1.metadata.json", "Iceberg"),
    ],
)
def test_list_source_files_of_a_table_format_is_rejected_unless_its_log_is_excluded(
    place: str, log: str, table_format: str, tmp_path: Path
) -> None:
    _write(tmp_path, f"{place}part-0.parquet", f"{place}{log}")
    with pytest.raises(IngestError, match=f"is a table of {table_format}: .*exclude_files"):
        _list(tmp_path)
    excluded = "v1.metadata.json" if table_format == "Iceberg" else log.split("/")[0]
    assert _names(_list(tmp_path, [excluded])) == [f"{place}part-0.parquet"]


@pytest.mark.parametrize("log", ["_delta_log", ".hoodie"])
def test_list_source_files_of_a_partition_of_a_table_format_is_rejected(log: str, tmp_path: Path) -> None:
    _write(tmp_path, f"{log}/0.json", "year=2025/month=1/part-0.parquet")
    with pytest.raises(IngestError, match=f"the log in .*/{log} decides"):
        _list(tmp_path / "year=2025")
    assert _names(_list(tmp_path / "year=2025", [log])) == ["month=1/part-0.parquet"]


@pytest.mark.parametrize("names", [(), ("a.json",), (".a.csv",), ("sub/a.csv.part",)])
def test_list_source_files_without_a_table_is_rejected_and_names_the_others(
    names: tuple[str, ...], tmp_path: Path
) -> None:
    _write(tmp_path, *names)

    with pytest.raises(IngestError, match="has no readable file") as error:
        _list(tmp_path)
    assert all(name in str(error.value) for name in names)


def test_list_source_files_with_exclude_files_leaves_out_the_matching_ones(tmp_path: Path) -> None:
    _write(tmp_path, "a.csv", "test-a.csv", "old/b.csv", "old/c[1].csv")
    listing = _list(tmp_path, ["test-*", "old/c[1].csv"])

    assert _names(listing) == ["a.csv", "old/b.csv"]
    assert set(_reasons(listing)) == {"test-a.csv", "old/c[1].csv"}


def test_list_source_files_leaves_out_hidden_and_empty_folders_with_a_reason(tmp_path: Path) -> None:
    _write(tmp_path, "a.csv", ".git/b.csv", "_temporary/0/c.csv", "__MACOSX/._a.csv")
    (tmp_path / "2025-02").mkdir()
    listing = _list(tmp_path)

    assert _names(listing) == ["a.csv"]
    assert list(_reasons(listing)) == [".git", "2025-02", "__MACOSX", "_temporary"]


@pytest.mark.parametrize("target", ["/nowhere/2025-02.csv", "missing.csv", "2025-02.csv"])
def test_list_source_files_with_a_dangling_link_is_rejected(target: str, tmp_path: Path) -> None:
    _write(tmp_path, "2025-01.csv")
    (tmp_path / "2025-02.csv").symlink_to(target)

    with pytest.raises(IngestError, match=r"2025-02\.csv is a link"):
        _list(tmp_path)
    assert _names(_list(tmp_path, ["2025-02.csv"])) == ["2025-01.csv"]


def test_list_source_files_reads_a_linked_file_once(tmp_path: Path) -> None:
    _write(tmp_path / "data", "2025-02.csv")
    (tmp_path / "data" / "2025-01-latest.csv").symlink_to("2025-02.csv")
    os.link(tmp_path / "data" / "2025-02.csv", tmp_path / "data" / "hard.csv")
    listing = _list(tmp_path / "data")

    assert _names(listing) == ["2025-02.csv"]
    assert _reasons(listing) == dict.fromkeys(["2025-01-latest.csv", "hard.csv"], "the same file as 2025-02.csv")


def test_list_source_files_follows_links_to_files_and_folders_elsewhere(tmp_path: Path) -> None:
    _write(tmp_path / "store", "2025-01.csv", "..data/2025-02.csv", "old/2024.csv")
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "2025-01.csv").symlink_to(tmp_path / "store" / "2025-01.csv")
    (tmp_path / "data" / "2025-02.csv").symlink_to(tmp_path / "store" / "..data" / "2025-02.csv")
    (tmp_path / "data" / "a").symlink_to(tmp_path / "store" / "old")
    (tmp_path / "data" / "b").symlink_to(tmp_path / "store" / "old")
    (tmp_path / "link").symlink_to(tmp_path / "data")
    listing = _list(tmp_path / "link")

    assert _names(listing) == ["2025-01.csv", "2025-02.csv", "a/2024.csv"]
    assert _reasons(listing) == {"b": "the same folder as a"}


@pytest.mark.parametrize("target", [".", "..", "../..", "../sub"])
def test_list_source_files_with_a_loop_reads_each_file_once(target: str, tmp_path: Path) -> None:
    _write(tmp_path / "data", "a.csv", "sub/b.csv")
    (tmp_path / "data" / "sub" / "loop").symlink_to(target)
    listing = _list(tmp_path / "data")

    assert _names(listing) == ["a.csv", "sub/b.csv"]
    assert list(_reasons(listing)) == ["sub/loop"]


def test_list_source_files_leaves_out_pipes_and_sockets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _write(tmp_path, "a.csv")
    os.mkfifo(tmp_path / "pipe.csv")
    monkeypatch.chdir(tmp_path)  # the path of a socket may have about 100 characters
    with socket.socket(socket.AF_UNIX) as server:
        server.bind("socket.csv")
        listing = _list(tmp_path)

    assert _names(listing) == ["a.csv"]
    assert _reasons(listing) == dict.fromkeys(["pipe.csv", "socket.csv"], "no regular file")


def test_list_source_files_leaves_out_empty_parts_of_a_complete_export(tmp_path: Path) -> None:
    _write(tmp_path, "part-0.csv")
    _write(tmp_path, "part-1.csv", "_SUCCESS", text="")

    assert _names(_list(tmp_path)) == ["part-0.csv"]


@pytest.mark.parametrize("name", AWKWARD_NAMES)
def test_list_source_files_in_a_folder_with_an_awkward_name_lists_its_files(name: str, tmp_path: Path) -> None:
    _write(tmp_path, f"{name}/{name}.csv", "shop2/decoy.csv", "a/decoy.csv")

    assert _names(_list(tmp_path / name)) == [f"{name}.csv"]


def test_list_source_files_formats_names_for_one_line(tmp_path: Path) -> None:
    (tmp_path / "a\nb.csv").write_text(_ROW)
    (tmp_path / os.fsdecode(b"caf\xe9.csv")).write_text(_ROW)
    (tmp_path / "Größe 会社.csv").write_text(_ROW)

    assert sorted(_names(_list(tmp_path))) == ["Größe 会社.csv", "a\\nb.csv", "caf\\xe9.csv"]


_NAMES = st.sampled_from(["a", "b.csv", "c.csv.part", ".d", "_e", "f.md", "g.txt", "h.json"])


@given(paths=st.sets(st.lists(_NAMES, min_size=1, max_size=3).map(tuple), min_size=1, max_size=8))
@settings(max_examples=50, deadline=None)
def test_list_source_files_accounts_for_every_file(
    paths: set[tuple[str, ...]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    root = tmp_path_factory.mktemp("folder")
    _write(root, "big.csv", text=_ROW * 100)
    for path in sorted(paths, key=len, reverse=True):
        if not root.joinpath(*path).exists() and not any(root.joinpath(*path[:i]).is_file() for i in range(len(path))):
            _write(root, "/".join(path), text="x")
    listing = _list(root)
    accounted = [*_names(listing), *_reasons(listing)]

    assert len(accounted) == len(set(accounted))
    for file in (path for path in root.rglob("*") if path.is_file()):
        name = str(file.relative_to(root))
        assert sum(name == known or name.startswith(f"{known}/") for known in accounted) == 1
