"""Contract of `prometheus_client.values.ValueClass`: same metrics as `prometheus_client.Histogram`."""

import bisect
import inspect
import os
import subprocess
import sys
from pathlib import Path

import pytest
from prometheus_client import CollectorRegistry, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector

from services.observability.histogram_collector import HistogramCollector
from tests.support.main_job import ROOT

NAME, HELP, BOUNDS = "holdfast_request_seconds", "Time to respond.", [0.25, 0.5, 2.0]
# Binary fractions: their sum does not depend on the order. 0.5 and 2.0 are bounds.
SERIES = {("/predict", "1"): [0.125, 0.25, 0.5, 0.5, 2.0, 64.0], ("/predict", "2"): [1.0], ("/batch", "1"): [8.0, 0.0]}
LABELS = ["path", "version"]


def observe(
    kind: str, labels: list[str], series: dict[tuple[str, ...], list[float]], registry: CollectorRegistry
) -> None:
    """Add the values to prometheus_client's histogram or to the collector."""
    if kind == "histogram":
        histogram = Histogram(NAME, HELP, labels, registry=registry, buckets=BOUNDS)
        for label_values, numbers in series.items():
            for number in numbers:
                (histogram.labels(*label_values) if labels else histogram).observe(number)
        return
    collector = HistogramCollector(NAME, HELP, BOUNDS, labels, registry)
    for label_values, numbers in series.items():
        counts = [0] * (len(BOUNDS) + 1)
        for number in numbers:
            counts[bisect.bisect_left(BOUNDS, number)] += 1
        collector.add(counts, sum(numbers), label_values)


def _exposition(registry: CollectorRegistry) -> list[str]:
    """Return the lines of /metrics; times of creation are left out: BentoML's registry of processes has none."""
    lines = generate_latest(registry).decode().splitlines()
    return [line for line in lines if f"{NAME}_created" not in line]


@pytest.mark.parametrize("value_class", [values.MutexValue, values.MultiProcessValue()])
def test_value_class_takes_the_positional_arguments_of_the_collector(value_class: type) -> None:
    names = list(inspect.signature(value_class).parameters)
    assert names[:6] == ["typ", "metric_name", "name", "labelnames", "labelvalues", "help_text"]


@pytest.mark.parametrize(
    ("labels", "series"),
    [(LABELS, SERIES), ([], {(): [0.125, 0.5, 64.0]}), ([], {}), (LABELS, {})],
    ids=["labels", "no labels", "no labels and no values", "no values"],
)
def test_histogram_collector_in_one_process_equals_histogram(
    labels: list[str], series: dict[tuple[str, ...], list[float]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(values, "ValueClass", values.MutexValue)  # other tests may have set the folder of processes
    expected, found = CollectorRegistry(), CollectorRegistry()
    observe("histogram", labels, series, expected)
    observe("collector", labels, series, found)
    assert _exposition(found) == _exposition(expected)
    assert len(_exposition(found)) > 2 or not series


_PROCESS = f"""
import sys
from prometheus_client import CollectorRegistry
from {__name__} import LABELS, SERIES, observe
observe(sys.argv[1], LABELS, SERIES, CollectorRegistry())
"""


def _run_processes(kind: str, folder: Path) -> list[str]:
    """Observe the values in each of two processes; return the metrics that a third collects."""
    folder.mkdir()
    environment = os.environ | {"PROMETHEUS_MULTIPROC_DIR": str(folder), "PYTHONPATH": str(ROOT)}
    for _ in range(2):
        subprocess.run([sys.executable, "-c", _PROCESS, kind], env=environment, cwd=ROOT, check=True, timeout=120)
    assert len(list(folder.glob("histogram_*.db"))) == 2
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))
    return _exposition(registry)


def test_histogram_collector_across_processes_equals_histogram(tmp_path: Path) -> None:
    expected, found = (_run_processes(kind, tmp_path / kind) for kind in ("histogram", "collector"))
    assert sorted(found) == sorted(expected)
    assert f'{NAME}_count{{path="/predict",version="1"}} 12.0' in found
    assert f'{NAME}_bucket{{le="0.5",path="/predict",version="1"}} 8.0' in found
