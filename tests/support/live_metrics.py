"""Metrics of a service with two processes, after requests of every kind."""

import functools
import shutil
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psutil
from prometheus_client import Metric
from prometheus_client.mmap_dict import MmapedDict
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

from holdfast.models.contract import CHALLENGER, CHAMPION
from holdfast.packaging.smoke_test import serve_bento
from services.observability.metric_files import is_empty
from tests.support.definition_versions import online_file, only_version
from tests.support.registry import Registry, make_registry
from tests.support.service_fixtures import service_environment
from tests.support.service_state import AS_OF, CUSTOMERS, fit, offline_matrix
from tests.support.two_models import fit_spend, register_spend
from tests.support.waiting import wait_for

_WITHIN = 60.0
PREDICT, BATCH = "/predict", "/predict_batch"
STALE, EXPIRED, EARLY = "2024-03-04T00:00:00Z", "2024-05-01T00:00:00Z", "2024-02-01T00:00:00Z"


@dataclass(frozen=True)
class Exposition:
    """Parsed response of ``/metrics``."""

    families: dict[str, Metric]

    @classmethod
    def of(cls, text: str) -> "Exposition":
        return cls({family.name: family for family in text_string_to_metric_families(text)})

    @functools.cached_property
    def samples(self) -> list[Sample]:
        return [sample for family in self.families.values() for sample in family.samples]

    def total(self, name: str, **labels: str) -> float:
        """Return the sum of all series of ``name`` with these labels."""
        return sum(one.value for one in self.samples if one.name == name and labels.items() <= one.labels.items())

    def of_model(self, name: str) -> "Exposition":
        """Leave out the series of other models."""
        found = {}
        for family in self.families.values():
            found[family.name] = Metric(family.name, family.documentation, family.type)
            found[family.name].samples = [one for one in family.samples if one.labels.get("model", name) == name]
        return Exposition(found)

    def by(self, name: str, *labels: str) -> dict[tuple[str, ...], float]:
        """Return the values of ``name`` other than 0, by these labels."""
        found = [one for one in self.samples if one.name == name]
        return {tuple(one.labels[label] for label in labels): one.value for one in found if one.value}


@dataclass
class RequestCounts:
    """Sent requests by path and status, and customers in these."""

    requests: Counter[tuple[str, str]] = field(default_factory=Counter)
    customers: int = 0
    scored: int = 0


@dataclass(frozen=True)
class MetricsRun:
    """Metrics of a run.

    Attributes:
        sent: Sent requests.
        healthy: Metrics of churn after a challenger in shadow, then as a canary.
        store_down: Metrics of churn after the online store broke.
        all_models: Metrics of both models then.
        resident: Resident memory of both processes, bytes.
    """

    sent: RequestCounts
    healthy: Exposition
    store_down: Exposition
    all_models: Exposition
    resident: int


class _Caller:
    """Client that opens a connection per request, so that both processes get requests."""

    def __init__(self, url: str) -> None:
        self.url, self.sent = url, RequestCounts()

    def post(self, path: str, body: object, status: int, customers: int = 0, scored: int = 0) -> None:
        answer = httpx.post(self.url + path, json=body, timeout=30)
        assert answer.status_code == status, answer.text
        self.sent.requests[path, str(status)] += 1
        self.sent.customers += customers
        self.sent.scored += scored

    def send_every_kind(self) -> None:
        for customer in CUSTOMERS[:30]:
            self.post(PREDICT, {"customer_id": customer}, 200, 1, 1)
        self.post(PREDICT, {"customer_id": "c001", "explain": True}, 200, 1, 1)
        self.post(PREDICT, {"customer_id": "c001", "as_of": STALE}, 200, 1, 1)
        self.post(PREDICT, {"customer_id": "no-such-id"}, 404, 1)
        self.post(PREDICT, {"customer_id": "c001", "as_of": EXPIRED}, 422, 1)
        self.post(PREDICT, {"customer_id": "c001", "as_of": EARLY}, 422, 1)
        self.post(PREDICT, {"customer": "c001"}, 422)
        self.post(BATCH, {"customer_ids": CUSTOMERS}, 200, 300, 300)
        self.post(BATCH, {"customer_ids": ["c001", "no-such-id"], "explain": True}, 200, 2, 1)
        self.post(BATCH, {"customer_ids": []}, 422)
        assert httpx.get(f"{self.url}/customers/c001", timeout=30).status_code == 404

    def wait_for(self, condition: Callable[[Exposition], bool]) -> Exposition:
        def find() -> Exposition | None:
            found = self.metrics()
            return found if condition(found) else None

        return wait_for(find, _WITHIN, self.metrics)

    def metrics(self) -> Exposition:
        return Exposition.of(httpx.get(f"{self.url}/metrics", timeout=30).raise_for_status().text)

    def all_counted(self, found: Exposition) -> bool:
        """Check that both processes have published, which they do once a second."""
        found = found.of_model("churn")
        return (
            found.total("holdfast_requests_total") == self.sent.requests.total()
            and found.total("holdfast_predictions_total", route="champion")
            + found.total("holdfast_predictions_total", route="canary")
            == self.sent.scored
        )


def _register(registry: Registry, data: Path) -> None:
    with service_environment(data) as settings:
        for seed in range(2):
            served, content = fit(settings, data, seed=seed)
            registry.register(content, served.model_copy(update={"model_version": ""}).model_dump_json())
        register_spend(registry, *fit_spend(served, offline_matrix(CUSTOMERS, AS_OF, only_version(data))))
    registry.set_alias(CHAMPION, "1")
    registry.set_alias(CHALLENGER, "2")
    registry.set_traffic("2", '{"mode": "shadow"}')


def _metric_files(data: Path) -> Path:
    return data / "bentoml" / "prometheus_multiproc_dir"


def _until_both_serve(data: Path, mode: str) -> None:
    """Wait for both processes by their files; ``/metrics`` shows the faster one."""

    def both_serve() -> bool:
        files = [file for file in _metric_files(data).glob("gauge_livemax_*.db") if not is_empty(file)]
        values = [value for file in files for value in MmapedDict.read_all_values_from_file(str(file))]
        serving = [key for key, value, *_ in values if '"holdfast_challenger"' in key and mode in key and value == 1]
        return len(serving) >= 2

    wait_for(both_serve, _WITHIN, lambda: f"the challenger is not yet served as {mode}")


_runs: list[MetricsRun] = []


def collect_metrics(service_data: Path) -> MetricsRun:
    """Serve, send requests and collect the metrics, once per test process."""
    if not _runs:
        _runs.append(_run(service_data))
    return _runs[0]


def _run(service_data: Path) -> MetricsRun:
    with tempfile.TemporaryDirectory(prefix="holdfast-watched-") as folder:
        data = Path(shutil.copytree(service_data, Path(folder) / "data"))
        registry = make_registry(data / "mlflow")
        _register(registry, data)
        variables = {"HOLDFAST_WORKERS": "2", "HOLDFAST_REGISTRY_POLL_SECONDS": "0.2"}
        with (
            service_environment(data, **variables) as settings,
            serve_bento("services.churn:ChurnService", settings) as service,
        ):
            (_metric_files(data) / "counter_0.db").touch()  # as of a process killed while it created the file
            caller = _Caller(service.url)
            _until_both_serve(data, "shadow")
            caller.send_every_kind()
            caller.wait_for(caller.all_counted)
            registry.set_traffic("2", '{"mode": "canary", "share": 0.5}')
            _until_both_serve(data, "canary")
            caller.send_every_kind()
            healthy = caller.wait_for(caller.all_counted)
            answer = httpx.post(f"{service.url}/models/spend/predict", json={"customer_id": "c001"}, timeout=30)
            assert answer.status_code == 200, answer.text
            online_file(data).write_bytes(b"no database" * 1000)
            for _ in range(12):
                caller.post(PREDICT, {"customer_id": "c001"}, 503, 1)
            store_down = caller.wait_for(lambda found: caller.all_counted(found) and not found.total("holdfast_ready"))
            resident = _resident(data)
        churn = [one.of_model("churn") for one in (healthy, store_down)]
        return MetricsRun(caller.sent, *churn, store_down, resident)


def _resident(data: Path) -> int:
    """Measure the memory of the processes that export it; their files are named by process id."""
    files = _metric_files(data).glob("gauge_livesum_*.db")
    workers = [int(file.stem.rpartition("_")[2]) for file in files if b"holdfast_memory" in file.read_bytes()]
    assert len(workers) == 2
    return sum(psutil.Process(worker).memory_info().rss for worker in workers)
