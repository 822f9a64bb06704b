"""State folder of a policy: shared folders, and isolation from the data folder."""

import shutil
from pathlib import Path

import pytest

from feature_repo.settings import REPLAY_MARKER, Settings
from holdfast.backtesting.paths import SCORES_FOLDER, create_state_folder, publish_scores, scores_folder
from holdfast.ingestion.batches import list_batches
from tests.support.small_shop import copy_shop


@pytest.fixture
def real(tmp_path: Path) -> Settings:
    return Settings(data=copy_shop(tmp_path))


def test_create_state_folder_new_policy_has_data_without_registry(real: Settings) -> None:
    (real.data / "mlflow").mkdir()
    state = Settings(data=create_state_folder(real, "drift"))
    assert list_batches(state) == list_batches(real)
    assert not state.mlflow.exists()
    assert not state.feast.exists()


@pytest.mark.parametrize("replay", [True, False])
def test_create_state_folder_replay_marker_equals_data_folder(real: Settings, replay: bool) -> None:
    if replay:
        (real.data / REPLAY_MARKER).write_text("cdnow")
    state = create_state_folder(real, "drift")
    assert (state / REPLAY_MARKER).exists() is replay


def test_create_state_folder_added_snapshots_and_searches_shared(real: Settings) -> None:
    state = create_state_folder(real, "drift")
    (state / "snapshots" / "built").touch()
    (state / "search" / "finished").touch()
    (state / "mlflow").mkdir()
    again = create_state_folder(real, "drift")
    assert again == state
    assert not (again / "mlflow").exists()
    assert (real.snapshots / "built").exists()
    assert (real.data / "search" / "finished").exists()
    assert len(list_batches(real)) == 3


def test_create_state_folder_moved_data_folder_links_valid(real: Settings, tmp_path: Path) -> None:
    create_state_folder(real, "drift")
    moved = Path(shutil.move(real.data, tmp_path / "elsewhere"))
    assert len(list_batches(Settings(data=moved / "backtest" / "state" / "drift"))) == 3


def test_publish_scores_second_call_replaces_earlier_scores(real: Settings) -> None:
    for name in ("old", "new"):
        scores = create_state_folder(real, "drift") / SCORES_FOLDER
        scores.mkdir()
        (scores / name).touch()
        publish_scores(real, "drift")
    assert [path.name for path in scores_folder(real, "drift").iterdir()] == ["new"]
