"""Whether training takes longer than it did: a planted slow one is found, what is usual is not."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from feature_repo.settings import Settings
from holdfast.models.contract import MODEL_NAME
from holdfast.monitoring.settings import DataRules
from holdfast.monitoring.training_duration import check_training_duration
from holdfast.monitoring.window import Window
from holdfast.training.mlflow_tracking import TRAINING_TIME_METRIC
from tests.support.registry import Registry, make_registry
from tests.support.small_shop import AS_OF

WINDOW = Window.ending(AS_OF, 1, AS_OF)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = make_registry(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.uri)
    return made


def _trained(registry: Registry, times: Sequence[float | None], as_of: datetime = AS_OF) -> Settings:
    """A version after each other whose training took so long; None: its time is not known."""
    for seconds in times:
        version = registry.register(None, None)
        registry.client.set_model_version_tag(MODEL_NAME, version, "holdfast.as_of", as_of.isoformat())
        if seconds is not None:
            run_id = registry.client.get_model_version(MODEL_NAME, version).run_id
            registry.client.log_metric(run_id, TRAINING_TIME_METRIC, seconds)
    return Settings(data=registry.artifacts.parent)


def test_one_that_takes_more_than_three_times_as_long_is_found(registry: Registry) -> None:
    settings = _trained(registry, [40, 44, 36, 50, 127])
    (row,), (finding,), notes = check_training_duration(settings, WINDOW, DataRules())
    assert (row.metric, row.version, row.value, row.limit, row.breached) == (TRAINING_TIME_METRIC, "5", 127, 126, True)
    assert (finding.event, finding.severity, finding.subject) == ("holdfast.training.slow", "warning", "training")
    assert finding.summary == (
        "Training version 5 took 127 s of processor time, 3.0 times the median of the 4 before it (42 s)."
    )
    assert notes == []
    assert check_training_duration(settings, WINDOW, DataRules(max_training_ratio=4))[1] == []
    (row,), findings, _ = check_training_duration(_trained(registry, [41]), WINDOW, DataRules())
    assert (row.version, row.breached, findings) == ("6", False, []), "the next is as quick as before"


@pytest.mark.parametrize(
    "times",
    [
        [40, 44, 36, 120],  # at most three times the median
        [40, 44, 500],  # of two before it no median is usual
        [40, None, 44, None, 500],
        [1, 1, 1, 1, *[50] * 10, 120],  # only the latest ten count
    ],
)
def test_what_is_usual_or_cannot_be_told_is_not(registry: Registry, times: list[float | None]) -> None:
    rows, findings, notes = check_training_duration(_trained(registry, times), WINDOW, DataRules())
    assert [(row.value, row.breached) for row in rows] == [(times[-1], False)]
    assert (findings, notes) == ([], [])


def test_of_no_training_up_to_then_nothing_is_said(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    assert check_training_duration(Settings(data=tmp_path / "nowhere"), WINDOW, DataRules()) == ([], [], [])
    registry = request.getfixturevalue("registry")
    assert check_training_duration(_trained(registry, [None]), WINDOW, DataRules()) == ([], [], [])
    later = _trained(registry, [40, 41, 42, 900], AS_OF + timedelta(days=1))
    assert check_training_duration(later, WINDOW, DataRules()) == ([], [], [])
