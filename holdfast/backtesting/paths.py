"""Folders of a backtest: results under ``data/backtest``, and a separate state for each policy.

::

    backtest/POLICY.json            steps and performance of the policy
    backtest/POLICY/scores/*.parquet
    backtest/backtest.png
    backtest/state/POLICY/          a data folder: registry, features, scores of the policy
    backtest/MODEL/                 the same of another model than churn
"""

import os
import shutil
from pathlib import Path

from feature_repo.settings import REPLAY_MARKER, Settings
from holdfast.models.declaration import CHURN

# A policy reads these and may add to them, but never changes them: batches, snapshots, completed searches.
_SHARED = ("batches", "snapshots", "search")
JOB_FILE, STEPS_FILE, SCORES_FOLDER, LOG_FILE = "job.json", "steps.json", "scores", "log.txt"


def backtest_folder(settings: Settings, model: str = CHURN) -> Path:
    """Return the folder of the results.

    Args:
        settings: Name the data folder.
        model: Name of the model's declaration.

    Returns:
        The folder, which may not exist.
    """
    folder = settings.data / "backtest"
    return folder if model == CHURN else folder / model


def result_path(settings: Settings, policy: str, model: str = CHURN) -> Path:
    """Return the JSON file of a policy.

    Args:
        settings: Name the data folder.
        policy: Name of the policy.
        model: Name of the model's declaration.

    Returns:
        The file, which may not exist.
    """
    return backtest_folder(settings, model) / f"{policy}.json"


def scores_folder(settings: Settings, policy: str, model: str = CHURN) -> Path:
    """Return the folder with the published scores of a policy.

    Args:
        settings: Name the data folder.
        policy: Name of the policy.
        model: Name of the model's declaration.

    Returns:
        The folder, which may not exist.
    """
    return backtest_folder(settings, model) / policy / SCORES_FOLDER


def plot_path(settings: Settings, model: str = CHURN) -> Path:
    """Return the plot of the latest backtest.

    Args:
        settings: Name the data folder.
        model: Name of the model's declaration.

    Returns:
        The file, which may not exist.
    """
    return backtest_folder(settings, model) / "backtest.png"


def state_folder(settings: Settings, policy: str, model: str = CHURN) -> Path:
    """Return the data folder of a policy.

    Args:
        settings: Name the data folder of the backtest.
        policy: Name of the policy.
        model: Name of the model's declaration.

    Returns:
        The folder, which may not exist.
    """
    return backtest_folder(settings, model) / "state" / policy


def create_state_folder(settings: Settings, policy: str, model: str = CHURN) -> Path:
    """Create an empty data folder for a policy, with links to batches, snapshots and searches.

    The links are relative, so that the data folder can be moved. Through the link to completed searches, policies and
    later backtests with the same data and settings share them.

    Args:
        settings: Name the data folder of the backtest.
        policy: Name of the policy.
        model: Name of the model's declaration.

    Returns:
        The folder.
    """
    state = state_folder(settings, policy, model)
    if state.exists():
        shutil.rmtree(state)  # links are removed, not followed
    state.mkdir(parents=True)
    for name in _SHARED:
        (settings.data / name).mkdir(exist_ok=True)
        (state / name).symlink_to(os.path.relpath(settings.data / name, state), target_is_directory=True)
    if (settings.data / REPLAY_MARKER).exists():
        shutil.copyfile(settings.data / REPLAY_MARKER, state / REPLAY_MARKER)
    return state


def publish_scores(settings: Settings, policy: str, model: str = CHURN) -> None:
    """Replace the published scores of a policy by those of its completed steps.

    Args:
        settings: Name the data folder of the backtest.
        policy: Name of the policy.
        model: Name of the model's declaration.
    """
    published = scores_folder(settings, policy, model)
    published.parent.mkdir(parents=True, exist_ok=True)
    if published.exists():
        shutil.rmtree(published)
    (state_folder(settings, policy, model) / SCORES_FOLDER).rename(published)
