"""Tests of simulation results and of their page."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import Settings
from simulations.report import render_page
from simulations.scenario_result import (
    Expectation,
    ObservedFinding,
    ScenarioResult,
    find_detection,
    read_results,
    result_path,
    write_result,
)
from simulations.scenarios import SCENARIOS
from tests.support.main_job import ROOT

BY = datetime(1998, 5, 4, tzinfo=UTC)
LATER, EARLIER = BY.replace(day=5), BY.replace(day=3)


def finding(as_of: datetime, at_server: bool = True, subject: str = "transactions.amount") -> ObservedFinding:
    return ObservedFinding(
        as_of=as_of,
        event="holdfast.drift.detected",
        subject=subject,
        severity="warning",
        summary="prices",
        event_at_server=at_server,
    )


def detection(*items: ObservedFinding, subject: str = "transactions.amount") -> Any:
    return find_detection("holdfast.drift.detected", subject, "at once", BY, items)


def result(**changes: Any) -> ScenarioResult:
    values: dict[str, Any] = {
        "scenario": "price-change",
        "fault": "Raised prices.",
        "with_fault": True,
        "customers": 10,
        "days": 3,
        "store": "sqlite",
        "detected_by": [detection(finding(BY))],
        "actions": ["retrain completed"],
        "asked": 5,
        "answered": 5,
        "repeated": 0,
        "predictions_lost": 0,
        "predictions_wrong": 0,
        "examples": [],
        "expectations": [Expectation(expected="a | b", found="c", met=True)],
        "findings": [],
        "alerts": [],
        "seconds": 1.0,
        "commit": "abc",
    }
    return ScenarioResult(**values | changes)


def test_find_detection_returns_the_first_matching_run() -> None:
    assert detection(finding(LATER), finding(BY)).detected_at == BY
    assert detection(finding(BY)).in_time
    assert detection(finding(BY, subject="a.late-data"), subject="*.late-data").in_time


@pytest.mark.parametrize(
    "items",
    [(), (finding(LATER),), (finding(EARLIER),), (finding(BY, at_server=False),), (finding(BY, subject="other"),)],
)
def test_find_detection_without_timely_event_is_not_in_time(items: tuple[ObservedFinding, ...]) -> None:
    assert not detection(*items).in_time


def test_scenario_result_without_problem_passed() -> None:
    assert result().passed
    assert result(detected_by=[], expectations=[]).passed


@pytest.mark.parametrize(
    "change",
    [
        {"detected_by": [detection(finding(BY)), detection()]},
        {"expectations": [Expectation(expected="x", found="y", met=False)]},
        {"predictions_lost": 1},
        {"predictions_wrong": 1},
        {"answered": 0},
    ],
)
def test_scenario_result_with_one_problem_failed(change: dict[str, Any]) -> None:
    assert not result(**change).passed


def test_read_results_recomputes_passed_and_keeps_the_rest(tmp_path: Path) -> None:
    settings, written = Settings(data=tmp_path), result(predictions_lost=2)
    path = result_path(settings, "price-change")
    write_result(written, path)
    assert '"passed": false' in path.read_text()
    path.write_text(path.read_text().replace('"passed": false', '"passed": true'))
    (read,) = read_results(settings, list(SCENARIOS))
    assert read == written
    assert not read.passed


def test_render_page_has_a_row_for_each_result() -> None:
    text = render_page([result(), result(predictions_wrong=1)])
    rows = [line for line in text.splitlines() if line.startswith("| price-change")]
    assert [row.rsplit("|", 2)[1].strip() for row in rows] == ["yes", "no"]
    assert len({row.count("|") for row in rows}) == 1
    assert "1998-05-04" in rows[0]


def test_scenarios_are_complete() -> None:
    assert list(SCENARIOS) == [
        "quiet-month", "price-change", "broken-column", "late-files", "changed-definition", "bad-challenger",
        "redis-restart", "killed-training", "disk-full",
    ]  # fmt: skip


def test_committed_page_reports_every_scenario_as_passed() -> None:
    """The page is the result of the last complete run: a failed scenario must not be presented as evidence."""
    lines = (ROOT / "docs" / "simulations.md").read_text().splitlines()
    rows = [line.strip("| ").split(" | ") for line in lines if line.startswith("| ")][1:]
    assert list(dict.fromkeys(row[0] for row in rows)) == list(SCENARIOS)
    assert len({(row[0], row[1].rpartition(", ")[2]) for row in rows}) == len(rows), "a row per scenario and store"
    assert [(row[5].partition(" ")[0], row[6], row[8]) for row in rows] == [("0", "0", "yes")] * len(rows)
