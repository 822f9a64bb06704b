"""Tests of atomic file writes."""

import os
import signal
from pathlib import Path

import pytest

from holdfast.core.atomic_files import replace_file
from tests.support.small_shop import fork_server, join_process


def _die_while_writing(path: Path) -> None:
    with replace_file(path) as temporary:
        temporary.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_replace_file_new_path_creates_file_and_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    with replace_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [item.name for item in path.parent.iterdir()] == ["file.txt"]


def test_replace_file_block_fails_old_file_remains(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="midway"), replace_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("midway")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["file.txt"]


def test_replace_file_block_writes_nothing_raises(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replace_file(path):
        pass
    assert path.read_text() == "old"


def test_replace_file_killed_in_block_old_file_remains(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    child = fork_server().Process(target=_die_while_writing, args=(path,))
    child.start()
    assert join_process(child) == -signal.SIGKILL
    assert path.read_text() == "old"
    with replace_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_replace_file_syncs_before_rename(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, order = tmp_path / "file.txt", []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(Path, "replace", lambda self, target: (order.append("replace"), replace(self, target)))
    with replace_file(path) as temporary:
        temporary.write_text("whole")
    assert order == ["fsync", "replace"]
