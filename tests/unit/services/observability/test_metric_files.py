"""Collection of metrics while other processes create, fill and remove their files."""

import os
import struct
from collections.abc import Iterator
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, generate_latest, multiprocess
from prometheus_client.mmap_dict import MmapedDict, mmap_key
from prometheus_client.multiprocess import MultiProcessCollector

from services.observability.metric_files import is_empty, remove_ended_processes, skip_empty_files

NAME = "holdfast_requests_total"
KEY = mmap_key("holdfast_requests", NAME, [], [], "Requests.")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Return the folder of metrics, with the collector of the service."""
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    monkeypatch.setattr(MultiProcessCollector, "merge", staticmethod(MultiProcessCollector.merge))
    skip_empty_files()
    return tmp_path


def _count(file: Path, value: float) -> None:
    values = MmapedDict(str(file))
    values.write_value(KEY, value, 0.0)
    values.close()


def _collect() -> list[str]:
    registry = CollectorRegistry()
    MultiProcessCollector(registry)
    return [line for line in generate_latest(registry).decode().splitlines() if line.startswith(NAME)]


def test_prometheus_client_fails_at_an_empty_file(tmp_path: Path) -> None:
    """The reason of ``skip_empty_files``: without it, remove that function."""
    (tmp_path / "counter_2.db").touch()
    with pytest.raises(struct.error):
        MmapedDict.read_all_values_from_file(str(tmp_path / "counter_2.db"))


def test_collection_at_each_state_of_a_new_file_has_the_written_values(folder: Path, tmp_path: Path) -> None:
    _count(folder / "counter_1.db", 3)
    whole = tmp_path / "whole"
    _count(whole, 4)
    content = whole.read_bytes()
    header = struct.pack("i", 8)
    states = [(b"", 3), (bytes(len(content)), 3), (header.ljust(len(content), b"\0"), 3), (content, 7)]
    for state, expected in states:
        (folder / "counter_2.db").write_bytes(state)
        assert _collect() == [f"{NAME} {float(expected)}"]


def test_collection_of_a_removed_gauge_file_has_the_others(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _count(folder / "gauge_livemax_1.db", 3)
    removed = str(folder / "gauge_livemax_2.db")  # between the listing and the reading
    monkeypatch.setattr(multiprocess.glob, "glob", lambda _: [removed, str(folder / "gauge_livemax_1.db")])
    assert not is_empty(Path(removed))
    assert _collect() == [f"{NAME} 3.0"]


def test_remove_ended_processes_while_another_removes_them_removes_all(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = [folder / f"gauge_{mode}_{2**22 + number}.db" for mode in ("livemax", "livesum") for number in (1, 2)]
    for file in (*ended, folder / f"gauge_livemax_{os.getpid()}.db"):
        file.touch()
    remove = os.remove

    def removed_before(file: str) -> None:
        remove(file)
        remove(file)

    monkeypatch.setattr(os, "remove", removed_before)
    remove_ended_processes()
    assert [file.name for file in folder.iterdir()] == [f"gauge_livemax_{os.getpid()}.db"]


def test_service_of_one_process_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    merge = MultiProcessCollector.merge
    skip_empty_files()
    remove_ended_processes()
    assert MultiProcessCollector.merge is merge
