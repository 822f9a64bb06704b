"""Gates of both kinds: good evidence passes them all, each injected failure fails its own gate."""

import math
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from holdfast.feature_store.parity import ParityRecord
from holdfast.model_versions.champion_history import RolloutBreach
from holdfast.model_versions.evidence import Evidence, NotComputedError, Unavailable, compute_or_unavailable, require
from holdfast.model_versions.gate_settings import GateSettings, describe_changed_thresholds
from holdfast.model_versions.records import RollbackRecord, RolloutRecord
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
    "not surely worse than a simpler model",
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
        "within the months 0.515 (0.495 to 0.535) on 4,000 test rows of 1 months",
    ),
    "no signal on the folds": (
        evidence_with(evaluation=good_evaluation(folds=make_folds(gain=0.01))),
        "signal on the folds",
        "log loss saved over the base rate 0.010 (-0.010 to 0.030), ROC-AUC",
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
    "simpler is surely better": (
        evidence_with(evaluation=good_evaluation(simpler=make_interval(-0.03))),
        "not surely worse than a simpler model",
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
        "observed churn 0.190 (0.170 to 0.210); the base rate of the months before is off by 0.050",
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
        "2024-08-01: predicted 22.0%, observed 40.0%",
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
        none = evidence_with(champion=None, over_champion=None, brier_over_champion=None)
        for name in (
            "not worse than the champion",
            "not surely worse than the champion",
            "probabilities not surely worse than the champion",
        ):
            found = gate(none, name)
            assert (found.verdict, found.value) == ("not applicable", None)
        assert failed(none) == []

    def test_evaluate_gates_simplest_family_simpler_model_not_applicable(self) -> None:
        found = gate(evidence_with(evaluation=good_evaluation(simpler=None)), "not surely worse than a simpler model")
        assert found.verdict == "not applicable"

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


class TestFirstChampion:
    FIRST: ClassVar[dict[str, Any]] = {"champion": None, "over_champion": None, "brier_over_champion": None}

    def test_evaluate_gates_first_champion_slice_behind_a_simple_model_passes(self) -> None:
        behind = good_evaluation(slices=[make_slice("new", behind=make_interval(0.2))])
        assert failed(evidence_with(evaluation=behind)) == ["no slice far worse"]
        first = evidence_with(evaluation=behind, **self.FIRST)
        assert failed(first) == []
        found = gate(first, "no slice far worse")
        assert (found.verdict, found.value) == ("not applicable", pytest.approx(0.18))
        assert found.detail.startswith("not required of a first champion; tenure_days: new")

    @pytest.mark.parametrize("name", [name for name in FAILURES if FAILURES[name][1] in SAFETY])
    def test_evaluate_gates_first_champion_safety_holds(self, name: str) -> None:
        evidence, stops, _ = FAILURES[name]
        assert stops in failed(replace(evidence, **self.FIRST))

    def test_evaluate_gates_first_champion_surely_worse_than_a_simple_model_fails(self) -> None:
        worse = good_evaluation(over_baselines=_gains() | {"bg_nbd": Interval(value=-0.03, low=-0.05, high=-0.01)})
        assert failed(evidence_with(evaluation=worse, **self.FIRST)) == ["not surely worse than BG/NBD"]

    def test_evaluate_gates_requested_base_rate_needs_no_signal(self) -> None:
        constant = {"signal": make_interval(0.5, 0), "brier_gain": make_interval(0, 0)}
        evaluation = good_evaluation(
            family="base_rate",
            simpler=None,
            folds=None,
            over_baselines=dict.fromkeys(BASELINE_LABELS, make_interval(-0.2)),
        )
        found = evaluate_gates(evidence_with(evaluation=evaluation, **constant, **self.FIRST), GateSettings())
        assert [item.name for item in found if item.verdict == "failed"] == []
        assert next(item for item in found if item.name == "signal on the test").verdict == "not applicable"
        searched = evidence_with(
            evaluation=evaluation.model_copy(update={"family": "logistic"}), **constant, **self.FIRST
        )
        assert "signal on the test" in failed(searched)


class TestNoise:
    """Limits fail only where the near end of the interval is beyond them."""

    @given(bias=st.floats(-0.5, 0.5), half=st.floats(0, 0.5), rate=st.floats(0.1, 0.9), observed=st.floats(0.1, 0.9))
    def test_evaluate_gates_level_fails_only_if_surely_beyond_the_base_rate(
        self, bias: float, half: float, rate: float, observed: float
    ) -> None:
        evidence = evidence_with(
            evaluation=good_evaluation(level=make_level(bias, half), base_rate=observed), known_rate=rate
        )
        expected = max(0.0, abs(bias) - half) - abs(rate - observed) > 0.1
        assume(abs(max(0.0, abs(bias) - half) - abs(rate - observed) - 0.1) > 1e-9)
        assert (gate(evidence, "level").verdict == "failed") is expected

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
        for value, expected in ((0.531, ["signal on the test"]), (0.535, [])):
            evidence = evidence_with(signal=make_interval(value), evaluation=good_evaluation(folds=None))
            assert failed(evidence) == expected
            assert gate(evidence, "signal on the folds").verdict == "not applicable"

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
        assert "off by up to 0.170" in text

    def test_list_warnings_less_than_a_year_warning(self) -> None:
        level = make_level(0.0).model_copy(update={"history_days": 364})
        (text,) = list_warnings(evidence_with(evaluation=good_evaluation(level=level)))
        assert "364 days of history hold no whole year" in text

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
        assert failed(evidence_with(signal=make_interval(0.75, 0.25))) == ["signal on the test"]
        assert failed(evidence_with(signal=make_interval(0.75, 0.2499))) == []

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
    assert "on the test rows" in gate(PASSING_EVIDENCE, "not surely worse than a simpler model").detail


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
