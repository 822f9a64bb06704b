"""The folders of a backtest: results under ``data/backtest``, and a state of its own for each policy.

::

    backtest/POLICY.json            what the policy did and what it brought
    backtest/POLICY/scores/*.parquet
    backtest/backtest.png
    backtest/state/POLICY/          a data folder: registry, features, scores of the walk
"""

import shutil
from pathlib import Path

from feature_repo.settings import REPLAY_MARKER, Settings
from holdfast.core.errors import HoldfastError

# What a walk reads and may add to, but never changes: batches, snapshots and finished searches.
_SHARED = ("batches", "snapshots", "search")
JOB_FILE, STEPS_FILE, SCORES_FOLDER, LOG_FILE = "walk.json", "steps.json", "scores", "log.txt"


def backtest_folder(settings: Settings) -> Path:
    """Where results are."""
    return settings.data / "backtest"


def result_path(settings: Settings, policy: str) -> Path:
    """The JSON of a policy."""
    return backtest_folder(settings) / f"{policy}.json"


def scores_folder(settings: Settings, policy: str) -> Path:
    """The scores of a policy."""
    return backtest_folder(settings) / policy / SCORES_FOLDER


class NoBacktestError(HoldfastError):
    """There is no picture to copy."""


def plot_path(settings: Settings) -> Path:
    """The picture of the last backtest."""
    return backtest_folder(settings) / "backtest.png"


def copy_plot(settings: Settings, folder: Path) -> Path:
    """Copy the picture of the last backtest into ``folder``; returns the copy.

    Raises:
        NoBacktestError: There has been none.
    """
    if not plot_path(settings).exists():
        raise NoBacktestError(f"{plot_path(settings)} is not there: run `python -m flows.backtest` first.")
    folder.mkdir(parents=True, exist_ok=True)
    return Path(shutil.copy2(plot_path(settings), folder))


def state_folder(settings: Settings, policy: str) -> Path:
    """The data folder of a policy's walk."""
    return backtest_folder(settings) / "state" / policy


def create_state_folder(settings: Settings, policy: str) -> Path:
    """A data folder for a walk, with nothing of an earlier one.

    Links are relative: the data folder may be moved. A search that another policy, or an earlier backtest, finished
    with the same data and settings need not be repeated.
    """
    state = state_folder(settings, policy)
    if state.exists():
        shutil.rmtree(state)  # links are removed, not followed
    state.mkdir(parents=True)
    for name in _SHARED:
        (settings.data / name).mkdir(exist_ok=True)
        (state / name).symlink_to(Path("../../..") / name, target_is_directory=True)
    if (settings.data / REPLAY_MARKER).exists():
        shutil.copyfile(settings.data / REPLAY_MARKER, state / REPLAY_MARKER)
    return state


def publish_scores(settings: Settings, policy: str) -> None:
    """Put the scores of a finished walk in the place of those of an earlier backtest."""
    place = scores_folder(settings, policy)
    place.parent.mkdir(parents=True, exist_ok=True)
    if place.exists():
        shutil.rmtree(place)
    (state_folder(settings, policy) / SCORES_FOLDER).rename(place)
