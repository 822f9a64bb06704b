"""Tests of the permissions of files: other users of the machine read and change nothing."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.local.lock import acquire_lock
from deploy.local.settings import LocalSettings
from feature_repo.private_files import restrict_data_folder, restrict_new_files
from feature_repo.settings import Settings, apply_environment
from flows import configure
from tests.support.main_job import ROOT

WRITE_NOTHING = {
    "deploy/local/lock.py",  # `eval "$(python -m deploy.local.lock)"`
    "holdfast/runtime/prefect_access.py",
    "services/api/api_keys.py",
}
STARTED_BY_OTHERS = {
    *(
        f"deploy/local/{name}.py"  # by Supervisor, with a umask in its configuration
        for name in ("orphans", "prefect_server", "prepare", "read_only_server", "register_deployments", "service")
    ),
    "holdfast/lineage/retrain_worker.py",
    "holdfast/runtime/process_guard.py",
    "services/models/model_trial.py",
}


@pytest.fixture(autouse=True)
def open_umask() -> Iterator[None]:
    """Set the most open umask for the test."""
    previous = os.umask(0)
    yield
    os.umask(previous)


def test_restrict_new_files_keeps_a_stricter_umask(tmp_path: Path) -> None:
    os.umask(0o077)
    restrict_new_files()
    (tmp_path / "file").touch()
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("enter", [apply_environment, configure])
def test_entry_point_files_have_no_permissions_for_others(enter: object, data_dir: Path, tmp_path: Path) -> None:
    assert callable(enter)
    enter()
    (tmp_path / "file").touch()
    (tmp_path / "folder").mkdir()
    assert (tmp_path / "file").stat().st_mode & 0o777 == 0o640
    assert (tmp_path / "folder").stat().st_mode & 0o777 == 0o750
    child = f"open({str(tmp_path / 'child')!r}, 'w')"
    subprocess.run([sys.executable, "-S", "-c", child], check=True)
    assert (tmp_path / "child").stat().st_mode & 0o007 == 0


def test_configure_creates_the_data_folder_for_its_owner_only(data_dir: Path) -> None:
    configure()
    assert data_dir.stat().st_mode & 0o777 == 0o700


def test_make_up_creates_the_data_folder_for_its_owner_only(data_dir: Path) -> None:
    restrict_new_files()
    acquire_lock(Settings.from_environment(), LocalSettings()).release()
    assert data_dir.stat().st_mode & 0o777 == 0o700


def test_each_entry_point_restricts_new_files() -> None:
    """Flows do it when their package is imported; the processes that others start inherit the restriction."""
    unrestricted = {
        file.relative_to(ROOT).as_posix()
        for folder in ("deploy", "feature_repo", "holdfast", "services")
        for file in (ROOT / folder).rglob("*.py")
        if re.search(r"^if __name__ == .__main__.:", text := file.read_text(), re.M)
        and not re.search(r"^    (apply_environment|restrict_new_files)\(\)", text, re.M)
    }
    assert unrestricted == WRITE_NOTHING | STARTED_BY_OTHERS
    assert "apply_environment()" in (ROOT / "flows" / "__init__.py").read_text()


@pytest.mark.parametrize(
    ("before", "after"), [(0o755, 0o700), (0o777, 0o700), (0o750, 0o750), (0o700, 0o700), (0o1777, 0o1777)]
)
def test_restrict_data_folder_of_a_used_folder(before: int, after: int, tmp_path: Path) -> None:
    """A folder for a group is left to its owner; one with the sticky bit is no data folder of one user."""
    data = tmp_path / "data"
    (data / "mlflow").mkdir(parents=True)
    data.chmod(before)
    restrict_data_folder(data)
    assert data.stat().st_mode & 0o7777 == after


def test_restrict_data_folder_without_state_is_unchanged(tmp_path: Path) -> None:
    """A home folder, for instance, that was named by mistake."""
    tmp_path.chmod(0o755)
    (tmp_path / "photos").mkdir()
    restrict_data_folder(tmp_path)
    assert tmp_path.stat().st_mode & 0o777 == 0o755


def test_settings_of_a_data_folder_change_nothing(tmp_path: Path) -> None:
    Settings(data=tmp_path / "missing", mlflow_tracking_uri="sqlite://")
    assert not (tmp_path / "missing").exists()
