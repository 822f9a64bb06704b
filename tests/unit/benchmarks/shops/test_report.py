"""Report of the benchmark of shops: goals, table and plot."""

from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from benchmarks.shops.report import PUBLISHED, Goal, check_goals, plot_results, render_protocol, render_table
from benchmarks.shops.results import Scores, ShopResult, score_predictions
from holdfast.core.plot_style import render_png


def _scores(brier: float, ece: float = 0.02, roc_auc: float = 0.75) -> Scores:
    return Scores(roc_auc=roc_auc, brier=brier, log_loss=0.5, ece=ece, largest_month=0.04)


def _result(shop: str = "harrogate", brier: float = 0.19, reference: float = 0.2, **changes: Any) -> ShopResult:
    fields: dict[str, Any] = {
        "key": "k",
        "shop": shop,
        "is_real": True,
        "months_earlier": 0,
        "as_of": datetime(2024, 1, 1, tzinfo=UTC),
        "status": "served",
        "reason": "passed every gate",
        "level_known": True,
        "has_signal": True,
        "wrong_direction": 0.0,
        "scores": {"model": _scores(brier), "base_rate": _scores(0.24), "bg_nbd": _scores(reference)},
        "simple": ["base_rate", "bg_nbd"],
        "seconds": 12.0,
    }
    return ShopResult(**fields | changes)


def _goal(results: list[ShopResult], words: str, protocol: dict[str, tuple[float, float]] | None = None) -> Goal:
    return next(goal for goal in check_goals(results, protocol or {}) if words in goal.name)


class TestGoals:
    @pytest.mark.parametrize(("served", "met"), [(9, True), (8, False)])
    def test_served_needs_nine_of_ten_dates(self, served: int, met: bool) -> None:
        results = [_result(status="served" if number < served else "refused") for number in range(10)]
        goal = _goal(results, "9 of 10")
        assert (goal.met, goal.value) == (met, f"{served} of 10")

    def test_served_counts_real_shops_with_signal_only(self) -> None:
        others = [
            _result("bg_nbd", is_real=False, status="refused"),
            _result("northwind", has_signal=False, status="refused"),
            _result("new", scores={}, status="too little history"),
        ]
        assert _goal([_result(), *others], "9 of 10").value == "1 of 1"
        assert _goal(others, "9 of 10").met is None

    def test_mean_brier_score_is_compared_with_bg_nbd(self) -> None:
        assert _goal([_result(brier=0.196), _result(brier=0.198)], "mean Brier").met is True
        assert _goal([_result(brier=0.198), _result(brier=0.199)], "mean Brier").met is False

    def test_worst_pair_is_named(self) -> None:
        goal = _goal([_result(brier=0.19), _result("retail", brier=0.2031)], "never more")
        assert goal.met is False
        assert "+0.0031 (retail, 2024-01-01)" in goal.value
        assert _goal([_result(brier=0.2029)], "never more").met is True

    def test_calibration_is_judged_where_the_level_could_be_known(self) -> None:
        bad = {"model": _scores(0.2, ece=0.2)}
        assert _goal([_result(), _result(scores=bad, level_known=False)], "calibration error .03").met is True
        assert _goal([_result(), _result(), _result(scores=bad)], "calibration error .03").met is False
        worse = {"model": _scores(0.2, ece=0.04)}
        assert _goal([_result(scores=worse)], "calibration error .03").met is False

    def test_promoted_coin_toss_misses_the_goal(self) -> None:
        tosses = [_result(f"coin_toss_{n:03d}", status="refused", is_real=False) for n in range(3)]
        assert _goal(tosses, "coin toss").value == "0 of 3"
        promoted = [*tosses, _result("coin_toss_004", is_real=False)]
        assert _goal(promoted, "coin toss").met is False
        assert "coin_toss_004" in _goal(promoted, "coin toss").value
        assert _goal([_result()], "coin toss").met is None

    def test_unknown_direction_of_a_served_model_misses_the_goal(self) -> None:
        assert _goal([_result()], "silence grows").met is True
        assert _goal([_result(), _result(wrong_direction=None)], "silence grows").met is False
        assert _goal([_result(wrong_direction=0.3)], "silence grows").met is False

    def test_error_misses_a_goal(self) -> None:
        goal = _goal([_result(), _result("broken", status="error", scores={})], "ends with a result")
        assert (goal.met, goal.value) == (False, "broken-0")

    def test_cdnow_is_compared_in_three_decimals(self) -> None:
        def cdnow(brier: float) -> Goal:
            scores = {"model": _scores(brier, ece=0.0152, roc_auc=0.7127)}
            return _goal([_result("cdnow", scores=scores), _result("cdnow", months_earlier=4)], "CDNOW at least")

        assert cdnow(0.2064).met is True
        assert cdnow(0.2066).met is False

    def test_protocol_needs_both_figures_of_one_model(self) -> None:
        ours = {"logistic, ours": (0.8, 0.42), "boosting, ours": (0.81, 0.43)}
        assert _goal([], "public protocol", PUBLISHED | ours).met is True
        assert _goal([], "public protocol", PUBLISHED | {"boosting, ours": (0.81, 0.43)}).met is False
        assert _goal([], "public protocol").met is None

    def test_text_of_a_goal_has_verdict_and_value(self) -> None:
        assert str(Goal("a goal", "3 of 4", False)) == "MISSED: a goal: 3 of 4"
        assert str(Goal("a goal", "", None)) == "not measured: a goal"


class TestTable:
    def test_row_has_every_model_and_the_best_in_hindsight(self) -> None:
        table = render_table([_result("a|b", status="refused", reason="one | two\nthree"), _result("coin_toss_001")])
        lines = table.splitlines()
        assert len(lines) == 3
        assert lines[2].count("|") == lines[0].count("|") + 1  # the name of the shop has one

    def test_best_in_hindsight_may_be_a_simple_model(self) -> None:
        result = _result(brier=0.21)
        assert result.best_in_hindsight == "bg_nbd"
        assert "| BG/NBD 0.200 |" in render_table([result])
        assert _result(scores={}).best_in_hindsight is None

    def test_protocol_is_sorted_by_log_loss(self) -> None:
        lines = render_protocol(PUBLISHED | {"ours": (0.81, 0.41)}).splitlines()[2:]
        assert [line.split(" | ")[0].removeprefix("| ") for line in lines] == [
            "ours",
            "Pareto/NBD, published",
            "BG/NBD, published",
        ]


def test_score_predictions_finds_the_largest_month() -> None:
    rng, months = np.random.default_rng(0), np.repeat([1, 2], 500)
    churned = rng.random(1000) < 0.5
    frame = pd.DataFrame({"cutoff": months, "churned": churned, "model": np.where(months == 1, 0.5, 0.8)})
    scores = score_predictions(frame, "model")
    assert scores.largest_month == pytest.approx(0.8 - churned[500:].mean())
    assert scores.brier == pytest.approx(((frame["model"] - churned) ** 2).mean())


@pytest.mark.parametrize("results", [[], [_result(), _result("retail", status="refused")]])
def test_plot_is_a_png(results: list[ShopResult]) -> None:
    assert render_png(plot_results(results)).startswith(b"\x89PNG")
