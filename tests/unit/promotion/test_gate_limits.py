"""Limits of the gates: what noise, warnings and settings do to them."""

import math

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import norm

from holdfast.model_versions.champion_history import RolloutBreach
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.promotion.gates import list_warnings
from holdfast.promotion.safety_gates import signal_z
from holdfast.training.evaluation_report import Interval
from tests.support.gate_evidence import (
    MISSING,
    NOON,
    PASSING_EVIDENCE,
    REFUTED,
    ROLLBACK,
    evidence_with,
    failed,
    gate,
    good_evaluation,
    make_folds,
    make_interval,
    make_level,
    make_metrics,
    make_month,
    make_slice,
)


class TestNoise:
    """Limits fail only where the near end of the interval is beyond them."""

    @given(
        bias=st.floats(-0.5, 0.5),
        half=st.floats(0, 0.5),
        rate=st.floats(0.1, 0.9),
        observed=st.lists(st.floats(0.1, 0.9), min_size=1, max_size=4),
    )
    def test_evaluate_gates_level_fails_only_if_surely_farther_off_than_churn_moved(
        self, bias: float, half: float, rate: float, observed: list[float]
    ) -> None:
        months = [make_month(mean_score=month, base_rate=month) for month in observed]
        evidence = evidence_with(
            evaluation=good_evaluation(level=make_level(bias, half), months=months), known_rate=rate
        )
        beyond = max(0.0, abs(bias) - half) - sum(abs(month - rate) for month in observed) / len(observed)
        assume(abs(beyond - 0.1) > 1e-9)
        assert (gate(evidence, "level").verdict == "failed") is (beyond > 0.1)

    @given(
        months=st.lists(st.tuples(st.floats(0.1, 0.9), st.floats(0.1, 0.9)), min_size=1, max_size=4),
        rate=st.floats(0.1, 0.9),
    )
    def test_evaluate_gates_month_fails_only_if_farther_off_than_churn_moved_in_any_month(
        self, months: list[tuple[float, float]], rate: float
    ) -> None:
        results = [
            make_month(NOON.replace(month=number), score, observed)
            for number, (score, observed) in enumerate(months, 1)
        ]
        evidence = evidence_with(evaluation=good_evaluation(months=results), known_rate=rate)
        moved = max(abs(observed - rate) for _, observed in months)
        beyond = max(abs(score - observed) - 0.02 for score, observed in months) - moved
        assume(abs(beyond - 0.1) > 1e-9)
        assert (gate(evidence, "calibration by month").verdict == "failed") is (beyond > 0.1)

    def test_evaluate_gates_level_of_months_that_moved_apart_passes(self) -> None:
        """December and January together have the churn of before, and neither could be known."""
        apart = [make_month(NOON, 0.4, 0.2), make_month(NOON.replace(month=8), 0.4, 0.7)]
        evaluation = good_evaluation(level=make_level(0.25), months=apart, base_rate=0.45)
        assert failed(evidence_with(evaluation=evaluation, known_rate=0.45)) == []
        steady = good_evaluation(
            level=make_level(0.25), months=[make_month(), make_month(NOON.replace(month=8))], base_rate=0.45
        )
        assert failed(evidence_with(evaluation=steady, known_rate=0.45)) == ["level"]

    def test_evaluate_gates_unknown_level_brier_score_compared_without_it(self) -> None:
        """The level of a version with a warning fails no gate, and neither do the Brier scores that it explains."""
        worse, known = {"brier_gain": make_interval(-0.03)}, "probabilities not surely worse than the base rate"
        assert failed(evidence_with(**worse)) == [known]
        missed = evidence_with(evaluation=good_evaluation(level=make_level(-0.15)), **worse)
        assert failed(missed) == []
        assert gate(missed, known).value == pytest.approx(0.06)
        assert gate(missed, known).detail.endswith("; level unknown, so each month after its best single offset")

    @settings(deadline=None)
    @given(error=st.floats(0, 0.5), up=st.floats(0, 0.5), bias=st.floats(-0.5, 0.5))
    def test_evaluate_gates_calibration_never_fails_by_noise_or_level_alone(
        self, error: float, up: float, bias: float
    ) -> None:
        ece = Interval(value=error, low=error, high=error + up)
        found = gate(
            evidence_with(evaluation=good_evaluation(metrics=make_metrics(ece=ece), level=make_level(bias))),
            "calibration",
        )
        assert found.value is not None and 0 <= found.value <= max(0.0, error - up) + 1e-12
        if abs(bias) >= error or up >= error:  # all of it by the level, or by noise
            assert found.verdict == "passed"

    def test_evaluate_gates_small_month_far_off_within_its_interval_passes(self) -> None:
        far = make_month(mean_score=0.6).model_copy(update={"bias": make_interval(0.2, 0.11), "rows": 77})
        assert failed(evidence_with(evaluation=good_evaluation(months=[far]))) == []
        sure = far.model_copy(update={"bias": make_interval(0.2, 0.04)})
        assert failed(evidence_with(evaluation=good_evaluation(months=[sure]))) == ["calibration by month"]

    def test_evaluate_gates_month_that_the_base_rate_misses_too_passes(self) -> None:
        december = make_month(mean_score=0.7)
        assert failed(evidence_with(evaluation=good_evaluation(months=[december]))) == ["calibration by month"]
        assert failed(evidence_with(evaluation=good_evaluation(months=[december]), known_rate=0.65)) == []

    def test_evaluate_gates_without_folds_test_is_evaluated_more_strictly(self) -> None:
        for value, expected in ((0.5379, ["signal on the test"]), (0.5381, [])):
            evidence = evidence_with(signal=make_interval(value), evaluation=good_evaluation(folds=None))
            assert failed(evidence) == expected
            assert gate(evidence, "signal on the folds").verdict == "not applicable"
            assert "with an error of 0.01%, because there are no folds" in gate(evidence, "signal on the test").detail

    def test_evaluate_gates_signal_gates_have_an_error_of_one_percent(self) -> None:
        """The bound lies 2.326 standard errors below the value, the 95% interval 1.960."""
        for value, expected in ((0.5237, ["signal on the test"]), (0.5238, [])):
            assert failed(evidence_with(signal=make_interval(value))) == expected
        for value, expected in ((0.0237, ["signal on the folds"]), (0.0238, [])):
            assert failed(evidence_with(evaluation=good_evaluation(folds=make_folds(value)))) == expected

    @pytest.mark.parametrize(("has_folds", "error"), [(True, 0.01), (False, 0.01**2)])
    def test_signal_z_normal_quantile_of_the_error(self, has_folds: bool, error: float) -> None:
        assert norm.sf(signal_z(has_folds)) == pytest.approx(error)

    def test_evaluate_gates_instability_of_the_steadiest_refit_counts(self) -> None:
        change = Interval(value=0.06, low=0.049, high=0.09)
        assert failed(evidence_with(evaluation=good_evaluation(instability=change))) == []


class TestWarnings:
    def test_list_warnings_known_level_none(self) -> None:
        assert list_warnings(PASSING_EVIDENCE) == []
        assert list_warnings(evidence_with(evaluation=MISSING)) == []

    def test_list_warnings_missed_level_warning_with_size_and_no_failure(self) -> None:
        evidence = evidence_with(evaluation=good_evaluation(level=make_level(-0.15)))
        assert failed(evidence) == []
        (text,) = list_warnings(evidence)
        assert "below the observed churn by 0.150 (95% interval -0.170 to -0.130)" in text
        assert "off by 0.170 or more" in text

    def test_list_warnings_less_than_a_year_warning(self) -> None:
        evidence = evidence_with(evaluation=good_evaluation(level=make_level(0.0, days=364, spread=0.09)))
        assert failed(evidence) == []
        (text,) = list_warnings(evidence)
        assert "the history of 364 days holds no whole year" in text
        assert "off by 0.090 or more" in text

    def test_list_warnings_base_rate_states_what_it_is(self) -> None:
        (text,) = list_warnings(evidence_with(evaluation=good_evaluation(family="base_rate")))
        assert "one probability for all customers" in text


class TestLimits:
    def test_evaluate_gates_small_slice_skipped_and_named(self) -> None:
        bad = make_slice("one-time", 199, make_interval(0.5))
        found = gate(evidence_with(evaluation=good_evaluation(slices=[make_slice("new"), bad])), "no slice far worse")
        assert found.verdict == "passed"
        assert found.detail.endswith("too small to evaluate: tenure_days: one-time")
        assert failed(
            evidence_with(evaluation=good_evaluation(slices=[make_slice("new"), bad])), min_slice_rows=199
        ) == ["no slice far worse"]

    def test_evaluate_gates_value_equal_to_limit_passes(self) -> None:
        exactly = good_evaluation(metrics=make_metrics(ece=make_interval(0.125, 0)), level=make_level(0))
        limits = {"max_calibration_error": 0.125, "max_latency_ms": 0.5, "max_size_mb": 0.1}
        assert failed(evidence_with(evaluation=exactly), **limits) == []
        for name, value in limits.items():
            changed = limits | {name: math.nextafter(value, 0)}
            assert len(failed(evidence_with(evaluation=exactly), **changed)) == 1

    def test_evaluate_gates_signal_at_chance_fails(self) -> None:
        at_chance = 0.25 * norm.isf(0.025) / norm.isf(0.01)
        assert failed(evidence_with(signal=make_interval(0.75, at_chance + 1e-9))) == ["signal on the test"]
        assert failed(evidence_with(signal=make_interval(0.75, at_chance - 1e-4))) == []

    def test_evaluate_gates_forbidden_inputs_match_whole_names(self) -> None:
        assert failed(evidence_with(inputs=["average", "stage", "message_count"])) == []
        assert failed(PASSING_EVIDENCE, forbidden_inputs=["*amount"]) == ["no forbidden input"]
        assert gate(PASSING_EVIDENCE, "no forbidden input", forbidden_inputs=["*amount", "purchase_?ays"]).value == 2

    def test_evaluate_gates_rollback_allowed_or_breach_overruled_passes(self) -> None:
        assert failed(evidence_with(rollback=ROLLBACK), max_rollbacks=1) == []
        assert failed(evidence_with(breach=RolloutBreach(REFUTED, is_in_force=False))) == []

    @pytest.mark.parametrize(
        ("name", "value"), [("min_roc_auc", 1.1), ("max_loss_to_champion", -0.1), ("min_slice_rows", 0), ("min_auc", 1)]
    )
    def test_gate_settings_invalid_limit_raises(self, name: str, value: float) -> None:
        with pytest.raises(ValidationError):
            GateSettings(**{name: value})
