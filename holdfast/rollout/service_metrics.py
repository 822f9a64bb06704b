"""State of the service from its Prometheus metrics: served versions, errors, latencies."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

import httpx
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_SECONDS = 5.0
_PATH = "/predict"  # a batch takes as long as it is large
_PLAIN = ("answered", "failed", "unavailable")


@dataclass(frozen=True)
class ServiceState:
    """State of the service at one time.

    Attributes:
        counters: Monotonic counters: ``answered``, ``failed`` (5xx except 503) and ``unavailable`` (503) requests,
            ``failures:VERSION``, ``scored:VERSION:ROUTE``, and ``seconds:VERSION:LE``, single predictions answered
            within
            LE seconds.
        champion: Served champion.
        challenger: Challenger with traffic.
        mode: Mode of the challenger: shadow or canary.
        refused: Versions with an alias that the service rejects.
        ready: The service answers prediction requests.
        ahead_seconds: Difference between the clock of the service and this machine, 0 if unknown.
        unavailable: Versions with an alias that cannot be downloaded now.
    """

    counters: Mapping[str, float]
    champion: str | None
    challenger: str | None
    mode: str | None
    refused: frozenset[str]
    ready: bool
    ahead_seconds: float = 0.0
    unavailable: frozenset[str] = frozenset()


def read_service(url: str) -> ServiceState | None:
    """Read the state of the service.

    Processes of one service are summed. Of several replicas, only the one at this address is read; the prediction log
    covers all replicas that share its folder.

    Args:
        url: Address of the service; ``/metrics`` needs no key.

    Returns:
        The state; None if the service does not answer.
    """
    try:
        answer = httpx.get(f"{url.rstrip('/')}/metrics", timeout=_SECONDS, trust_env=False)
        answer.raise_for_status()
        return replace(parse_metrics(answer.text), ahead_seconds=_ahead(answer.headers.get("Date"), datetime.now(UTC)))
    except (httpx.HTTPError, ValueError):  # the latter: it is no Prometheus text, so not our service
        return None


def parse_metrics(text: str) -> ServiceState:
    """Parse the state from Prometheus text.

    Args:
        text: Text in Prometheus format.

    Returns:
        The state.

    Raises:
        ValueError: The text is not in Prometheus format.
    """
    samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    challenger = _labels_of_one(samples, "holdfast_challenger")
    return ServiceState(
        counters=_counters(samples),
        champion=_labels_of_one(samples, "holdfast_champion").get("version"),
        challenger=challenger.get("version"),
        mode=challenger.get("mode"),
        refused=_refused(samples, "unusable"),
        ready=any(one.name == "holdfast_ready" and one.value == 1 for one in samples),
        unavailable=_refused(samples, "unavailable"),
    )


def is_restarted(before: Mapping[str, float], now: Mapping[str, float]) -> bool:
    """Detect a restart of the service: a counter is lower than before.

    Args:
        before: Earlier counters.
        now: Current counters.

    Returns:
        True after a restart.
    """
    return any(now.get(name, 0.0) < value for name, value in before.items())


def select_counters(counters: Mapping[str, float], versions: Iterable[str]) -> dict[str, float]:
    """Select the counters that a rollout needs to resume in another process.

    Args:
        counters: All counters.
        versions: Versions of the rollout.

    Returns:
        Request counters, and nonzero counters of the versions.
    """
    about = tuple(f"{kind}:{version}" for version in versions for kind in ("failures", "scored", "seconds"))
    return {
        name: value
        for name, value in counters.items()
        if name in _PLAIN or (value and (name.rpartition(":")[0] in about or name in about))
    }


def latency_buckets(counters: Mapping[str, float], version: str) -> dict[float, float]:
    """Select the latency histogram of a version.

    Args:
        counters: All counters.
        version: The version.

    Returns:
        Upper bucket bound in seconds to cumulative number of requests.
    """
    prefix = f"seconds:{version}:"
    return {float(name.removeprefix(prefix)): value for name, value in counters.items() if name.startswith(prefix)}


def _counters(samples: Iterable[Sample]) -> dict[str, float]:
    found: dict[str, float] = dict.fromkeys(_PLAIN, 0.0)
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
        elif one.name == "holdfast_request_seconds_bucket" and labels["path"] == _PATH:
            bound = math.inf if labels["le"] == "+Inf" else float(labels["le"])
            found[f"seconds:{labels['version']}:{bound}"] = one.value
    return found


def _ahead(date: str | None, now: datetime) -> float:
    """Compute the clock difference from the header ``Date``, which has whole seconds."""
    try:
        return (parsedate_to_datetime(date) - now).total_seconds() + 0.5 if date else 0.0
    except (TypeError, ValueError):
        return 0.0


def _refused(samples: Iterable[Sample], reason: str) -> frozenset[str]:
    """Return the versions that are not served for ``reason``."""
    told = (one.labels for one in samples if one.name == "holdfast_refused_versions" and one.value == 1)
    return frozenset(labels["version"] for labels in told if labels.get("reason") == reason)


def _labels_of_one(samples: Iterable[Sample], name: str) -> dict[str, str]:
    """Return the labels of the series with value 1."""
    return next((dict(one.labels) for one in samples if one.name == name and one.value == 1), {})
