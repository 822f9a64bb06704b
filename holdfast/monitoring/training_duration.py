"""Whether training takes longer than it did."""

from statistics import median

from mlflow.exceptions import MlflowException

from feature_repo.settings import Settings
from holdfast.model_versions.aliases import UnknownVersionError, get_version, open_registry
from holdfast.model_versions.champion_history import read_training_times
from holdfast.models.registry_client import fail_fast_env
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.freshness import Judged
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.settings import DataRules
from holdfast.monitoring.window import Window
from holdfast.training.mlflow_tracking import TRAINING_TIME_METRIC

_SUBJECT = "training"
_BEFORE, _FEWEST = 10, 3


def check_training_duration(settings: Settings, window: Window, rules: DataRules) -> Judged:
    """Processor time of the newest training up to ``as_of`` against the median of up to ten before it.

    Of fewer than three before it nothing is said. A training that was cut short, and went on, has no time.
    """
    try:
        with fail_fast_env():
            times = _times(settings, window)
    except UnknownVersionError:
        return [], [], []
    except MlflowException as error:  # the other checks of the view do not need the registry
        return [], [], [f"How long training takes is not known: {str(error).splitlines()[0]}"]
    if not times:
        return [], [], []
    (version, seconds), before = times[-1], [seconds for _, seconds in times[:-1]]
    if len(before) < _FEWEST:
        return [MetricRow(TRAINING_TIME_METRIC, _SUBJECT, seconds, 1, version)], [], []
    usual = median(before)
    limit = usual * rules.max_training_ratio
    row = MetricRow(TRAINING_TIME_METRIC, _SUBJECT, seconds, 1, version, limit=limit, breached=seconds > limit)
    if seconds <= limit:
        return [row], [], []
    text = (
        f"Training version {version} took {seconds:.0f} s of processor time, {seconds / usual:.1f} times the median of "
        f"the {len(before)} before it ({usual:.0f} s)."
    )
    payload = {"version": version, "seconds": seconds, "usual_seconds": usual, "limit": limit}
    return (
        [row],
        [Finding(event="holdfast.training.slow", severity="warning", subject=_SUBJECT, summary=text, payload=payload)],
        [],
    )


def _times(settings: Settings, window: Window) -> list[tuple[str, float]]:
    """Version and seconds of the latest trainings whose time is known, oldest first."""
    client = open_registry(settings)
    known = [version for version, moment in read_training_times(client).items() if moment <= window.as_of]
    times = []
    for version in sorted(known, key=int)[-_BEFORE - 1 :]:
        metrics = client.get_run(str(get_version(client, version).run_id)).data.metrics
        if TRAINING_TIME_METRIC in metrics:
            times.append((version, metrics[TRAINING_TIME_METRIC]))
    return times
