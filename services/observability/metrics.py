"""Metrics of the service; docs/serving-metrics.md explains each one.

Requests add to buffers in memory, which are published to Prometheus once a second.
"""

from typing import get_args

from holdfast.models.contract import ServedModel
from services.declared_models import declared_models
from services.errors import RejectionReason
from services.observability.instruments import BufferedCounter, BufferedGauge, BufferedHistogram

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_AGE_HOURS = (1.0, 6.0, 12.0, 24.0, 36.0, 48.0, 72.0, 168.0, 336.0, 720.0)
_SHARES = tuple(round(0.05 * i, 2) for i in range(1, 21))
_AMOUNTS = tuple(digit * 10.0**power for power in range(-1, 6) for digit in (1, 2, 5))
_DIFFERENCES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, *_AMOUNTS[3:])


class ServiceMetrics:
    """All metrics of the service."""

    def __init__(self) -> None:
        counter, gauge, histogram = BufferedCounter, BufferedGauge, BufferedHistogram
        self.requests = counter("requests", "Requests for predictions.", ["path", "status", "model", "version"])
        self.requests_active = gauge("requests_active", "Requests in progress.", mode="livesum")
        self.request_seconds = histogram("request_seconds", "Time to respond.", _SECONDS, ["path", "model", "version"])
        self.stage_seconds = histogram(
            "stage_seconds", "Time of a micro-batch in store, transform and model.", _SECONDS, ["model", "stage"]
        )
        self.predictions = counter("predictions", "Customers scored.", ["model", "version", "route"])
        self.refusals = counter("refusals", "Customers rejected.", ["model", "reason"])
        self.scores = histogram("score", "Churn probabilities.", _SHARES, ["model", "version", "route"])
        self.expected_values = histogram(
            "expected_value", "Expected values of regressions.", _AMOUNTS, ["model", "version", "route"]
        )
        self.missing_predictions = counter(
            "missing_predictions", "Requests for several models that one of them did not answer.", ["model", "kind"]
        )
        self.features = counter("features", "Model inputs by status.", ["model", "feature", "status"])
        self.feature_age_hours = histogram(
            "feature_age_hours", "Age of the features at the request.", _AGE_HOURS, ["model"]
        )
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
        self.champion = gauge("champion", "1 for the version that is champion.", ["model", "version", "source"])
        self.challenger = gauge("challenger", "1 for the version that is challenger.", ["model", "version", "mode"])
        self.challenger_share = gauge("challenger_share", "Traffic share; 0 in shadow.", ["model", "version"])
        self.challenger_difference = histogram(
            "challenger_difference",
            "Challenger's less champion's prediction, absolute.",
            _DIFFERENCES,
            ["model", "version"],
        )
        self.challenger_failures = counter(
            "challenger_failures", "Batches the challenger failed on.", ["model", "version"]
        )
        self.challenger_refusals = counter(
            "challenger_refusals", "Customers whose features the challenger cannot use.", ["model", "version", "reason"]
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
            ["model", "version", "reason"],
        )
        self.model_ready = gauge("model_ready", "1 when a model gives predictions now.", ["model"], mode="livemin")
        self.memory = gauge("memory_bytes", "Resident memory, shared pages included.", mode="livesum")
        self.ready = gauge("ready", "1 when predictions are served.", mode="livemin")
        self.log_queue = gauge("prediction_log_queue_rows", "Predictions not written to the log yet.", mode="livesum")
        self.log_written = counter("prediction_log_written_rows", "Predictions written to the log.")
        self.log_dropped = counter("prediction_log_dropped_rows", "Predictions lost before they were written.")
        self.log_degraded = gauge("prediction_log_degraded", "1 while predictions cannot be written.")
        self._start_rejection_series()

    def predictions_of(self, contract: ServedModel) -> BufferedHistogram:
        """Return the histogram of a model's predictions.

        Args:
            contract: Contract of the model.

        Returns:
            Histogram of probabilities, or of expected values.
        """
        return self.expected_values if contract.predicted_examples else self.scores

    def record_request(self, path: str, status: int, model: str, version: str, seconds: float) -> None:
        """Count one finished request for a prediction.

        Args:
            path: Path of the endpoint.
            status: HTTP status of the response.
            model: Model of the endpoint; the first of several.
            version: Model version of the response; empty without a prediction.
            seconds: Time to respond.
        """
        version = version or "none"
        self.requests.add(path, str(status), model, version)
        self.request_seconds.observe(seconds, path, model, version)

    def start_challenger_series(self, model: str, version: str) -> None:
        """Create the series of a challenger at 0: rate() does not count the event that creates a series.

        Args:
            model: Name of the model.
            version: Model version of the challenger.
        """
        self.challenger_failures.add(model, version, amount=0)
        for reason in (*get_args(RejectionReason), "not_ready"):
            self.challenger_refusals.add(model, version, reason, amount=0)

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
        for model in declared_models():
            self.missing_predictions.add(model, "not_ready", amount=0)
            for reason in get_args(RejectionReason):
                self.refusals.add(model, reason, amount=0)


METRICS = ServiceMetrics()
