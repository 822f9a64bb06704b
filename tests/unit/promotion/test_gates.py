"""Gates: good evidence passes them all, each injected failure fails its own gate."""

import math
from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.feature_store.parity import ParityRecord
from holdfast.model_versions.champion_history import RolloutBreach
from holdfast.model_versions.evidence import Evidence, NotComputedError, Unavailable, compute_or_unavailable, require
from holdfast.model_versions.gate_settings import GateSettings, describe_changed_thresholds
from holdfast.model_versions.records import RollbackRecord, RolloutRecord
from holdfast.promotion.gates import GateResult, evaluate_gates
from holdfast.training.baselines import BASELINE_LABELS
from holdfast.training.evaluation_report import Interval
from tests.support.gate_evidence import (
    DEFINITIONS,
    NOON,
    PASSING_EVIDENCE,
    evidence_with,
    good_evaluation,
    make_interval,
    make_month,
    make_slice,
)

GATES_IN_ORDER = [
    "minimum quality",
    "better than base rate",
    "better than recency alone",
    "better than RFM logistic",
    "better than BG/NBD",
    "probabilities better than the base rate",
    "better than a simpler model",
    "not worse than the champion",
    "not surely worse than the champion",
    "probabilities not surely worse than the champion",
    "calibration",
    "calibration by month",
    "calibration by slice",
    "no slice far worse",
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


def gate(evidence: Evidence, name: str, **settings: Any) -> GateResult:
    """Return one gate of the list."""
    return next(gate for gate in evaluate_gates(evidence, GateSettings(**settings)) if gate.name == name)


def failed(evidence: Evidence, **settings: Any) -> list[str]:
    """Return the names of the failed gates."""
    return [gate.name for gate in evaluate_gates(evidence, GateSettings(**settings)) if gate.verdict == "failed"]


def test_evaluate_gates_passing_evidence_passes_all_in_order() -> None:
    gates = evaluate_gates(PASSING_EVIDENCE, GateSettings())
    assert [gate.name for gate in gates] == GATES_IN_ORDER
    assert {gate.verdict for gate in gates} == {"passed"}
    assert all(gate.value is not None and gate.detail for gate in gates)
    assert len({gate.slug for gate in gates}) == len(gates)
    assert gates[0].slug == "minimum_quality"


def _metrics(**changed: Any) -> dict[str, Any]:
    metrics = good_evaluation().metrics
    return metrics | {"model": metrics["model"] | changed}


def _parity(**changed: Any) -> ParityRecord:
    assert isinstance(PASSING_EVIDENCE.parity, ParityRecord)
    return PASSING_EVIDENCE.parity.model_copy(update=changed)


ROLLBACK = RollbackRecord(to="1", when=NOON, who="ann", why="complaints")
REFUTED = RolloutRecord(
    step="canary", share=0.05, begun=NOON, when=NOON, verdict="breached", champion="1", gates="k", why="too slow"
)
FAILURES: dict[str, tuple[Evidence, str, str]] = {
    "quality": (
        evidence_with(evaluation=good_evaluation(metrics=_metrics(roc_auc=make_interval(0.615)))),
        "minimum quality",
        "0.595 to",
    ),
    **{
        name: (
            evidence_with(
                evaluation=good_evaluation(
                    over_baselines=PASSING_EVIDENCE.evaluation.over_baselines | {name: make_interval(0.01)}
                )
            ),  # type: ignore[union-attr]
            f"better than {title}",
            "(-0.010 to 0.030)",
        )
        for name, title in BASELINE_LABELS.items()
    },
    "no better than a baseline": (
        evidence_with(
            evaluation=good_evaluation(
                over_baselines=dict.fromkeys(BASELINE_LABELS, make_interval(0.1)) | {"rfm": make_interval(0, 0)}
            )
        ),
        "better than RFM logistic",
        "0.000 (0.000 to 0.000)",
    ),
    "brier": (
        evidence_with(brier_gain=make_interval(0.01)),
        "probabilities better than the base rate",
        "(-0.010 to 0.030)",
    ),
    "simpler is as good": (
        evidence_with(evaluation=good_evaluation(simpler=make_interval(0.02))),
        "better than a simpler model",
        "(0.000 to 0.040)",
    ),
    "worse than the champion": (
        evidence_with(over_champion=make_interval(0.009)),
        "not worse than the champion",
        "from version 1 on the same test rows",
    ),
    "calibration": (
        evidence_with(evaluation=good_evaluation(metrics=_metrics(ece=make_interval(0.11)))),
        "calibration",
        "0.110",
    ),
    "a slice": (
        evidence_with(
            evaluation=good_evaluation(slices=[make_slice("new"), make_slice("one-time", 250, make_interval(0.23))])
        ),
        "no slice far worse",
        "tenure_days: one-time: ROC-AUC 0.230 (0.210 to 0.250) below",
    ),
    "one of two slices of the same label": (
        evidence_with(
            evaluation=good_evaluation(
                slices=[make_slice("up to 5", 250, make_interval(0.23)), make_slice("up to 5", feature="purchase_days")]
            )
        ),
        "no slice far worse",
        "tenure_days: up to 5: ROC-AUC 0.230",
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
        evidence_with(evaluation=good_evaluation(months=[make_month(), make_month(NOON.replace(month=8), 0.29)])),
        "calibration by month",
        "2024-08-01: predicted 29.0%, observed 40.0%",
    ),
    "a slice is far off": (
        evidence_with(
            evaluation=good_evaluation(
                slices=[make_slice("new", mean_score=0.51), make_slice("tiny", 199, mean_score=0.9)]
            )
        ),
        "calibration by slice",
        "tenure_days: new: predicted 51.0%, observed 40.0%",
    ),
    "unstable": (
        evidence_with(evaluation=good_evaluation(instability=make_interval(0.04))),
        "stability",
        "resampled customers",
    ),
    "direction": (evidence_with(wrong_direction=0.02), "behaviour: direction", "falls as their silence grows"),
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
            "minimum quality",
            "better than base rate",
            "better than recency alone",
            "better than RFM logistic",
            "better than BG/NBD",
            "better than a simpler model",
            "calibration",
            "calibration by month",
            "calibration by slice",
            "no slice far worse",
            "stability",
        ],
    ),
    "brier_gain": (evidence_with(brier_gain=MISSING), ["probabilities better than the base rate"]),
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
        (good_evaluation(metrics={}), "minimum quality", "the evaluation has no model"),
        (
            good_evaluation(over_baselines={"recency": make_interval(0.1)}),
            "better than BG/NBD",
            "the evaluation has no bg_nbd",
        ),
        (
            good_evaluation(metrics={"model": {"ece": make_interval(0.01)}}),
            "minimum quality",
            "the evaluation has no roc_auc",
        ),
        (good_evaluation(slices=[]), "no slice far worse", "no slice has 200 rows"),
        (good_evaluation(slices=[]), "calibration by slice", "no slice has 200 rows"),
        (good_evaluation(months=[]), "calibration by month", "the evaluation has no months"),
        (
            good_evaluation(months=[make_month(), make_month(mean_score=math.nan)]),
            "calibration by month",
            "no mean prediction",
        ),
        (good_evaluation(slices=[make_slice("new", 199)]), "no slice far worse", "no slice has 200 rows"),
        (
            good_evaluation(slices=[make_slice("new"), make_slice("one-time").model_copy(update={"gap": None})]),
            "no slice far worse",
            "no ROC-AUC of tenure_days: one-time",
        ),
        (
            good_evaluation(metrics=_metrics(roc_auc=make_interval(math.nan))),
            "minimum quality",
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
        found = gate(evidence_with(evaluation=good_evaluation(simpler=None)), "better than a simpler model")
        assert found.verdict == "not applicable"


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
        exactly = good_evaluation(metrics=_metrics(roc_auc=make_interval(0.75, 0.25), ece=make_interval(0.125, 0)))
        limits = {"min_roc_auc": 0.5, "max_calibration_error": 0.125, "max_latency_ms": 0.5, "max_size_mb": 0.1}
        assert failed(evidence_with(evaluation=exactly), **limits) == []
        for name, value in limits.items():
            towards = 1 if name.startswith("min") else 0
            assert (
                len(failed(evidence_with(evaluation=exactly), **limits | {name: math.nextafter(value, towards)})) == 1
            )

    def test_evaluate_gates_zero_gain_over_base_rate_fails(self) -> None:
        assert failed(evidence_with(brier_gain=make_interval(0.25, 0.25))) == [
            "probabilities better than the base rate"
        ]
        assert failed(evidence_with(brier_gain=make_interval(0.25, 0.2499))) == []

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
    assert "at most 0.025 in the few refits" in detail
    assert "(" not in detail, "six refits make no 95% interval"
    assert "by the model alone" in gate(PASSING_EVIDENCE, "latency").detail
    assert "on the test rows" in gate(PASSING_EVIDENCE, "better than a simpler model").detail


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
