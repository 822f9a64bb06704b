"""Metrics of the service, in memory and in a service with two processes."""

import itertools
import math
import os
import subprocess
import sys
import threading
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, get_args

import numpy as np
import prometheus_client
import pytest
from prometheus_client import CollectorRegistry
from prometheus_client.samples import Sample

from services.errors import RejectionReason
from services.observability.instruments import BufferedCounter, BufferedGauge, BufferedHistogram
from services.observability.metrics import ServiceMetrics
from tests.support.live_metrics import BATCH, PREDICT, Exposition, MetricsRun, collect_metrics
from tests.support.main_job import ROOT

BOUNDS = (0.1, 0.5, 1.0)
VALUES = (0.0, 0.1, 0.1000001, 0.5, 0.7, 1.0, 1.5, 40.0)


@pytest.fixture
def exported(monkeypatch: pytest.MonkeyPatch) -> Iterator[CollectorRegistry]:
    """The registry to which instruments of the test publish."""
    registry = CollectorRegistry()
    monkeypatch.setattr(prometheus_client, "REGISTRY", registry)
    for kind in ("Counter", "Gauge", "Histogram"):
        monkeypatch.setattr(prometheus_client, kind, _into(registry, getattr(prometheus_client, kind)))
    yield registry


def _into(registry: CollectorRegistry, kind: Any) -> Any:
    return lambda *args, **options: kind(*args, **options | {"registry": registry})


def _samples(registry: CollectorRegistry) -> dict[tuple[str, tuple[str, ...]], float]:
    found = (sample for family in registry.collect() for sample in family.samples)
    return {(one.name, tuple(one.labels.values())): one.value for one in found if not one.name.endswith("_created")}


class TestInMemory:
    def test_histogram_equals_that_of_prometheus_client(self, exported: CollectorRegistry) -> None:
        reference = prometheus_client.Histogram("reference", "", ["way"], buckets=BOUNDS, namespace="holdfast")
        buffered = BufferedHistogram("buffered", "", BOUNDS, ["way"])
        for value in VALUES:
            reference.labels("one").observe(value)
            reference.labels("all").observe(value)
            buffered.observe(value, "one")
            buffered.publish()
        buffered.observe_all(np.array(VALUES[:3]), "all")
        buffered.observe_all(np.array([]), "all")
        buffered.observe_all(np.array(VALUES[3:]), "all")
        buffered.publish()
        found = _samples(exported)
        assert len(found) == 2 * 2 * (len(BOUNDS) + 3)
        for (name, labels), value in found.items():
            assert found[name.replace("reference", "buffered"), labels] == pytest.approx(value, rel=1e-12)

    def test_histogram_of_two_processes_equals_that_of_prometheus_client(self, tmp_path: Path) -> None:
        worker = (
            "import prometheus_client, numpy; from services.observability.instruments import BufferedHistogram\n"
            f"values, bounds = {VALUES}, {BOUNDS}\n"
            "reference = prometheus_client.Histogram('holdfast_reference', 'text', ['way'], buckets=bounds)\n"
            "bare = prometheus_client.Histogram('holdfast_bare_reference', 'text', buckets=bounds)\n"
            "for value in values: reference.labels('one').observe(value)\n"
            "buffered = BufferedHistogram('buffered', 'text', bounds, ['way'])\n"
            "buffered.observe_all(numpy.array(values), 'one'); buffered.publish()\n"
            "BufferedHistogram('bare_buffered', 'text', bounds).publish()\n"
        )
        report = (
            "from prometheus_client import CollectorRegistry, generate_latest, multiprocess\n"
            "registry = CollectorRegistry(); multiprocess.MultiProcessCollector(registry)\n"
            "print(generate_latest(registry).decode())"
        )
        environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
        for code in (worker, worker, report):
            done = subprocess.run(
                [sys.executable, "-c", code], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
            )
        lines = {line for line in done.stdout.splitlines() if "buffered" in line}
        assert lines == {
            line.replace("reference", "buffered") for line in done.stdout.splitlines() if "reference" in line
        }
        assert 'holdfast_buffered_bucket{le="+Inf",way="one"} 16.0' in lines
        assert "holdfast_bare_buffered_count 0.0" in lines

    def test_instruments_used_by_threads_while_published_lose_nothing(self, exported: CollectorRegistry) -> None:
        total, distribution = BufferedCounter("added", "", ["by"]), BufferedHistogram("observed", "", BOUNDS)

        def add(name: str) -> None:
            for number in range(3000):
                total.add(name)
                total.add("all", amount=2)
                distribution.observe(number / 3000)

        threads = [threading.Thread(target=add, args=(str(number),)) for number in range(4)]
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            total.publish()
            distribution.publish()
        total.publish()
        distribution.publish()
        found = _samples(exported)
        assert {found["holdfast_added_total", (str(number),)] for number in range(4)} == {3000}
        assert found["holdfast_added_total", ("all",)] == 24_000
        assert found["holdfast_observed_count", ()] == 12_000

    def test_counter_set_total_continues_after_restart(self, exported: CollectorRegistry) -> None:
        total = BufferedCounter("requests", "")
        for reached in (5, 5, 9, 2, 3):
            total.set_total(reached)
            total.publish()
        assert _samples(exported)["holdfast_requests_total", ()] == 9 + 3

    def test_gauge_without_value_is_not_exported(self, exported: CollectorRegistry) -> None:
        unknown, known = BufferedGauge("unknown", ""), BufferedGauge("known", "", ["version"])
        known.replace(1, ("1",))
        known.replace(1, ("2",))
        for state in (unknown, known):
            state.publish()
        assert _samples(exported) == {("holdfast_known", ("1",)): 0, ("holdfast_known", ("2",)): 1}
        known.clear()
        known.publish()
        assert set(_samples(exported).values()) == {0}
        known.replace(1, ("2",), ("3",))
        known.publish()
        assert {labels: value for (_, labels), value in _samples(exported).items()} == {("1",): 0, ("2",): 1, ("3",): 1}

    def test_rejection_reasons_are_exported_before_first_rejection(self, exported: CollectorRegistry) -> None:
        metrics = ServiceMetrics()
        metrics.publish()
        found = _samples(exported)
        assert {labels[1] for name, labels in found if name == "holdfast_refusals_total"} == set(
            get_args(RejectionReason)
        )
        before = _samples(exported)["holdfast_refusals_total", ("churn", "unknown_customer")]
        metrics.refusals.add("churn", "unknown_customer")
        metrics.publish()
        assert _samples(exported)["holdfast_refusals_total", ("churn", "unknown_customer")] == before + 1


def test_gauges_of_killed_worker_are_removed(tmp_path: Path) -> None:
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(tmp_path)}
    worker = (
        "import os, signal; from services.observability.metrics import METRICS\n"
        "METRICS.ready.set(0); METRICS.last_known.add(); METRICS.publish(); os.kill(os.getpid(), signal.SIGKILL)"
    )
    replaced = (
        "from services.observability.metric_files import remove_ended_processes\n"
        "from services.observability.metrics import METRICS\n"
        "METRICS.ready.set(1); METRICS.last_known.add(); METRICS.publish()\n"
        "from prometheus_client import CollectorRegistry, generate_latest, multiprocess\n"
        "registry = CollectorRegistry(); multiprocess.MultiProcessCollector(registry)\n"
        "print(generate_latest(registry).decode()); remove_ended_processes(); print('----')\n"
        "print(generate_latest(registry).decode())"
    )
    killed = subprocess.run([sys.executable, "-c", worker], cwd=ROOT, env=environment, check=False)
    assert killed.returncode == -9
    printed = subprocess.run(
        [sys.executable, "-c", replaced], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    ).stdout
    before, after = (Exposition.of(part) for part in printed.split("----"))
    assert (before.total("holdfast_ready"), after.total("holdfast_ready")) == (0, 1)
    assert after.total("holdfast_last_known_total") == 2, "what it had counted has happened"


@pytest.mark.long
class TestServed:
    @pytest.fixture(scope="class")
    def run(self, service_data: Path) -> MetricsRun:
        return collect_metrics(service_data)

    def test_requests_of_two_workers_add_up(self, run: MetricsRun) -> None:
        found: Counter[tuple[str, str]] = Counter()
        for (path, status, version), value in run.store_down.by(
            "holdfast_requests_total", "path", "status", "version"
        ).items():
            found[path, status] += int(value)
            assert version in ({"1", "2"} if status == "200" else {"none"})
        assert found == run.sent.requests
        for path in (PREDICT, BATCH):
            requested = sum(count for (to, _), count in run.sent.requests.items() if to == path)
            assert run.store_down.total("holdfast_request_seconds_count", path=path) == requested
        by_version = run.store_down.by("holdfast_request_seconds_count", "path", "version")
        requests = run.store_down.by("holdfast_requests_total", "path", "status", "version")
        assert set(by_version) == {(path, version) for path in (PREDICT, BATCH) for version in ("1", "2", "none")} - {
            (BATCH, "2")  # a batch has the version of its champion
        }
        for path, version in by_version:
            its = [count for (to, _, of), count in requests.items() if (to, of) == (path, version)]
            assert by_version[path, version] == sum(its)

    def test_customers_add_up_over_routes_features_and_rejections(self, run: MetricsRun) -> None:
        found, sent = run.healthy, run.sent
        routes = found.by("holdfast_predictions_total", "version", "route")
        assert set(routes) == {("1", "champion"), ("2", "shadow"), ("2", "canary")}
        assert routes["1", "champion"] + routes["2", "canary"] == sent.scored
        assert routes["2", "shadow"] == sent.scored / 2, "half of the requests were sent while it ran in shadow"
        refused = found.by("holdfast_refusals_total", "reason")
        assert refused == {("unknown_customer",): 4, ("as_of_before_features",): 2, ("features_too_old",): 2}
        looked_up = sent.scored + sum(refused.values())
        statuses: Counter[str] = Counter()
        features = found.by("holdfast_features_total", "feature", "status")
        for (feature, status), count in features.items():
            statuses[status] += int(count)
            assert sum(count for (name, _), count in features.items() if name == feature) == looked_up
        inputs = len({feature for feature, _ in features})
        assert {status: count / inputs for status, count in statuses.items()} == {
            "present": looked_up - 8,
            "stale": 2,
            "expired": 2,
            "unknown_customer": 4,
        }

    def test_histograms_are_consistent(self, run: MetricsRun) -> None:
        histograms = [
            family
            for name, family in run.store_down.families.items()
            if name.startswith("holdfast_") and family.type == "histogram"
        ]
        assert len(histograms) == 6
        for family in histograms:
            series: dict[tuple[tuple[str, str], ...], list[Sample]] = {}
            for sample in family.samples:
                labels = tuple(sorted((name, value) for name, value in sample.labels.items() if name != "le"))
                series.setdefault(labels, []).append(sample)
            for samples in series.values():
                _assert_proper(family.name, samples)

    def test_scores_and_ages_equal_those_of_responses(self, run: MetricsRun) -> None:
        found = run.healthy
        scored = found.by("holdfast_predictions_total", "version", "route")
        assert found.by("holdfast_score_count", "version", "route") == scored
        assert found.total("holdfast_challenger_difference_count", version="2") == scored["2", "shadow"]
        assert found.total("holdfast_feature_age_hours_count") == run.sent.scored
        assert found.total("holdfast_feature_age_hours_sum") == pytest.approx(2 * 72), (
            "two requests have an as_of 3 days later"
        )
        assert found.total("holdfast_feature_age_hours_bucket", le="48.0") == run.sent.scored - 2

    def test_micro_batches_have_three_stages(self, run: MetricsRun) -> None:
        found = run.healthy
        batches = found.by("holdfast_stage_seconds_count", "stage")
        assert set(batches) == {("store",), ("transform",), ("model",)}
        assert len(set(batches.values())) == 1
        answered = [key for key in run.sent.requests if key[1] in ("200", "404")]
        too_old_or_early = 4
        requested = sum(run.sent.requests[key] for key in answered) + too_old_or_early
        assert batches[("store",)] == requested, "one caller at a time: a batch of each request"
        whole, parts = found.total("holdfast_request_seconds_sum"), found.total("holdfast_stage_seconds_sum")
        assert 0 < parts < whole

    def test_served_models_are_exported(self, run: MetricsRun) -> None:
        found = run.healthy
        assert found.by("holdfast_champion", "version", "source") == {("1", "registry"): 1}
        assert found.by("holdfast_challenger", "version", "mode") == {("2", "canary"): 1}
        assert found.total("holdfast_challenger_share", version="2") == 0.5
        assert found.total("holdfast_refused_versions") == 0
        assert found.total("holdfast_registry_reachable") == 1
        assert found.total("holdfast_registry_last_success_seconds") > 1.7e9
        assert found.total("holdfast_challenger_failures_total", version="2") == 0

    def test_memory_of_both_workers_is_exported(self, run: MetricsRun) -> None:
        memory = run.store_down.total("holdfast_memory_bytes")
        assert memory == pytest.approx(run.resident, rel=0.2)
        assert memory > 2 * 50e6, "each has loaded Feast"

    def test_predictions_are_all_logged(self, run: MetricsRun) -> None:
        found = run.all_models
        logged = found.total("holdfast_prediction_log_written_rows_total")
        waiting = found.total("holdfast_prediction_log_queue_rows")
        assert logged + waiting == found.total("holdfast_predictions_total")
        assert logged
        assert found.total("holdfast_prediction_log_dropped_rows_total") == 0

    def test_broken_store_is_exported(self, run: MetricsRun) -> None:
        healthy, store_down = run.healthy, run.store_down
        assert (healthy.total("holdfast_ready"), store_down.total("holdfast_ready")) == (1, 0)
        assert (healthy.total("holdfast_breaker_open"), store_down.total("holdfast_breaker_open")) == (0, 1)
        assert healthy.by("holdfast_store_failures_total", "error") == {}
        assert store_down.by("holdfast_store_failures_total", "error").keys() == {("DatabaseError",)}

    def test_values_sent_by_callers_create_no_series(self, run: MetricsRun) -> None:
        labels = {value for sample in run.store_down.samples for value in sample.labels.values()}
        assert not {value for value in labels if "no-such-id" in value or "c001" in value}
        assert {sample.labels["path"] for sample in run.store_down.samples if "path" in sample.labels} == {
            PREDICT,
            BATCH,
        }
        assert not [name for name in run.store_down.families if name.startswith("bentoml")]


def _assert_proper(name: str, samples: list[Sample]) -> None:
    buckets = [(float(one.labels["le"]), one.value) for one in samples if one.name == f"{name}_bucket"]
    (count,) = [one.value for one in samples if one.name == f"{name}_count"]
    (total,) = [one.value for one in samples if one.name == f"{name}_sum"]
    bounds = [bound for bound, _ in buckets]
    assert bounds == sorted(set(bounds))
    assert bounds[-1] == math.inf
    assert all(lower <= upper for (_, lower), (_, upper) in itertools.pairwise(buckets))
    assert buckets[-1][1] == count > 0
    # The sum is within the bounds of the buckets.
    inside = [upper - lower for (_, lower), (_, upper) in itertools.pairwise([(0.0, 0.0), *buckets])]
    assert sum(lower * number for lower, number in zip([0.0, *bounds], inside, strict=False)) <= total + 1e-9
    if not inside[-1]:
        assert total <= sum(upper * number for upper, number in zip(bounds[:-1], inside[:-1], strict=True)) + 1e-9
