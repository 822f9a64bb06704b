"""Metrics of the service at ``/metrics``: served versions, failures and latencies."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from holdfast.core.model_names import CHURN

_TIMEOUT_SECONDS = 5.0
_TOTALS = ("answered", "failed", "unavailable")


@dataclass(frozen=True)
class ServiceState:
    """State of the service at a poll.

    Attributes:
        counters: Counters, which grow until a restart: requests by result, ``answered``, ``failed`` (5xx except 503)
            and ``unavailable`` (503); ``failures:VERSION``; ``scored:VERSION:ROUTE``; and ``seconds:VERSION:LE``, the
            requests for one prediction with a response within LE seconds.
        champion: Served champion version.
        challenger: Served challenger version.
        mode: Mode of the challenger's traffic.
        refused: Versions that the registry names and the service will not serve.
        clock_ahead_seconds: Difference of the service's clock to this machine's; 0 without a Date header.
        unavailable: Versions that cannot be downloaded now.
    """

    counters: Mapping[str, float]
    champion: str | None
    challenger: str | None
    mode: str | None
    refused: frozenset[str]
    clock_ahead_seconds: float = 0.0
    unavailable: frozenset[str] = frozenset()


def read_service(url: str, model: str = CHURN) -> ServiceState | None:
    """Read the state of the service from ``/metrics``, which needs no API key.

    The counters are sums over the processes of one service. Of several replicas only the one at this address is read:
    monitor the others by Prometheus. (The prediction log covers all replicas that share its folder.)

    Args:
        url: URL of the service.
        model: Name of the model.

    Returns:
        The state; None if the service does not respond.
    """
    try:
        response = httpx.get(f"{url.rstrip('/')}/metrics", timeout=_TIMEOUT_SECONDS, trust_env=False)
        response.raise_for_status()
        ahead = _clock_ahead_seconds(response.headers.get("Date"), datetime.now(UTC))
        return replace(parse_metrics(response.text, model), clock_ahead_seconds=ahead)
    except (httpx.HTTPError, ValueError):  # ValueError: not Prometheus text, so another service
        return None


def parse_metrics(text: str, model: str = CHURN) -> ServiceState:
    """Parse the state of the service.

    Args:
        text: Metrics in the text format of Prometheus.
        model: Name of the model, whose version numbers are independent of other models'.

    Returns:
        The state.

    Raises:
        ValueError: The text has another format.
    """
    families = text_string_to_metric_families(text)
    samples = [one for family in families for one in family.samples if one.labels.get("model", model) == model]
    challenger = _labels_of_one(samples, "holdfast_challenger")
    return ServiceState(
        counters=_counters(samples, model),
        champion=_labels_of_one(samples, "holdfast_champion").get("version"),
        challenger=challenger.get("version"),
        mode=challenger.get("mode"),
        refused=_refused(samples, "unusable"),
        unavailable=_refused(samples, "unavailable"),
    )


def is_restarted(before: Mapping[str, float], now: Mapping[str, float]) -> bool:
    """Check if the service was restarted between two polls: a counter has fallen.

    Args:
        before: Counters of the earlier poll.
        now: Counters of the later poll.

    Returns:
        True after a restart.
    """
    return any(now.get(name, 0.0) < value for name, value in before.items())


def select_counters(counters: Mapping[str, float], versions: Iterable[str]) -> dict[str, float]:
    """Select the counters that a resumed step needs: totals, and non-zero counters of its versions.

    Args:
        counters: Counters of the service.
        versions: Version numbers.

    Returns:
        The selected counters.
    """
    about = tuple(f"{kind}:{version}" for version in versions for kind in ("failures", "scored", "seconds"))
    return {
        name: value
        for name, value in counters.items()
        if name in _TOTALS or (value and (name.rpartition(":")[0] in about or name in about))
    }


def latency_buckets(counters: Mapping[str, float], version: str) -> dict[float, float]:
    """Get the latency histogram of a version.

    Args:
        counters: Counters of the service.
        version: Version number.

    Returns:
        Upper bound of a bucket in seconds to the number of requests within it.
    """
    prefix = f"seconds:{version}:"
    return {float(name.removeprefix(prefix)): value for name, value in counters.items() if name.startswith(prefix)}


def _counters(samples: Iterable[Sample], model: str) -> dict[str, float]:
    paths = (
        f"/models/{model}/predict",
        *(["/predict"] if model == CHURN else []),
    )  # batches differ in size
    found: dict[str, float] = dict.fromkeys(_TOTALS, 0.0)
    for one in samples:
        labels = one.labels
        if one.name == "holdfast_requests_total":
            found["answered"] += one.value
            if labels["status"] == "503":
                found["unavailable"] += one.value
            elif labels["status"].startswith("5"):
                found["failed"] += one.value
        elif one.name == "holdfast_challenger_failures_total":
            found[f"failures:{labels['version']}"] = one.value
        elif one.name == "holdfast_predictions_total":
            found[f"scored:{labels['version']}:{labels['route']}"] = one.value
        elif one.name == "holdfast_request_seconds_bucket" and labels["path"] in paths:
            name = f"seconds:{labels['version']}:{math.inf if labels['le'] == '+Inf' else float(labels['le'])}"
            found[name] = found.get(name, 0.0) + one.value
    return found


def _clock_ahead_seconds(date: str | None, now: datetime) -> float:
    """Compute the difference from the ``Date`` header, which has whole seconds."""
    try:
        return (parsedate_to_datetime(date) - now).total_seconds() + 0.5 if date else 0.0
    except (TypeError, ValueError):
        return 0.0


def _refused(samples: Iterable[Sample], reason: str) -> frozenset[str]:
    """Return the versions that are not served for a reason."""
    labels_of = (one.labels for one in samples if one.name == "holdfast_refused_versions" and one.value == 1)
    return frozenset(labels["version"] for labels in labels_of if labels.get("reason") == reason)


def _labels_of_one(samples: Iterable[Sample], name: str) -> dict[str, str]:
    """Return the labels of the series with the value 1."""
    return next((dict(one.labels) for one in samples if one.name == name and one.value == 1), {})
