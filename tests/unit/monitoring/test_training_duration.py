"""Check of the CPU time of training: a slow training is found, a usual one is not."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from feature_repo.settings import Settings
from holdfast.models.contract import MODEL_NAME
from holdfast.monitoring.result import CheckResult
from holdfast.monitoring.settings import DataQualityRules
from holdfast.monitoring.training_duration import check_training_duration
from holdfast.monitoring.window import Window
from holdfast.training.mlflow_tracking import TRAINING_TIME_METRIC
from tests.support.registry import Registry, make_registry
from tests.support.small_shop import AS_OF

WINDOW = Window(AS_OF - timedelta(days=1), AS_OF, AS_OF)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    made = make_registry(tmp_path)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.uri)
    return made


def _train(registry: Registry, times: Sequence[float | None], as_of: datetime = AS_OF) -> Settings:
    """Register one version per CPU time in seconds; None: the time is unknown."""
    for seconds in times:
        version = registry.register(None, None)
        registry.client.set_model_version_tag(MODEL_NAME, version, "holdfast.as_of", as_of.isoformat())
        if seconds is not None:
            run_id = registry.client.get_model_version(MODEL_NAME, version).run_id
            registry.client.log_metric(run_id, TRAINING_TIME_METRIC, seconds)
    return Settings(data=registry.artifacts.parent)


def test_check_training_duration_above_three_medians_has_finding(registry: Registry) -> None:
    settings = _train(registry, [40, 44, 36, 50, 127])
    result = check_training_duration(settings, WINDOW, DataQualityRules())
    (row,), (finding,) = result.metrics, result.findings
    assert (row.metric, row.version, row.value, row.limit, row.breached) == (TRAINING_TIME_METRIC, "5", 127, 126, True)
    assert (finding.event, finding.severity, finding.subject) == ("holdfast.training.slow", "warning", "training")
    assert finding.summary == (
        "Training version 5 took 127 s of CPU time, 3.0 times the median of the 4 trainings before (42 s)."
    )
    assert result.notes == []
    assert check_training_duration(settings, WINDOW, DataQualityRules(max_training_ratio=4)).findings == []
    result = check_training_duration(_train(registry, [41]), WINDOW, DataQualityRules())
    (row,) = result.metrics
    assert (row.version, row.breached, result.findings) == ("6", False, []), "the next training is as fast as before"


@pytest.mark.parametrize(
    "times",
    [
        [40, 44, 36, 120],  # at most three times the median
        [40, 44, 500],  # two earlier trainings are too few
        [40, None, 44, None, 500],
        [1, 1, 1, 1, *[50] * 10, 120],  # only the ten before are compared
    ],
)
def test_check_training_duration_usual_or_incomparable_has_no_finding(
    registry: Registry, times: list[float | None]
) -> None:
    result = check_training_duration(_train(registry, times), WINDOW, DataQualityRules())
    assert [(row.value, row.breached) for row in result.metrics] == [(times[-1], False)]
    assert (result.findings, result.notes) == ([], [])


def test_check_training_duration_without_known_time_is_empty(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    assert check_training_duration(Settings(data=tmp_path / "nowhere"), WINDOW, DataQualityRules()) == CheckResult()
    registry = request.getfixturevalue("registry")
    assert check_training_duration(_train(registry, [None]), WINDOW, DataQualityRules()) == CheckResult()
    later = _train(registry, [40, 41, 42, 900], AS_OF + timedelta(days=1))
    assert check_training_duration(later, WINDOW, DataQualityRules()) == CheckResult()
