"""Dashboard and alerts ask for what the service tells, by the names it tells it under."""

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
from services.inference.feature_checks import InputStatus
from services.prediction_log.writer import PredictionLog
from tests.support.live_metrics import BATCH, PREDICT, Exposition, collect_metrics
from tests.support.main_job import ROOT
from tests.support.promql import Selector, read

pytestmark = pytest.mark.long

DASHBOARD = ROOT / "deploy" / "grafana" / "holdfast.json"
RULES = ROOT / "deploy" / "prometheus" / "holdfast.rules.yml"
DOCUMENT = ROOT / "docs" / "serving-metrics.md"
OF_PROMETHEUS = {"up": set[str](), "ALERTS": {"alertname", "alertstate"}}
OF_THE_SCRAPE = {"job", "instance"}
# Values that a label may have, where the small service_data does not show all of them.
VALUES: dict[str, set[str]] = {
    "path": {PREDICT, BATCH},
    "stage": {"store", "transform", "model"},
    "route": set(get_args(Route)),
    "reason": set(get_args(RejectionReason)),
    "alertstate": {"firing", "pending"},
    "status": {status.name.lower() for status in InputStatus},
}


@dataclass(frozen=True)
class Asked:
    """An expression, where it stands, and the labels that its legend or its texts show."""

    where: str
    expression: str
    shown: frozenset[str]


def _panels() -> list[dict[str, Any]]:
    return list(json.loads(DASHBOARD.read_text())["panels"])


def _rules() -> list[dict[str, Any]]:
    (group,) = yaml.safe_load(RULES.read_text())["groups"]
    return list(group["rules"])


def _asked() -> Iterator[Asked]:
    dashboard = json.loads(DASHBOARD.read_text())
    for panel in dashboard["panels"]:
        for target in panel.get("targets", []):
            shown = frozenset(re.findall(r"{{(\w+)}}", target["legendFormat"]))
            yield Asked(panel["title"], target["expr"], shown)
    for note in dashboard["annotations"]["list"]:
        if "expr" in note:
            yield Asked(note["name"], note["expr"], frozenset(re.findall(r"{{(\w+)}}", note["titleFormat"])))
    for variable in dashboard["templating"]["list"]:
        if variable["type"] == "query":
            selector, label = re.fullmatch(r"label_values\((.*), (\w+)\)", variable["definition"]).groups()  # type: ignore[union-attr]
            assert variable["query"]["query"] == variable["definition"]
            yield Asked(f"${variable['name']}", selector, frozenset({label}))
    for rule in _rules():
        texts = " ".join(rule["annotations"].values())
        yield Asked(rule["alert"], rule["expr"], frozenset(re.findall(r"\$labels\.(\w+)", texts)))


ASKED = list(_asked())


@pytest.fixture(scope="module")
def told(service_data: Path) -> Exposition:
    """What a served process tells that has been through everything, a broken store at last."""
    return collect_metrics(service_data).ill


def _labels(told: Exposition, selector: Selector) -> dict[str, set[str]]:
    """The labels of a metric with the values they have been seen to have."""
    found: dict[str, set[str]] = {label: set() for label in OF_PROMETHEUS.get(selector.metric, set())}
    for sample in told.samples:
        if sample.name == selector.metric:
            for label, value in sample.labels.items():
                found.setdefault(label, set()).add(value)
    return found


@pytest.mark.parametrize("asked", ASKED, ids=lambda asked: asked.where)
def test_what_is_asked_for_exists(asked: Asked, told: Exposition) -> None:
    query = read(asked.expression)
    assert query.selectors
    known = OF_THE_SCRAPE.copy()
    for selector in query.selectors:
        assert selector.metric in OF_PROMETHEUS or any(one.name == selector.metric for one in told.samples)
        labels = _labels(told, selector)
        known |= labels.keys()
        for label, sign, wanted in selector.matchers:
            assert label in labels or label in OF_THE_SCRAPE
            if "$" in wanted or label in (*OF_THE_SCRAPE, "alertname"):
                continue
            values = labels[label] | VALUES.get(label, set())
            for value in wanted.split("|") if sign.endswith("~") else [re.escape(wanted)]:
                assert any(re.fullmatch(value, one) for one in values), f"{label} is never {value}, only {values}"
    assert query.grouping <= known
    aggregated = re.search(r"\b(sum|min|max|count)\b", asked.expression)
    assert asked.shown <= (query.grouping if aggregated else known)


def test_every_metric_of_the_service_is_shown_or_watched(told: Exposition) -> None:
    ours = {name for name in told.families if name.startswith("holdfast_")}
    named = {selector.metric for asked in ASKED for selector in read(asked.expression).selectors}
    assert ours - {re.sub("_(total|bucket|count|sum)$", "", name) for name in named} == set()
    assert len(ours) > 20


def test_the_document_describes_every_metric_and_every_alert(told: Exposition) -> None:
    ours = {name for name in told.families if name.startswith("holdfast_")}
    text = DOCUMENT.read_text()
    described = re.findall(r"^\| `(holdfast_\w+?)(?:_total)?`", text, re.MULTILINE)
    assert sorted(described) == sorted(ours)
    assert re.findall(r"^\| `(Holdfast\w+)`", text, re.MULTILINE) == [rule["alert"] for rule in _rules()]


def test_every_panel_says_what_it_shows() -> None:
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


def test_panels_have_places_of_their_own() -> None:
    panels = _panels()
    assert len({panel["id"] for panel in panels}) == len(panels)
    places = [panel["gridPos"] for panel in panels]
    assert all(place["x"] + place["w"] <= 24 for place in places)
    for one, other in itertools.combinations(places, 2):
        beside = one["x"] + one["w"] <= other["x"] or other["x"] + other["w"] <= one["x"]
        above = one["y"] + one["h"] <= other["y"] or other["y"] + other["h"] <= one["y"]
        assert beside or above, (one, other)
    rows = [
        panel["title"] for panel in sorted(panels, key=lambda panel: panel["gridPos"]["y"]) if panel["type"] == "row"
    ]
    assert rows[0] == "Is it up and ready?"
    assert len(rows) == 9


def test_alerts_say_how_bad_and_what_to_do() -> None:
    rules = _rules()
    assert len({rule["alert"] for rule in rules}) == len(rules)
    for rule in rules:
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert set(rule["annotations"]) == {"summary", "description"}


def test_limits_in_texts_are_those_of_the_service() -> None:
    from feature_repo import feature_views
    from services.settings import ServingSettings

    queued = inspect.signature(PredictionLog).parameters["max_queued_rows"].default
    soft = feature_views._TAGS["soft_limit_hours"]
    hard = feature_views._HARD_LIMIT // timedelta(days=1)
    concurrency = ServingSettings.model_fields["max_concurrency"].default
    dashboard, rules = DASHBOARD.read_text(), RULES.read_text()
    assert f"{queued:,}" in dashboard
    assert f"{queued:,}" in rules
    assert f"older than {soft} hours are flagged, older than {hard} days refused" in rules
    assert f"{soft} hours is the soft limit" in dashboard
    assert f"{concurrency} by default" in dashboard
    (age,) = [panel for panel in _panels() if panel["title"] == "Age of features at the request"]
    assert age["fieldConfig"]["defaults"]["thresholds"]["steps"][-1]["value"] == float(soft)


def test_grafana_and_prometheus_find_their_files() -> None:
    grafana, prometheus = DASHBOARD.parent, RULES.parent
    (source,) = yaml.safe_load((grafana / "provisioning/datasources/prometheus.yml").read_text())["datasources"]
    assert source["type"] == "prometheus"
    assert "$" not in source["url"]
    (provider,) = yaml.safe_load((grafana / "provisioning/dashboards/holdfast.yml").read_text())["providers"]
    assert provider["options"]["path"] == "/var/lib/grafana/dashboards"
    config = yaml.safe_load((prometheus / "prometheus.yml").read_text())
    assert all((prometheus / name).is_file() for name in config["rule_files"])
    (job,) = config["scrape_configs"]
    down = read(_rules()[0]["expr"]).selectors
    assert {("job", "=", job["job_name"])} == {matcher for selector in down for matcher in selector.matchers}


def test_names_are_found_in_promql() -> None:
    query = read(
        'sum by (path) (rate(a_total{path="/x", job=~"$job"}[$__rate_interval])) / on () group_left b{} or vector(0)'
    )
    assert query.selectors == [Selector("a_total", [("path", "=", "/x"), ("job", "=~", "$job")]), Selector("b", [])]
    assert query.grouping == {"path"}
    assert [one.metric for one in read("max(c) unless d offset 1m == 1").selectors] == ["c", "d"]
    assert read("histogram_quantile(0.99, sum by (le) (e_bucket)) > 1e3").grouping == {"le"}
    with pytest.raises(ValueError, match="no PromQL"):
        read("a ? b")
