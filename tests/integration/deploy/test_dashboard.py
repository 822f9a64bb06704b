"""Tests that the dashboard and the alerts use metrics and labels that the service exports."""

import inspect
import itertools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from holdfast.core.prediction_log import Route
from services.errors import RejectionReason
from services.features.feature_checks import InputStatus
from services.prediction_log.writer import PredictionLog
from tests.support.live_metrics import BATCH, PREDICT, Exposition, collect_metrics
from tests.support.main_job import ROOT
from tests.support.promql import Selector, parse_promql

pytestmark = pytest.mark.long

DASHBOARD = ROOT / "deploy" / "grafana" / "holdfast.json"
RULES = ROOT / "deploy" / "prometheus" / "holdfast.rules.yml"
DOCUMENT = ROOT / "docs" / "serving-metrics.md"
PROMETHEUS_METRICS = {"up": set[str](), "ALERTS": {"alertname", "alertstate"}}
SCRAPE_LABELS = {"job", "instance"}
# Possible values of labels, some of which the small test service does not export.
VALUES: dict[str, set[str]] = {
    "path": {PREDICT, BATCH},
    "stage": {"store", "transform", "model"},
    "route": set(get_args(Route)),
    "reason": set(get_args(RejectionReason)),
    "alertstate": {"firing", "pending"},
    "status": {status.name.lower() for status in InputStatus},
}


@dataclass(frozen=True)
class UsedExpression:
    """PromQL expression, its location, and the labels in its legend or texts."""

    location: str
    expression: str
    labels: frozenset[str]


def _panels() -> list[dict[str, Any]]:
    return list(json.loads(DASHBOARD.read_text())["panels"])


def _rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def _used_expressions() -> Iterator[UsedExpression]:
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            labels = frozenset(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            yield UsedExpression(panel["title"], target["expr"], labels)
    for note in dashboard["annotations"]["list"]:
        if "expr" in note:
            yield UsedExpression(note["name"], note["expr"], frozenset(re.findall(r"{{(\w+)}}", note["titleFormat"])))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
            assert variable["query"]["query"] == variable["definition"]
            yield UsedExpression(f"${variable['name']}", selector, frozenset({label}))
    for rule in _rules():
        texts = " ".join(rule["annotations"].values())
        yield UsedExpression(rule["alert"], rule["expr"], frozenset(re.findall(r"\$labels\.(\w+)", texts)))


USED = list(_used_expressions())


@pytest.fixture(scope="module")
def exported(service_data: Path) -> Exposition:
    """The metrics of a service process after all kinds of requests and a store failure."""
    return collect_metrics(service_data).all_models


def _labels(exported: Exposition, selector: Selector) -> dict[str, set[str]]:
    """Collect the labels of a metric with their exported values."""
    found: dict[str, set[str]] = {label: set() for label in PROMETHEUS_METRICS.get(selector.metric, set())}
    for sample in exported.samples:
        if sample.name == selector.metric:
            for label, value in sample.labels.items():
                found.setdefault(label, set()).add(value)
    return found


@pytest.mark.parametrize("used", USED, ids=lambda used: used.location)
def test_dashboard_expression_uses_exported_metrics_and_labels(used: UsedExpression, exported: Exposition) -> None:
    query = parse_promql(used.expression)
    assert query.selectors
    known = SCRAPE_LABELS.copy()
    for selector in query.selectors:
        assert selector.metric in PROMETHEUS_METRICS or any(item.name == selector.metric for item in exported.samples)
        labels = _labels(exported, selector)
        known |= labels.keys()
        for label, sign, wanted in selector.matchers:
            assert label in labels or label in SCRAPE_LABELS
            if "$" in wanted or label in (*SCRAPE_LABELS, "alertname"):
                continue
            values = labels[label] | VALUES.get(label, set())
            for value in wanted.split("|") if sign.endswith("~") else [re.escape(wanted)]:
                assert any(re.fullmatch(value, item) for item in values), f"{label} is never {value}, only {values}"
    assert query.grouping <= known
    aggregated = re.search(r"\b(sum|min|max|count)\b", used.expression)
    assert used.labels <= (query.grouping if aggregated else known)


def test_dashboard_and_alerts_use_every_metric(exported: Exposition) -> None:
    own = {name for name in exported.families if name.startswith("holdfast_")}
    named = {selector.metric for used in USED for selector in parse_promql(used.expression).selectors}
    assert own - {re.sub("_(total|bucket|count|sum)$", "", name) for name in named} == set()
    assert len(own) > 20


def test_metrics_document_describes_every_metric_and_alert(exported: Exposition) -> None:
    own = {name for name in exported.families if name.startswith("holdfast_")}
    text = DOCUMENT.read_text()
    described = re.findall(r"^\| `(holdfast_\w+?)(?:_total)?`", text, re.MULTILINE)
    assert sorted(described) == sorted(own)
    assert re.findall(r"^\| `(Holdfast\w+)`", text, re.MULTILINE) == [rule["alert"] for rule in _rules()]


def test_dashboard_panels_have_description_unit_and_data_source() -> None:
    panels = [panel for panel in _panels() if panel["type"] != "row"]
    assert len(panels) > 30
    for panel in panels:
        assert panel["description"], panel["title"]
        assert panel["datasource"] == {"type": "prometheus", "uid": "${datasource}"}
        unit = panel["options"]["yAxis"] if panel["type"] == "heatmap" else panel["fieldConfig"]["defaults"]
        assert unit["unit"], panel["title"]
        references = [target["refId"] for target in panel["targets"]]
        assert len(set(references)) == len(references)
        for target in panel["targets"]:
            assert target["datasource"] == panel["datasource"]
            assert 'job="$job"' in target["expr"] or "ALERTS" in target["expr"]


def test_dashboard_panels_do_not_overlap() -> None:
    panels = _panels()
    assert len({panel["id"] for panel in panels}) == len(panels)
    positions = [panel["gridPos"] for panel in panels]
    assert all(item["x"] + item["w"] <= 24 for item in positions)
    for item, other in itertools.combinations(positions, 2):
        beside = item["x"] + item["w"] <= other["x"] or other["x"] + other["w"] <= item["x"]
        above = item["y"] + item["h"] <= other["y"] or other["y"] + other["h"] <= item["y"]
        assert beside or above, (item, other)
    rows = [
        panel["title"] for panel in sorted(panels, key=lambda panel: panel["gridPos"]["y"]) if panel["type"] == "row"
    ]
    assert rows[0] == "Availability"
    assert len(rows) == 9


def test_alerts_have_severity_summary_and_description() -> None:
    rules = _rules()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_dashboard_texts_name_the_limits_of_the_service() -> None:
    from feature_repo import feature_views
    from services.settings import ServingSettings

    queued = inspect.signature(PredictionLog).parameters["max_queued_rows"].default
    soft = feature_views._TAGS["soft_limit_hours"]
    hard = feature_views._HARD_LIMIT // timedelta(days=1)
    concurrency = ServingSettings.model_fields["max_concurrency"].default
    dashboard, rules = DASHBOARD.read_text(), RULES.read_text()
    assert f"{queued:,}" in dashboard
    assert f"{queued:,}" in rules
    assert f"older than {soft} hours are flagged, older than {hard} days rejected" in rules
    assert f"The soft limit is {soft} hours" in dashboard
    assert f"{concurrency} by default" in dashboard
    (age,) = [panel for panel in _panels() if panel["title"] == "Age of features at the request"]
    assert age["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] == float(soft)


def test_grafana_and_prometheus_configurations_refer_to_existing_files() -> None:
    grafana, prometheus = DASHBOARD.parent, RULES.parent
    (source,) = yaml.safe_load((grafana / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    assert "$" not in source["url"]
    (provider,) = yaml.safe_load((grafana / "provisioning/dashboards/holdfast.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    config = yaml.safe_load((prometheus / "prometheus.yml").read_text())
    assert all((prometheus / name).is_file() for name in config["rule_files"])
    (job,) = config["scrape_configs"]
    down = parse_promql(_rules()[0]["expr"]).selectors
    assert {("job", "=", job["job_name"])} == {matcher for selector in down for matcher in selector.matchers}


def test_parse_promql_returns_selectors_and_grouping() -> None:
    query = parse_promql(
        'sum by (path) (rate(a_total{path="/x", job=~"$job"}[$__rate_interval])) / on () group_left b{} or vector(0)'
    )
    assert query.selectors == [Selector("a_total", [("path", "=", "/x"), ("job", "=~", "$job")]), Selector("b", [])]
    assert query.grouping == {"path"}
    assert [item.metric for item in parse_promql("max(c) unless d offset 1m == 1").selectors] == ["c", "d"]
    assert parse_promql("histogram_quantile(0.99, sum by (le) (e_bucket)) > 1e3").grouping == {"le"}
    with pytest.raises(ValueError, match="no PromQL"):
        parse_promql("a ? b")
