"""CPU time of the newest training compared with earlier trainings."""

from statistics import median

from mlflow.exceptions import MlflowException

from feature_repo.settings import Settings
from holdfast.core.formatting import format_count
from holdfast.model_versions.aliases import get_version
from holdfast.model_versions.champion_history import read_training_times
from holdfast.models.registry_client import fail_fast_env
from holdfast.monitoring.findings import Finding
from holdfast.monitoring.metrics_store import MetricRow
from holdfast.monitoring.result import CheckResult, check_limit
from holdfast.monitoring.settings import DataQualityRules
from holdfast.monitoring.window import Window
from holdfast.training.mlflow_client import UnknownVersionError, open_registry
from holdfast.training.mlflow_tracking import TRAINING_TIME_METRIC

_SUBJECT = "training"
_MAX_EARLIER, _MIN_EARLIER = 10, 3


def check_training_duration(settings: Settings, window: Window, rules: DataQualityRules) -> CheckResult:
    """Compare the CPU time of the newest training with the median of up to ten earlier trainings.

    With fewer than three earlier trainings the time is measured but not checked. An interrupted and resumed training
    has no CPU time.

    Args:
        settings: Settings with the registry's URL.
        window: Monitoring window; later trainings are ignored.
        rules: Limits.

    Returns:
        The metric row, and a finding if the limit is exceeded.
    """
    try:
        with fail_fast_env():
            times = _read_cpu_seconds(settings, window)
    except UnknownVersionError:
        return CheckResult()
    except MlflowException as error:  # the other checks of the view do not need the registry
        return CheckResult(notes=[f"The CPU time of training cannot be read: {str(error).splitlines()[0]}"])
    if not times:
        return CheckResult()
    (version, seconds), earlier = times[-1], [seconds for _, seconds in times[:-1]]
    if len(earlier) < _MIN_EARLIER:
        return CheckResult([MetricRow(TRAINING_TIME_METRIC, _SUBJECT, seconds, 1, version)])
    usual = median(earlier)
    limit = usual * rules.max_training_ratio
    summary = (
        f"Training version {version} took {seconds:.0f} s of CPU time, {seconds / usual:.1f} times the median of the "
        f"{format_count(len(earlier), 'training')} before ({usual:.0f} s)."
    )
    payload = {"version": version, "seconds": seconds, "usual_seconds": usual, "limit": limit}
    finding = Finding(
        event="holdfast.training.slow", severity="warning", subject=_SUBJECT, summary=summary, payload=payload
    )
    return check_limit(MetricRow(TRAINING_TIME_METRIC, _SUBJECT, seconds, 1, version, limit=limit), finding)


def _read_cpu_seconds(settings: Settings, window: Window) -> list[tuple[str, float]]:
    """Read version and CPU seconds of the latest trainings with a known CPU time, oldest first."""
    client = open_registry(settings)
    versions = [version for version, trained_at in read_training_times(client).items() if trained_at <= window.as_of]
    times = []
    for version in sorted(versions, key=int)[-_MAX_EARLIER - 1 :]:
        metrics = client.get_run(str(get_version(client, version).run_id)).data.metrics
        if TRAINING_TIME_METRIC in metrics:
            times.append((version, metrics[TRAINING_TIME_METRIC]))
    return times
