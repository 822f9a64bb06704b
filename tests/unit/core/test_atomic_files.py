"""A file is replaced as a whole or not at all."""

import os
import signal
from pathlib import Path

import pytest

from holdfast.core.atomic_files import replace_file
from tests.support.small_shop import join, processes


def _die_while_writing(path: Path) -> None:
    with replace_file(path) as temporary:
        temporary.write_text("half")
        os.kill(os.getpid(), signal.SIGKILL)


def test_it_appears_whole_with_its_folder(tmp_path: Path) -> None:
    path = tmp_path / "new" / "folder" / "file.txt"
    with replace_file(path) as temporary:
        temporary.write_text("whole")
        assert not path.exists()
    assert path.read_text() == "whole"
    assert [item.name for item in path.parent.iterdir()] == ["file.txt"]


def test_on_failure_the_old_one_stays_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError, match="midway"), replace_file(path) as temporary:
        temporary.write_text("half")
        raise RuntimeError("midway")
    assert path.read_text() == "old"
    assert [item.name for item in tmp_path.iterdir()] == ["file.txt"]


def test_a_body_that_wrote_nothing_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    with pytest.raises(FileNotFoundError), replace_file(path):
        pass
    assert path.read_text() == "old"


def test_killed_midway_the_old_one_stays(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    path.write_text("old")
    child = processes().Process(target=_die_while_writing, args=(path,))
    child.start()
    assert join(child) == -signal.SIGKILL
    assert path.read_text() == "old"
    with replace_file(path) as temporary:
        temporary.write_text("new")
    assert path.read_text() == "new"


def test_it_is_on_the_disk_before_it_takes_the_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, order = tmp_path / "file.txt", []
    fsync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda descriptor: (order.append("fsync"), fsync(descriptor)))
    monkeypatch.setattr(Path, "replace", lambda self, target: (order.append("replace"), replace(self, target)))
    with replace_file(path) as temporary:
        temporary.write_text("whole")
    assert order == ["fsync", "replace"]
