"""Tests of summaries and goals."""

import json

import pytest

from benchmarks.serving.load import LoadResult
from benchmarks.serving.report import Goal, GoalEvaluator, summarize, summarize_rounds
from benchmarks.serving.rounds import Measurement, Rounds
from benchmarks.serving.targets import evaluate_goals


def rounds(*rates: float, p50_ms: float = 2.0, p99_ms: float = 5.0, errors: int = 0) -> list[Measurement]:
    """Create measurements of two seconds."""
    return [Measurement(LoadResult(int(rate * 2), 2.0, p50_ms, p99_ms, errors), 0.1, 0.4) for rate in rates]


def test_summarize_returns_medians_range_and_total_errors() -> None:
    found = rounds(100, 400, 200) + rounds(300, 1000, p50_ms=9, errors=2)
    summary = summarize(found)
    assert summary.requests_per_second == 300
    assert (summary.requests_per_second_lowest, summary.requests_per_second_highest) == (100, 1000)
    assert summary.p50_ms == 2
    assert summary.p99_ms == 5
    assert summary.errors == 4
    assert summary.rounds == 5
    assert summary.others_cores == 0.1
    assert summary.cpu_ms_per_request == 0.4


def test_summarize_rounds_groups_by_name_and_connections() -> None:
    table = summarize_rounds({("noop", 1): rounds(100), ("noop", 8): rounds(300), ("naive", 8): rounds(30)})
    assert {name: {n: item.requests_per_second for n, item in found.items()} for name, found in table.items()} == {
        "noop": {"1": 100, "8": 300},
        "naive": {"8": 30},
    }


def test_add_ratio_uses_medians_and_reports_range_of_rounds() -> None:
    evaluator = GoalEvaluator({("a", 8): rounds(100, 200, 900), ("b", 8): rounds(50, 400, 100)})
    evaluator.add_ratio("a of b", ("a", 8), ("b", 8), ">=", 2.0)
    assert evaluator.all == [Goal("a of b", 2.0, 2.0, ">=", "x", lowest=0.5, highest=9.0)]
    assert evaluator.all[0].met


def test_add_ratio_of_latencies() -> None:
    evaluator = GoalEvaluator({("a", 1): rounds(1, p50_ms=3), ("b", 1): rounds(1, p50_ms=2)})
    evaluator.add_ratio("a of b", ("a", 1), ("b", 1), "<=", 1.4, "p50_ms")
    assert evaluator.all[0].value == 1.5
    assert not evaluator.all[0].met


def test_add_tail_throughput_and_median() -> None:
    evaluator = GoalEvaluator({("a", 8): rounds(10, 30, 20, p50_ms=2, p99_ms=7)})
    evaluator.add_tail("tail", ("a", 8), 3)
    evaluator.add_throughput("customers", ("a", 8), 1000, 20_000, "customers/s")
    evaluator.add_median("ready", [4.0, 8.0, 5.0], "<=", 6, "s")
    assert [(goal.value, goal.met) for goal in evaluator.all] == [(3.5, False), (20_000, True), (5.0, True)]
    assert (evaluator.all[1].lowest, evaluator.all[1].highest) == (10_000, 30_000)
    assert (evaluator.all[2].lowest, evaluator.all[2].highest) == (4.0, 8.0)


def test_goal_evaluator_missing_subject_gives_no_goal() -> None:
    evaluator = GoalEvaluator({("a", 8): rounds(10)})
    evaluator.add_ratio("missing", ("a", 8), ("b", 8), ">=", 1)
    evaluator.add_tail("missing", ("b", 8), 3)
    evaluator.add_throughput("missing", ("b", 8), 1000, 1, "")
    evaluator.add_median("empty", [], "<=", 6, "s")
    assert evaluator.all == []


def _all_rounds(holdfast: float, tuned: float = 4_000, naive: float = 400, tail: float = 4.0) -> Rounds:
    subjects: Rounds = {}
    for connections in (1, 8, 32):
        subjects["holdfast", connections] = rounds(holdfast, p99_ms=tail)
        subjects["noop_tuned", connections] = rounds(tuned, p50_ms=1.5)
        subjects["naive", connections] = rounds(naive)
        subjects["feast_serve", connections] = rounds(naive)
    subjects["holdfast_batch", 1] = rounds(25)
    subjects["holdfast_without_log", 8] = rounds(holdfast * 1.05)
    subjects["holdfast_two_workers", 64] = rounds(holdfast * 1.7)
    return subjects


def test_evaluate_goals_are_met_only_within_limits() -> None:
    good = evaluate_goals(_all_rounds(3_600), [4.0], [100.0, 109.0])
    assert {goal.name: goal.met for goal in good if not goal.met} == {}
    assert len(good) == 10  # all except the challenger's, which was not measured
    slow = {goal.name for goal in evaluate_goals(_all_rounds(2_000, tail=6.5), [6.5], [100.0, 111.0]) if not goal.met}
    assert slow == {
        "throughput / tuned no-op",
        "throughput / naive service",
        "throughput / feast serve",
        "p99 / p50, 8 connections",
        "start to ready, seconds",
        "memory after 300,000 requests / after 50,000",
    }


def test_evaluate_goals_challenger_only_for_measured_connections() -> None:
    found = _all_rounds(3_600)
    found["holdfast_shadow", 8] = rounds(3_000, p50_ms=2.5)
    (goal,) = [item for item in evaluate_goals(found, [], []) if "shadow" in item.name]
    assert goal.name.endswith(", 8")
    assert goal.value == 1.25
    assert not goal.met


@pytest.mark.parametrize(("direction", "value", "met"), [(">=", 2.0, True), (">=", 1.99, False), ("<=", 2.01, False)])
def test_goal_as_json_contains_met(direction: str, value: float, met: bool) -> None:
    goal = Goal("g", value, 2.0, direction, "x", 1.0, 3.0)  # type: ignore[arg-type]
    content = json.loads(json.dumps(goal.as_json()))
    assert content["met"] is met
    assert content["value"] == value
    assert content["limit"] == 2.0
