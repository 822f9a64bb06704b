"""Tests of files with secrets: other users can neither read nor change them."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from holdfast.core.secret_files import SecretFileError, ensure_secret_file, read_secret_file


def test_ensure_secret_file_is_private_whatever_the_umask(tmp_path: Path) -> None:
    previous = os.umask(0)
    try:
        secret = ensure_secret_file(tmp_path / "local" / "password", "user:")
    finally:
        os.umask(previous)
    assert secret.startswith("user:")
    assert len(secret) > 40
    assert (tmp_path / "local" / "password").stat().st_mode & 0o777 == 0o600
    assert (tmp_path / "local").stat().st_mode & 0o077 == 0
    assert [file.name for file in (tmp_path / "local").iterdir()] == ["password"]


def test_ensure_secret_file_at_the_same_time_gives_one_secret(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        secrets = set(pool.map(lambda _: ensure_secret_file(tmp_path / "password"), range(40)))
    assert secrets == {(tmp_path / "password").read_text().strip()}


@pytest.mark.parametrize("mode", [mode for mode in range(0o600, 0o1000) if mode & 0o066 and mode < 0o700])
def test_read_secret_file_accessible_to_others_is_refused(mode: int, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    file.chmod(mode)
    with pytest.raises(SecretFileError, match=r"can be (read|changed) by other users: `chmod 600"):
        read_secret_file(file)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a file to another user")
def test_read_secret_file_of_another_user_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text("secret")
    file.chmod(0o600)
    os.chown(file, 12345, -1)
    with pytest.raises(SecretFileError, match="belongs to another user"):
        read_secret_file(file)


@pytest.mark.parametrize("content", ["", " \n"])
def test_read_secret_file_empty_is_refused(content: str, tmp_path: Path) -> None:
    file = tmp_path / "password"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(SecretFileError, match="is empty"):
        read_secret_file(file)
