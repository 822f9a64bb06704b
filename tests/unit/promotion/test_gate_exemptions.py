"""Gates that do not apply, or are not required of a first model or of the base rate."""

from typing import Any

import pytest

from holdfast.model_versions.gate_settings import GateSettings
from holdfast.promotion.gates import evaluate_gates
from holdfast.training.baselines import BASELINE_LABELS
from holdfast.training.evaluation_report import Interval
from tests.support.gate_evidence import (
    FIRST_MODEL,
    MERIT,
    NOON,
    evidence_with,
    failed,
    gate,
    good_evaluation,
    make_gains,
    make_interval,
    make_level,
    make_month,
    make_slice,
)


class TestNotApplicable:
    def test_evaluate_gates_without_champion_comparisons_not_applicable(self) -> None:
        none = evidence_with(
            champion=None,
            over_champion=None,
            brier_over_champion=None,
            compared_on="there is no champion",
            compared_rows=0,
        )
        for name in (
            "not worse than the champion",
            "not surely worse than the champion",
            "probabilities not surely worse than the champion",
        ):
            found = gate(none, name)
            assert (found.verdict, found.value, found.detail) == ("not applicable", None, "there is no champion")
        assert failed(none) == []

    def test_evaluate_gates_no_row_that_the_champion_has_not_learned_comparison_not_applicable(self) -> None:
        reason = "no row that version 1 has not learned is in the test, or one outcome only"
        learned = evidence_with(over_champion=None, brier_over_champion=None, compared_on=reason, compared_rows=0)
        assert failed(learned) == []
        for name in MERIT[-3:]:
            found = gate(learned, name)
            assert (found.verdict, found.value, found.detail) == ("not applicable", None, reason)

    @pytest.mark.parametrize(("rows", "expected"), [(499, []), (500, ["not worse than the champion"])])
    def test_evaluate_gates_measured_loss_counts_from_500_rows_on(self, rows: int, expected: list[str]) -> None:
        loss = evidence_with(over_champion=make_interval(-0.011), compared_rows=rows)
        assert failed(loss) == expected
        found = gate(loss, "not worse than the champion")
        assert ("499 rows, fewer than 500, show noise" in found.detail) is (not expected)
        assert (found.value is None) is (not expected)
        assert failed(loss, min_shared_rows=rows) == ["not worse than the champion"]

    def test_evaluate_gates_few_shared_rows_sure_loss_fails(self) -> None:
        few = evidence_with(over_champion=Interval(value=-0.2, low=-0.3, high=-0.1), compared_rows=60)
        assert failed(few) == ["not surely worse than the champion"]

    def test_evaluate_gates_only_family_comparison_with_another_not_applicable(self) -> None:
        only = evidence_with(evaluation=good_evaluation(over_families=None))
        found = gate(only, "not surely worse than another family")
        assert (found.verdict, found.value) == ("not applicable", None)
        assert found.detail == "there is no other family to compare boosting with"

    @pytest.mark.parametrize("slices", [[], [make_slice("new", 199)]])
    def test_evaluate_gates_without_large_slices_not_applicable(self, slices: list[Any]) -> None:
        for name in ("calibration by slice", "no slice far worse"):
            found = gate(evidence_with(evaluation=good_evaluation(slices=slices)), name)
            assert (found.verdict, found.value) == ("not applicable", None)
            assert "no slice has 200 rows" in found.detail

    def test_evaluate_gates_slice_of_one_class_skipped_and_named(self) -> None:
        one = make_slice("one-time").model_copy(update={"behind_simple": None, "best_simple": None})
        found = gate(evidence_with(evaluation=good_evaluation(slices=[make_slice("new"), one])), "no slice far worse")
        assert found.verdict == "passed"
        assert found.detail.endswith("too small to evaluate: tenure_days: one-time")


class TestFirstModel:
    """A first model needs safety and must be the best of what can be served; a served base rate is no model."""

    def test_evaluate_gates_first_model_slice_behind_a_simple_model_passes(self) -> None:
        behind = good_evaluation(slices=[make_slice("new", behind=make_interval(0.2))])
        assert failed(evidence_with(evaluation=behind)) == ["no slice far worse"]
        first = evidence_with(evaluation=behind, **FIRST_MODEL)
        assert failed(first) == []
        found = gate(first, "no slice far worse")
        assert (found.verdict, found.value) == ("not applicable", pytest.approx(0.18))
        assert found.detail.startswith("not required of a first model; tenure_days: new")

    @pytest.mark.parametrize("first", [FIRST_MODEL, {"is_first": True}])  # with the base rate as champion, and without
    def test_evaluate_gates_first_model_surely_worse_than_a_simple_model_passes(self, first: dict[str, Any]) -> None:
        """A simple model that is no family cannot be served instead."""
        sure = Interval(value=-0.03, low=-0.05, high=-0.01)
        worse = good_evaluation(
            over_baselines=make_gains() | {"recency": sure}, log_loss_gains=make_gains() | {"recency": sure}
        )
        merits = ["not surely worse than recency alone", "probabilities not surely worse than the simple models"]
        assert failed(evidence_with(evaluation=worse)) == merits
        assert failed(evidence_with(evaluation=worse, **first)) == []
        for name in merits:
            found = gate(evidence_with(evaluation=worse, **first), name)
            assert (found.verdict, found.value) == ("not applicable", -0.01)
            assert found.detail.startswith("not required of a first model; ")

    def test_evaluate_gates_first_model_surely_worse_than_another_family_fails(self) -> None:
        worse = good_evaluation(over_families=make_interval(-0.03))
        assert failed(evidence_with(evaluation=worse, **FIRST_MODEL)) == ["not surely worse than another family"]
        assert failed(evidence_with(evaluation=worse, **FIRST_MODEL), min_gain_over_families=-0.01) == []

    def test_evaluate_gates_champion_is_base_rate_comparison_with_it_holds(self) -> None:
        loss = evidence_with(is_first=True, over_champion=make_interval(-0.03))
        assert failed(loss) == ["not worse than the champion", "not surely worse than the champion"]

    def test_evaluate_gates_requested_base_rate_needs_no_signal(self) -> None:
        constant = {"signal": make_interval(0.5, 0), "brier_gain": make_interval(0, 0)}
        evaluation = good_evaluation(
            family="base_rate",
            over_families=None,
            folds=None,
            slices=[make_slice("new", mean_score=0.7)],
            over_baselines=dict.fromkeys(BASELINE_LABELS, make_interval(-0.2)),
        )
        found = evaluate_gates(evidence_with(evaluation=evaluation, **constant, **FIRST_MODEL), GateSettings())
        assert [item.name for item in found if item.verdict == "failed"] == []
        exempt = {item.name for item in found if item.detail.startswith("not required of ")}
        assert exempt == {"signal on the test", "signal on the folds", "calibration by slice", *MERIT[:5], MERIT[6]}
        assert {item.verdict for item in found if item.name in exempt} == {"not applicable"}
        searched = evidence_with(
            evaluation=evaluation.model_copy(update={"family": "logistic"}), **constant, **FIRST_MODEL
        )
        assert failed(searched) == ["signal on the test", "calibration by slice"]

    def test_evaluate_gates_requested_base_rate_level_holds(self) -> None:
        off = good_evaluation(
            family="base_rate", level=make_level(0.3), months=[make_month(), make_month(NOON.replace(month=8), 0.7)]
        )
        found = evaluate_gates(evidence_with(evaluation=off, **FIRST_MODEL), GateSettings())
        assert [item.name for item in found if item.verdict == "failed"] == ["level", "calibration by month"]
