"""From measurements to numbers and goals."""

import json

import pytest

from benchmarks.serving.load import Load
from benchmarks.serving.report import Goal, Goals, line, lines, p50
from benchmarks.serving.rounds import Measurement, Rounds
from benchmarks.serving.targets import goals


def rounds(*rates: float, p50_ms: float = 2.0, p99_ms: float = 5.0, errors: int = 0) -> list[Measurement]:
    """Rounds of two seconds."""
    return [Measurement(Load(int(rate * 2), 2.0, p50_ms, p99_ms, errors), 0.1, 0.4) for rate in rates]


def test_a_line_is_the_median_round_with_its_spread_and_all_errors() -> None:
    found = rounds(100, 400, 200) + rounds(300, 1000, p50_ms=9, errors=2)
    told = line(found)
    assert told.requests_per_second == 300
    assert (told.requests_per_second_lowest, told.requests_per_second_highest) == (100, 1000)
    assert told.p50_ms == 2
    assert told.p99_ms == 5
    assert told.errors == 4
    assert told.rounds == 5
    assert told.others_cores == 0.1
    assert told.cpu_ms_per_request == 0.4


def test_lines_are_by_name_and_connections() -> None:
    table = lines({("noop", 1): rounds(100), ("noop", 8): rounds(300), ("naive", 8): rounds(30)})
    assert {name: {n: item.requests_per_second for n, item in found.items()} for name, found in table.items()} == {
        "noop": {"1": 100, "8": 300},
        "naive": {"8": 30},
    }


def test_a_ratio_is_that_of_the_medians_and_its_spread_that_of_the_rounds() -> None:
    told = Goals({("a", 8): rounds(100, 200, 900), ("b", 8): rounds(50, 400, 100)})
    told.ratio("a of b", ("a", 8), ("b", 8), ">=", 2.0)
    assert told.all == [Goal("a of b", 2.0, 2.0, ">=", "x", lowest=0.5, highest=9.0)]
    assert told.all[0].met


def test_a_ratio_may_be_of_latencies() -> None:
    told = Goals({("a", 1): rounds(1, p50_ms=3), ("b", 1): rounds(1, p50_ms=2)})
    told.ratio("a of b", ("a", 1), ("b", 1), "<=", 1.4, p50)
    assert told.all[0].value == 1.5
    assert not told.all[0].met


def test_tail_throughput_and_plain_numbers() -> None:
    told = Goals({("a", 8): rounds(10, 30, 20, p50_ms=2, p99_ms=7)})
    told.tail("tail", ("a", 8), 3)
    told.throughput("customers", ("a", 8), 1000, 20_000, "customers/s")
    told.number("ready", [4.0, 8.0, 5.0], "<=", 6, "s")
    assert [(goal.value, goal.met) for goal in told.all] == [(3.5, False), (20_000, True), (5.0, True)]
    assert (told.all[1].lowest, told.all[1].highest) == (10_000, 30_000)
    assert (told.all[2].lowest, told.all[2].highest) == (4.0, 8.0)


def test_what_was_not_measured_gives_no_goal() -> None:
    told = Goals({("a", 8): rounds(10)})
    told.ratio("of what is not there", ("a", 8), ("b", 8), ">=", 1)
    told.tail("of what is not there", ("b", 8), 3)
    told.throughput("of what is not there", ("b", 8), 1000, 1, "")
    told.number("of nothing", [], "<=", 6, "s")
    assert told.all == []


def everything(holdfast: float, tuned: float = 4_000, naive: float = 400, tail: float = 4.0) -> Rounds:
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


def test_the_goals_are_met_by_what_keeps_them_and_only_by_that() -> None:
    good = goals(everything(3_600), [4.0], [100.0, 109.0])
    assert {goal.name: goal.met for goal in good if not goal.met} == {}
    assert len(good) == 10  # all but the challenger's, which was not measured
    slow = {goal.name for goal in goals(everything(2_000, tail=6.5), [6.5], [100.0, 111.0]) if not goal.met}
    assert slow == {
        "throughput / tuned no-op",
        "throughput / naive service",
        "throughput / feast serve",
        "p99 / p50, 8 connections",
        "start to ready, seconds",
        "memory after 300,000 requests / after 50,000",
    }


def test_the_challenger_is_judged_where_it_was_measured() -> None:
    found = everything(3_600)
    found["holdfast_shadow", 8] = rounds(3_000, p50_ms=2.5)
    (told,) = [goal for goal in goals(found, [], []) if "shadow" in goal.name]
    assert told.name.endswith(", 8")
    assert told.value == 1.25
    assert not told.met


@pytest.mark.parametrize(("direction", "value", "met"), [(">=", 2.0, True), (">=", 1.99, False), ("<=", 2.01, False)])
def test_a_goal_in_json_says_whether_it_is_met(direction: str, value: float, met: bool) -> None:
    goal = Goal("g", value, 2.0, direction, "x", 1.0, 3.0)  # type: ignore[arg-type]
    told = json.loads(json.dumps(goal.as_json()))
    assert told["met"] is met
    assert told["value"] == value
    assert told["limit"] == 2.0
