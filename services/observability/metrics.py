"""What the service tells Prometheus; docs/serving-metrics.md says what each metric answers.

Requests only add to numbers in memory; once a second they are carried over.
"""

import os
from pathlib import Path
from typing import get_args

from services.errors import RejectionReason
from services.observability.instruments import BufferedCounter, BufferedGauge, BufferedHistogram

_SECONDS = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)
_AGE_HOURS = (1.0, 6.0, 12.0, 24.0, 36.0, 48.0, 72.0, 168.0, 336.0, 720.0)
_SHARES = tuple(round(0.05 * i, 2) for i in range(1, 21))
_DIFFERENCES = (0.001, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0)


class ServiceMetrics:
    """Every metric of the service."""

    def __init__(self) -> None:
        self.requests = BufferedCounter("requests", "Requests for predictions.", ["path", "status", "version"])
        self.requests_active = BufferedGauge("requests_active", "Requests being answered.", mode="livesum")
        self.request_seconds = BufferedHistogram("request_seconds", "Time to answer.", _SECONDS, ["path", "version"])
        self.stage_seconds = BufferedHistogram(
            "stage_seconds", "Time of a micro-batch in store, transform and model.", _SECONDS, ["stage"]
        )
        self.predictions = BufferedCounter("predictions", "Customers scored.", ["version", "route"])
        self.refusals = BufferedCounter("refusals", "Customers refused.", ["reason"])
        for reason in get_args(
            RejectionReason
        ):  # a series that begins with its first event hides that event from rate()
            self.refusals.add(reason, amount=0)
        self.scores = BufferedHistogram("score", "Churn probabilities given.", _SHARES, ["version", "route"])
        self.features = BufferedCounter(
            "features", "Model inputs by the status they were found in.", ["feature", "status"]
        )
        self.feature_age_hours = BufferedHistogram(
            "feature_age_hours", "Age of the features at the request.", _AGE_HOURS
        )
        self.materialised_to = BufferedGauge(
            "materialised_to_seconds", "End of the last finished materialisation, Unix time."
        )
        self.last_known = BufferedCounter("last_known", "Customers answered from their last known features.")
        self.store_failures = BufferedCounter("store_failures", "Reads of the online store that failed.", ["error"])
        self.breaker_open = BufferedGauge("breaker_open", "1 while the online store is not asked because it failed.")
        self.champion = BufferedGauge("champion", "1 for the version that is champion.", ["version", "source"])
        self.challenger = BufferedGauge("challenger", "1 for the version that is challenger.", ["version", "mode"])
        self.challenger_share = BufferedGauge(
            "challenger_share", "Share of customers it answers; 0 in shadow.", ["version"]
        )
        self.challenger_difference = BufferedHistogram(
            "challenger_difference", "Challenger's less champion's probability, absolute.", _DIFFERENCES, ["version"]
        )
        self.challenger_failures = BufferedCounter(
            "challenger_failures", "Batches the challenger failed on.", ["version"]
        )
        self.registry_reachable = BufferedGauge(
            "registry_reachable", "1 if the model registry answered last.", mode="livemin"
        )
        self.registry_success = BufferedGauge(
            "registry_last_success_seconds", "When the registry answered last, Unix time."
        )
        self.refused_versions = BufferedGauge(
            "refused_versions", "1 for a version that is named, but not served.", ["version", "reason"]
        )
        self.memory = BufferedGauge("memory_bytes", "Resident memory, shared pages included.", mode="livesum")
        self.ready = BufferedGauge("ready", "1 when requests are answered.", mode="livemin")
        self.log_queue = BufferedGauge(
            "prediction_log_queue_rows", "Predictions not written to the log yet.", mode="livesum"
        )
        self.log_written = BufferedCounter("prediction_log_written_rows", "Predictions written to the log.")
        self.log_dropped = BufferedCounter("prediction_log_dropped_rows", "Predictions the log has lost.")
        self.log_degraded = BufferedGauge("prediction_log_degraded", "1 while predictions cannot be written.")

    def answered(self, path: str, status: int, version: str, seconds: float) -> None:
        """One request for a prediction has been answered."""
        version = version or "none"
        self.requests.add(path, str(status), version)
        self.request_seconds.observe(seconds, path, version)

    def publish(self) -> None:
        """Carry everything over to Prometheus."""
        for metric in vars(self).values():
            metric.publish()


METRICS = ServiceMetrics()


def forget_ended_workers() -> None:
    """Drop the gauges of workers that were killed: one that died when it was not ready would keep the rest so."""
    from prometheus_client.multiprocess import mark_process_dead

    folder = os.environ.get("PROMETHEUS_MULTIPROC_DIR")
    for file in Path(folder).glob("gauge_live*_*.db") if folder else ():
        pid = file.stem.rpartition("_")[2]
        try:
            os.kill(int(pid), 0)
        except ProcessLookupError:
            mark_process_dead(pid)
