"""Metrics of the service; docs/serving-metrics.md explains each one.

Requests add to buffers in memory, which are published to Prometheus once a second.
"""

from typing import get_args

from services.errors import RejectionReason
from services.observability.instruments import BufferedCounter, BufferedGauge, BufferedHistogram

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_AGE_HOURS = (1.0, 6.0, 12.0, 24.0, 36.0, 48.0, 72.0, 168.0, 336.0, 720.0)
_SHARES = tuple(round(0.05 * i, 2) for i in range(1, 21))
_DIFFERENCES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class ServiceMetrics:
    """All metrics of the service."""

    def __init__(self) -> None:
        counter, gauge, histogram = BufferedCounter, BufferedGauge, BufferedHistogram
        self.requests = counter("requests", "Requests for predictions.", ["path", "status", "version"])
        self.requests_active = gauge("requests_active", "Requests in progress.", mode="livesum")
        self.request_seconds = histogram("request_seconds", "Time to respond.", _SECONDS, ["path", "version"])
        self.stage_seconds = histogram(
            "stage_seconds", "Time of a micro-batch in store, transform and model.", _SECONDS, ["stage"]
        )
        self.predictions = counter("predictions", "Customers scored.", ["version", "route"])
        self.refusals = counter("refusals", "Customers rejected.", ["reason"])
        self.scores = histogram("score", "Churn probabilities.", _SHARES, ["version", "route"])
        self.features = counter("features", "Model inputs by status.", ["feature", "status"])
        self.feature_age_hours = histogram("feature_age_hours", "Age of the features at the request.", _AGE_HOURS)
        self.materialized_to = gauge(
            "materialised_to_seconds",
            "End of the last finished materialization, Unix time; 0 for a version that is not served any more.",
            ["definitions"],
        )
        self.last_known = counter("last_known", "Customers scored from cached features.")
        self.store_failures = counter("store_failures", "Reads of the online store that failed.", ["error"])
        self.breaker_open = gauge(
            "breaker_open", "1 while the circuit breaker of the online store is open.", ["definitions"]
        )
        self.champion = gauge("champion", "1 for the version that is champion.", ["version", "source"])
        self.challenger = gauge("challenger", "1 for the version that is challenger.", ["version", "mode"])
        self.challenger_share = gauge("challenger_share", "Traffic share; 0 in shadow.", ["version"])
        self.challenger_difference = histogram(
            "challenger_difference", "Challenger's less champion's probability, absolute.", _DIFFERENCES, ["version"]
        )
        self.challenger_failures = counter("challenger_failures", "Batches the challenger failed on.", ["version"])
        self.challenger_refusals = counter(
            "challenger_refusals", "Customers whose features the challenger cannot use.", ["version", "reason"]
        )
        self.registry_reachable = gauge(
            "registry_reachable", "1 if the last read of the model registry succeeded.", mode="livemin"
        )
        self.registry_success = gauge(
            "registry_last_success_seconds", "Last successful read of the model registry, Unix time."
        )
        self.refused_versions = gauge(
            "refused_versions",
            "1 for a version that is named, but cannot be served.",
            ["version", "reason"],
        )
        self.memory = gauge("memory_bytes", "Resident memory, shared pages included.", mode="livesum")
        self.ready = gauge("ready", "1 when predictions are served.", mode="livemin")
        self.log_queue = gauge("prediction_log_queue_rows", "Predictions not written to the log yet.", mode="livesum")
        self.log_written = counter("prediction_log_written_rows", "Predictions written to the log.")
        self.log_dropped = counter("prediction_log_dropped_rows", "Predictions lost before they were written.")
        self.log_degraded = gauge("prediction_log_degraded", "1 while predictions cannot be written.")
        self._start_rejection_series()

    def record_request(self, path: str, status: int, version: str, seconds: float) -> None:
        """Count one finished request for a prediction.

        Args:
            path: Path of the endpoint.
            status: HTTP status of the response.
            version: Model version of the response; empty without a prediction.
            seconds: Time to respond.
        """
        version = version or "none"
        self.requests.add(path, str(status), version)
        self.request_seconds.observe(seconds, path, version)

    def start_challenger_series(self, version: str) -> None:
        """Create the series of a challenger at 0: rate() does not count the event that creates a series.

        Args:
            version: Model version of the challenger.
        """
        self.challenger_failures.add(version, amount=0)
        for reason in (*get_args(RejectionReason), "not_ready"):
            self.challenger_refusals.add(version, reason, amount=0)

    def publish(self) -> None:
        """Publish all buffers to Prometheus."""
        for metric in vars(self).values():
            metric.publish()

    def clear(self) -> None:
        """Discard what is not published yet, and set gauges to 0: another service starts in this process."""
        for metric in vars(self).values():
            metric.clear()
        self._start_rejection_series()

    def _start_rejection_series(self) -> None:
        """Create each series at 0: rate() does not count the event that creates a series."""
        for reason in get_args(RejectionReason):
            self.refusals.add(reason, amount=0)


METRICS = ServiceMetrics()
