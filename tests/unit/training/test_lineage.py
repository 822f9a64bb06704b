"""Lineage of a training run and its training key."""

import ast
import shutil
import subprocess
from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.training import lineage
from holdfast.training.lineage import Lineage, build_lineage
from holdfast.training.settings import TrainingSettings
from tests.support.feature_oracle import MICROSECOND
from tests.support.main_job import ROOT
from tests.support.small_shop import ARRIVALS, AS_OF, KNOWN_AT, shop_folder

PRINTS = {"labels": "a", "transformations": "b"}


def _lineage(known_at: datetime = KNOWN_AT, as_of: datetime = AS_OF, **settings: Any) -> Lineage:
    training = TrainingSettings.model_validate(settings)
    return build_lineage(Settings(data=shop_folder()), training, PRINTS, as_of, known_at)


def test_build_lineage_known_at_and_as_of_limit_batches() -> None:
    assert len(_lineage().batches) == 3
    assert _lineage(ARRIVALS[1][1]).batches == _lineage().batches[:2]
    assert _lineage(ARRIVALS[1][1] - MICROSECOND).batches == _lineage().batches[:1]
    assert len(_lineage(as_of=datetime(2024, 6, 1, tzinfo=UTC)).batches) == 2  # the third has only later events


def test_lineage_key_irrelevant_inputs_same_key() -> None:
    base = _lineage()
    assert _lineage().key == base.key
    assert _lineage(KNOWN_AT + timedelta(days=900)).key == base.key
    assert replace(base, git_commit="another").key == base.key


OTHER: dict[str, Any] = {
    "as_of": AS_OF + timedelta(days=1),
    "batches": ["another"],
    "fingerprint": {"labels": "a", "transformations": "c"},
    "settings": TrainingSettings(seed=1).model_dump(),
    "horizon_days": 91,
    "activity_days": 181,
    "label": "not_renewed",
    "grace_days": 14,
    "training_code": "another",
    "lock": "another",
    "python": "3.99",
    "model": "another",
}


def test_lineage_key_all_fields_tested() -> None:
    assert OTHER.keys() == {field.name for field in fields(Lineage)} - {"git_commit", "known_at", "arithmetic"}


@pytest.mark.parametrize("name", OTHER)
def test_lineage_key_changed_field_other_key(name: str) -> None:
    base = _lineage()
    assert replace(base, **{name: OTHER[name]}).key != base.key


# Another value of each setting, nested ones by their path.
OTHER_SETTINGS: dict[str, Any] = {
    "test_cutoffs": 3,
    "folds": 4,
    "min_fit_cutoffs": 3,
    "min_history_days": 31,
    "family": "base_rate",
    "candidates": ["logistic"],
    "max_cutoffs": 35,
    "search": {"trials": 11},
    "calibration": "none",
    "refit": False,
    "max_refit_change": 0.2,
    "value": {"offer_cost": 2.5},
    "slices": [],
    "resamples": 499,
    "seed": 1,
}


def test_lineage_key_all_training_settings_tested() -> None:
    assert OTHER_SETTINGS.keys() == TrainingSettings.model_fields.keys()


@pytest.mark.parametrize("name", OTHER_SETTINGS)
def test_lineage_key_changed_setting_other_key(name: str) -> None:
    assert _lineage(**{name: OTHER_SETTINGS[name]}).key != _lineage().key


def test_lineage_key_explicit_defaults_same_key() -> None:
    """A deployment sends settings as JSON, in which 90 and 90.0 are the same."""
    for given in (TrainingSettings().model_dump(mode="json"), {"search": {"seconds": 90}, "value": {"offer_cost": 2}}):
        assert _lineage(**given).key == _lineage().key


def _copy_source(folder: Path) -> None:
    """Copy the files that build_lineage reads."""
    for package in ("holdfast/training", "holdfast/models", "feature_repo"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "flows").mkdir()
    for name in ("flows/train.py", "flows/_training.py", "requirements.lock"):
        shutil.copy(ROOT / name, folder / name)


class TestTrainingCode:
    @pytest.fixture
    def checkout(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
        """Copy the source to a folder that a test may change."""
        _copy_source(tmp_path)
        monkeypatch.setattr(lineage, "ROOT", tmp_path)
        return tmp_path

    @pytest.mark.parametrize(
        "path",
        [
            "flows/train.py",
            "flows/_training.py",
            "holdfast/training/model_families.py",
            "holdfast/training/time_split.py",
            "holdfast/models/calibrated_classifier.py",
            "holdfast/models/contract.py",
            "holdfast/models/fingerprint.py",
        ],
    )
    def test_build_lineage_changed_model_code_other_key(self, checkout: Path, path: str) -> None:
        before, file = _lineage(), checkout / path
        assert before.training_code == _lineage().training_code
        file.write_text(f"# a comment\n{file.read_text()}")
        assert _lineage().key == before.key
        file.write_text(f"{file.read_text()}\nanother = 1\n")
        assert _lineage().training_code != before.training_code
        assert _lineage().key != before.key

    def test_build_lineage_imported_model_modules_included(self) -> None:
        flow_files = [ROOT / "flows" / name for name in ("train.py", "_training.py")]
        files = [*(ROOT / "holdfast/training").glob("*.py"), *flow_files]
        imported = {
            node.module.split(".")[2]
            for file in files
            for node in ast.walk(ast.parse(file.read_text()))
            if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("holdfast.models.")
        }
        # These only transfer and check files and records; the lineage has the values of the declaration.
        others = {"registry_client", "mlflow_client", "declaration", "artifact_sources"}
        assert imported - others <= set(lineage._MODEL_MODULES)

    def test_build_lineage_changed_lock_file_changes_lock_only(self, checkout: Path) -> None:
        before = _lineage()
        (checkout / "requirements.lock").write_text("nothing")
        assert _lineage().lock != before.lock
        assert _lineage().training_code == before.training_code


def test_build_lineage_local_changes_marked_in_git_commit(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        identity = ["-c", "user.name=Ann", "-c", "user.email=ann@holdfast.example"]
        done = subprocess.run(["git", *identity, *arguments], cwd=tmp_path, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    _copy_source(tmp_path)
    git("init", "--quiet")
    git("add", ".")
    git("commit", "--quiet", "--message", "all")
    monkeypatch.setattr(lineage, "ROOT", tmp_path)
    commit = git("rev-parse", "HEAD")
    assert _lineage().git_commit == commit
    file = tmp_path / "holdfast/training/model_families.py"
    file.write_text(f"{file.read_text()}\nanother = 1\n")
    assert _lineage().git_commit == f"{commit} with local changes"
    git("commit", "--quiet", "--all", "--message", "another")
    assert _lineage().git_commit == git("rev-parse", "HEAD") != commit


def test_read_git_commit_outside_checkout_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    commit = lineage.read_git_commit().split(" ")[0]
    assert len(commit) == 40 or commit == "unknown"
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "/")
    monkeypatch.setattr(lineage, "ROOT", tmp_path)
    assert lineage.read_git_commit() == "unknown"
    monkeypatch.setenv("PATH", "")
    assert lineage.read_git_commit() == "unknown"
