"""Gates of both kinds: good evidence passes them all, each injected failure fails its own gate."""

import math
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from scipy.stats import norm

from holdfast.feature_store.parity import ParityRecord
from holdfast.model_versions.champion_history import RolloutBreach
from holdfast.model_versions.evidence import Evidence, NotComputedError, Unavailable, compute_or_unavailable, require
from holdfast.model_versions.gate_settings import GateSettings, describe_changed_thresholds
from holdfast.model_versions.records import RollbackRecord, RolloutRecord
from holdfast.promotion.gate_rules import signal_z
from holdfast.promotion.gates import GateResult, evaluate_gates, list_warnings
from holdfast.training.baselines import BASELINE_LABELS
from holdfast.training.evaluation_report import Interval
from tests.support.gate_evidence import (
    DEFINITIONS,
    NOON,
    PASSING_EVIDENCE,
    evidence_with,
    good_evaluation,
    make_folds,
    make_interval,
    make_level,
    make_month,
    make_slice,
)

SAFETY = [
    "signal on the test",
    "signal on the folds",
    "probabilities not surely worse than the base rate",
    "calibration",
    "level",
    "calibration by month",
    "calibration by slice",
    "stability",
    "behaviour: direction",
    "behaviour: invariance",
    "scores as tested",
    "parity",
    "latency",
    "size",
    "no forbidden input",
    "not rolled back",
    "not refuted in production",
]
MERIT = [
    "not surely worse than recency alone",
    "not surely worse than RFM logistic",
    "not surely worse than BG/NBD",
    "not surely worse than Pareto/NBD",
    "probabilities not surely worse than the simple models",
    "not surely worse than another family",
    "no slice far worse",
    "not worse than the champion",
    "not surely worse than the champion",
    "probabilities not surely worse than the champion",
]


def gate(evidence: Evidence, name: str, **settings: Any) -> GateResult:
    """Return one gate of the list."""
    return next(gate for gate in evaluate_gates(evidence, GateSettings(**settings)) if gate.name == name)


def failed(evidence: Evidence, **settings: Any) -> list[str]:
    """Return the names of the failed gates."""
    return [gate.name for gate in evaluate_gates(evidence, GateSettings(**settings)) if gate.verdict == "failed"]


def test_evaluate_gates_passing_evidence_passes_all_in_order() -> None:
    gates = evaluate_gates(PASSING_EVIDENCE, GateSettings())
    assert [gate.name for gate in gates if gate.kind == "safety"] == SAFETY
    assert [gate.name for gate in gates if gate.kind == "merit"] == MERIT
    assert [gate.name for gate in gates] == [*SAFETY, *MERIT]
    assert {gate.verdict for gate in gates} == {"passed"}
    assert all(gate.value is not None and gate.detail for gate in gates)
    assert len({gate.slug for gate in gates}) == len(gates)
    assert gates[0].slug == "signal_on_the_test"


def _metrics(**changed: Any) -> dict[str, Any]:
    metrics = good_evaluation().metrics
    return metrics | {"model": metrics["model"] | changed}


def _parity(**changed: Any) -> ParityRecord:
    assert isinstance(PASSING_EVIDENCE.parity, ParityRecord)
    return PASSING_EVIDENCE.parity.model_copy(update=changed)


def _gains() -> dict[str, Interval]:
    return dict.fromkeys(BASELINE_LABELS, make_interval(0.05))


ROLLBACK = RollbackRecord(to="1", when=NOON, who="ann", why="complaints")
REFUTED = RolloutRecord(
    step="canary", share=0.05, begun=NOON, when=NOON, verdict="breached", champion="1", gates="k", why="too slow"
)
FAILURES: dict[str, tuple[Evidence, str, str]] = {
    "no signal on the test": (
        evidence_with(signal=make_interval(0.515)),
        "signal on the test",
        "within the months 0.515 (0.495 to 0.535) on 4,000 test rows of 1 months; lower bound 0.491 "
        "with an error of 1.00%",
    ),
    "no signal on the folds": (
        evidence_with(evaluation=good_evaluation(folds=make_folds(gain=0.01))),
        "signal on the folds",
        "log loss saved over the base rate 0.010 (-0.010 to 0.030), ROC-AUC 0.750 (0.730 to 0.770), "
        "4,000 rows of 4 months; lower bound -0.0137 with an error of 1%",
    ),
    **{
        name: (
            evidence_with(
                evaluation=good_evaluation(
                    over_baselines=_gains() | {name: Interval(value=-0.03, low=-0.05, high=-0.01)}
                )
            ),
            f"not surely worse than {title}",
            "-0.030 (-0.050 to -0.010)",
        )
        for name, title in BASELINE_LABELS.items()
        if name != "base_rate"
    },
    "probabilities surely worse than a simple model": (
        evidence_with(
            evaluation=good_evaluation(log_loss_gains=_gains() | {"bg_nbd": Interval(value=-0.1, low=-0.2, high=-0.05)})
        ),
        "probabilities not surely worse than the simple models",
        "log loss saved over BG/NBD -0.100 (-0.200 to -0.050)",
    ),
    "brier": (
        evidence_with(brier_gain=make_interval(-0.03)),
        "probabilities not surely worse than the base rate",
        "(-0.050 to -0.010)",
    ),
    "base rate without the level": (
        evidence_with(
            evaluation=good_evaluation(level=make_level(0.0, days=200)), level_free_brier_gain=make_interval(-0.03)
        ),
        "probabilities not surely worse than the base rate",
        "(-0.050 to -0.010); level unknown, so each month after its best single offset",
    ),
    "another family is surely better": (
        evidence_with(evaluation=good_evaluation(over_families=make_interval(-0.03))),
        "not surely worse than another family",
        "(-0.050 to -0.010)",
    ),
    "worse than the champion": (
        evidence_with(over_champion=make_interval(-0.011)),
        "not worse than the champion",
        "from version 1 on the same test rows",
    ),
    "calibration": (
        evidence_with(evaluation=good_evaluation(metrics=_metrics(ece=make_interval(0.14)))),
        "calibration",
        "0.140, surely 0.120, 0.010 of it by the level",
    ),
    "level": (
        evidence_with(evaluation=good_evaluation(level=make_level(0.19))),
        "level",
        "observed churn 0.190 (0.170 to 0.210); churn of a month is 0.050 from that before on average",
    ),
    "a slice": (
        evidence_with(
            evaluation=good_evaluation(slices=[make_slice("new"), make_slice("one-time", 250, make_interval(0.08))])
        ),
        "no slice far worse",
        "tenure_days: one-time: bg_nbd ahead in ROC-AUC by 0.080 (0.060 to 0.100)",
    ),
    "one of two slices of the same label": (
        evidence_with(
            evaluation=good_evaluation(
                slices=[make_slice("up to 5", 250, make_interval(0.08)), make_slice("up to 5", feature="purchase_days")]
            )
        ),
        "no slice far worse",
        "tenure_days: up to 5: bg_nbd ahead in ROC-AUC by 0.080",
    ),
    "surely worse within the margin": (
        evidence_with(over_champion=Interval(value=-0.006, low=-0.009, high=-0.003)),
        "not surely worse than the champion",
        "-0.006 (-0.009 to -0.003) from version 1 on the same test rows",
    ),
    "probabilities surely worse": (
        evidence_with(brier_over_champion=Interval(value=-0.006, low=-0.009, high=-0.003)),
        "probabilities not surely worse than the champion",
        "difference in Brier score -0.006 (-0.009 to -0.003) from version 1",
    ),
    "a month is far off": (
        evidence_with(evaluation=good_evaluation(months=[make_month(), make_month(NOON.replace(month=8), 0.22)])),
        "calibration by month",
        "2024-08-01: predicted 22.0%, observed 40.0%, difference -0.180 (-0.200 to -0.160); churn moved by up to 0.050",
    ),
    "a slice is far off": (
        evidence_with(
            evaluation=good_evaluation(
                slices=[make_slice("new", mean_score=0.54), make_slice("tiny", 199, mean_score=0.9)]
            )
        ),
        "calibration by slice",
        "tenure_days: new: predicted 54.0%, observed 40.0%",
    ),
    "unstable": (
        evidence_with(evaluation=good_evaluation(instability=make_interval(0.08))),
        "stability",
        "resampled customers",
    ),
    "direction": (evidence_with(wrong_direction=0.02), "behaviour: direction", "falls as their silence"),
    "invariance": (evidence_with(variance=1e-8), "behaviour: invariance", "in another order"),
    "reads the id": (
        evidence_with(inputs=["customer_id", "purchase_days"]),
        "behaviour: invariance",
        "customer_id is an input",
    ),
    "another model was registered": (evidence_with(as_tested=0.1), "scores as tested", "registered model"),
    "parity": (evidence_with(parity=_parity(mismatches=1)), "parity", "5,400 values compared"),
    "parity of other definitions": (
        evidence_with(parity=_parity(definitions=DEFINITIONS | {"on_demand": "x"})),
        "parity",
        "(on_demand differ)",
    ),
    "slow": (evidence_with(latency_ms=20.1), "latency", "ms"),
    "large": (evidence_with(size_mb=20.1), "size", "MB"),
    **{
        name: (evidence_with(inputs=["purchase_days", name]), "no forbidden input", name)
        for name in ("age", "age_at_signup", "Gender", "zip_code", "year_of_birth")
    },
    "refuted in production": (
        evidence_with(breach=RolloutBreach(REFUTED, is_in_force=True)),
        "not refuted in production",
        "canary of 5.0% on 2024-07-01: too slow",
    ),
    "rolled back": (evidence_with(rollback=ROLLBACK), "not rolled back", "by ann on 2024-07-01: complaints"),
}


@pytest.mark.parametrize("name", FAILURES)
def test_evaluate_gates_injected_failure_fails_its_gate(name: str) -> None:
    evidence, stops, detail = FAILURES[name]
    expected = [stops] if name != "reads the id" else ["behaviour: invariance", "no forbidden input"]
    assert failed(evidence) == expected
    assert detail in gate(evidence, stops).detail


MISSING = Unavailable("the file is removed")
UNAVAILABLE: dict[str, tuple[Evidence, list[str]]] = {
    "evaluation": (
        evidence_with(evaluation=MISSING),
        [
            "signal on the test",
            "signal on the folds",
            "probabilities not surely worse than the base rate",
            "calibration",
            "level",
            "calibration by month",
            "calibration by slice",
            "stability",
            *MERIT[:7],
        ],
    ),
    "signal": (evidence_with(signal=MISSING), ["signal on the test"]),
    "known_rate": (evidence_with(known_rate=MISSING), ["level", "calibration by month"]),
    "brier_gain": (evidence_with(brier_gain=MISSING), ["probabilities not surely worse than the base rate"]),
    "level_free_brier_gain": (
        evidence_with(level_free_brier_gain=MISSING, evaluation=good_evaluation(level=make_level(0.0, days=200))),
        ["probabilities not surely worse than the base rate"],
    ),
    "over_champion": (
        evidence_with(over_champion=MISSING),
        ["not worse than the champion", "not surely worse than the champion"],
    ),
    "brier_over_champion": (
        evidence_with(brier_over_champion=MISSING),
        ["probabilities not surely worse than the champion"],
    ),
    "wrong_direction": (evidence_with(wrong_direction=MISSING), ["behaviour: direction"]),
    "variance": (evidence_with(variance=MISSING), ["behaviour: invariance"]),
    "as_tested": (evidence_with(as_tested=MISSING), ["scores as tested"]),
    "parity": (evidence_with(parity=MISSING), ["parity"]),
    "definitions": (evidence_with(definitions=MISSING), ["parity"]),
    "latency": (evidence_with(latency_ms=MISSING), ["latency"]),
    "size": (evidence_with(size_mb=MISSING), ["size"]),
    "inputs": (evidence_with(inputs=MISSING), ["behaviour: invariance", "no forbidden input"]),
}


@pytest.mark.parametrize("name", UNAVAILABLE)
def test_evaluate_gates_unavailable_evidence_fails_with_reason(name: str) -> None:
    evidence, expected = UNAVAILABLE[name]
    assert failed(evidence) == expected
    for stopped in expected:
        found = gate(evidence, stopped)
        assert found.value is None
        assert found.detail == "could not be computed: the file is removed"


@pytest.mark.parametrize(
    ("evaluation", "stops", "why"),
    [
        (good_evaluation(metrics={}), "calibration", "the evaluation has no model"),
        (
            good_evaluation(over_baselines={"recency": make_interval(0.1)}),
            "not surely worse than BG/NBD",
            "the evaluation has no bg_nbd",
        ),
        (
            good_evaluation(log_loss_gains={}),
            "probabilities not surely worse than the simple models",
            "the evaluation has no base_rate",
        ),
        (good_evaluation(level=None), "level", "the evaluation has no level; train again"),
        (good_evaluation(months=[]), "calibration by month", "the evaluation has no months"),
        (
            good_evaluation(months=[make_month(), make_month().model_copy(update={"bias": make_interval(math.nan)})]),
            "calibration by month",
            "no interval of predicted minus observed churn of 2024-07-01",
        ),
        (
            good_evaluation(slices=[make_slice("new"), make_slice("old", behind=make_interval(math.nan))]),
            "no slice far worse",
            "no interval of the ROC-AUC of tenure_days: old",
        ),
        (
            good_evaluation(metrics=_metrics(ece=make_interval(math.nan))),
            "calibration",
            "has no interval",
        ),
    ],
)
def test_evaluate_gates_incomplete_evaluation_fails_its_gate(evaluation: Any, stops: str, why: str) -> None:
    found = gate(evidence_with(evaluation=evaluation), stops)
    assert (found.verdict, found.value) == ("failed", None)
    assert why in found.detail


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

    FIRST: ClassVar[dict[str, Any]] = {
        "champion": None, "is_first": True, "over_champion": None, "brier_over_champion": None, "compared_rows": 0
    }  # fmt: skip

    def test_evaluate_gates_first_model_slice_behind_a_simple_model_passes(self) -> None:
        behind = good_evaluation(slices=[make_slice("new", behind=make_interval(0.2))])
        assert failed(evidence_with(evaluation=behind)) == ["no slice far worse"]
        first = evidence_with(evaluation=behind, **self.FIRST)
        assert failed(first) == []
        found = gate(first, "no slice far worse")
        assert (found.verdict, found.value) == ("not applicable", pytest.approx(0.18))
        assert found.detail.startswith("not required of a first model; tenure_days: new")

    @pytest.mark.parametrize("name", [name for name in FAILURES if FAILURES[name][1] in SAFETY])
    def test_evaluate_gates_first_model_safety_holds(self, name: str) -> None:
        evidence, stops, _ = FAILURES[name]
        assert stops in failed(replace(evidence, **self.FIRST))

    @pytest.mark.parametrize("first", [FIRST, {"is_first": True}])  # with the base rate as champion, and without
    def test_evaluate_gates_first_model_surely_worse_than_a_simple_model_passes(self, first: dict[str, Any]) -> None:
        """A simple model that is no family cannot be served instead."""
        sure = Interval(value=-0.03, low=-0.05, high=-0.01)
        worse = good_evaluation(
            over_baselines=_gains() | {"recency": sure}, log_loss_gains=_gains() | {"recency": sure}
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
        assert failed(evidence_with(evaluation=worse, **self.FIRST)) == ["not surely worse than another family"]
        assert failed(evidence_with(evaluation=worse, **self.FIRST), min_gain_over_families=-0.01) == []

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
        found = evaluate_gates(evidence_with(evaluation=evaluation, **constant, **self.FIRST), GateSettings())
        assert [item.name for item in found if item.verdict == "failed"] == []
        exempt = {item.name for item in found if item.detail.startswith("not required of ")}
        assert exempt == {"signal on the test", "signal on the folds", "calibration by slice", *MERIT[:5], MERIT[6]}
        assert {item.verdict for item in found if item.name in exempt} == {"not applicable"}
        searched = evidence_with(
            evaluation=evaluation.model_copy(update={"family": "logistic"}), **constant, **self.FIRST
        )
        assert failed(searched) == ["signal on the test", "calibration by slice"]

    def test_evaluate_gates_requested_base_rate_level_holds(self) -> None:
        off = good_evaluation(
            family="base_rate", level=make_level(0.3), months=[make_month(), make_month(NOON.replace(month=8), 0.7)]
        )
        found = evaluate_gates(evidence_with(evaluation=off, **self.FIRST), GateSettings())
        assert [item.name for item in found if item.verdict == "failed"] == ["level", "calibration by month"]


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
            evidence_with(evaluation=good_evaluation(metrics=_metrics(ece=ece), level=make_level(bias))), "calibration"
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
        assert "364 days of history hold no whole year" in text
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
        exactly = good_evaluation(metrics=_metrics(ece=make_interval(0.125, 0)), level=make_level(0))
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


def test_evaluate_gates_passing_evidence_detail_states_measurement() -> None:
    detail = gate(PASSING_EVIDENCE, "stability").detail
    assert "by 0.015 to 0.025 in the few refits" in detail
    assert "(" not in detail, "six refits make no 95% interval"
    assert "by the model alone" in gate(PASSING_EVIDENCE, "latency").detail
    assert "on the test rows" in gate(PASSING_EVIDENCE, "not surely worse than another family").detail


def test_describe_changed_thresholds_changed_settings_names_them() -> None:
    assert GateSettings().non_defaults() == {}
    assert describe_changed_thresholds({}) == ""
    text = describe_changed_thresholds(GateSettings(max_size_mb=30, max_rollbacks=1).non_defaults())
    assert text == "Thresholds other than the defaults: max_size_mb 30.0, max_rollbacks 1."


class TestEvidence:
    def test_compute_or_unavailable_raising_function_unavailable_with_reason(self) -> None:
        def fails() -> float:
            raise ZeroDivisionError("no rows\nmore")

        assert compute_or_unavailable(fails) == Unavailable("ZeroDivisionError: no rows")
        with pytest.raises(NotComputedError, match="no rows"):
            require(compute_or_unavailable(fails))
        assert require(compute_or_unavailable(lambda: 1)) == 1
