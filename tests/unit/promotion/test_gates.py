"""Gates of both kinds: good evidence passes them all, each injected failure fails its own gate."""

import math
from dataclasses import replace
from typing import Any

import pytest

from holdfast.feature_store.parity import ParityRecord
from holdfast.model_versions.champion_history import RolloutBreach
from holdfast.model_versions.evidence import Evidence, NotComputedError, Unavailable, compute_or_unavailable, require
from holdfast.model_versions.gate_settings import GateSettings, describe_changed_thresholds
from holdfast.promotion.gates import evaluate_gates
from holdfast.training.baselines import BASELINE_LABELS
from holdfast.training.evaluation_report import Interval
from tests.support.gate_evidence import (
    DEFINITIONS,
    FIRST_MODEL,
    MERIT,
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
    make_gains,
    make_interval,
    make_level,
    make_metrics,
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


def test_evaluate_gates_passing_evidence_passes_all_in_order() -> None:
    gates = evaluate_gates(PASSING_EVIDENCE, GateSettings())
    assert [gate.name for gate in gates if gate.kind == "safety"] == SAFETY
    assert [gate.name for gate in gates if gate.kind == "merit"] == MERIT
    assert [gate.name for gate in gates] == [*SAFETY, *MERIT]
    assert {gate.verdict for gate in gates} == {"passed"}
    assert all(gate.value is not None and gate.detail for gate in gates)
    assert len({gate.slug for gate in gates}) == len(gates)
    assert gates[0].slug == "signal_on_the_test"


def _parity(**changed: Any) -> ParityRecord:
    assert isinstance(PASSING_EVIDENCE.parity, ParityRecord)
    return PASSING_EVIDENCE.parity.model_copy(update=changed)


FAILURES: dict[str, tuple[Evidence, str, str]] = {
    "no signal on the test": (
        evidence_with(signal=make_interval(0.515)),
        "signal on the test",
        "within the months 0.515 (0.495 to 0.535) on 4,000 test rows of 1 month; lower bound 0.491 with an error of "
        "1.00%",
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
                    over_baselines=make_gains() | {name: Interval(value=-0.03, low=-0.05, high=-0.01)}
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
            evaluation=good_evaluation(
                log_loss_gains=make_gains() | {"bg_nbd": Interval(value=-0.1, low=-0.2, high=-0.05)}
            )
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
        evidence_with(evaluation=good_evaluation(metrics=make_metrics(ece=make_interval(0.14)))),
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
            good_evaluation(metrics=make_metrics(ece=make_interval(math.nan))),
            "calibration",
            "has no interval",
        ),
    ],
)
def test_evaluate_gates_incomplete_evaluation_fails_its_gate(evaluation: Any, stops: str, why: str) -> None:
    found = gate(evidence_with(evaluation=evaluation), stops)
    assert (found.verdict, found.value) == ("failed", None)
    assert why in found.detail


def test_evaluate_gates_passing_evidence_detail_states_measurement() -> None:
    detail = gate(PASSING_EVIDENCE, "stability").detail
    assert "by 0.015 to 0.025 in six refits" in detail
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


@pytest.mark.parametrize("name", [name for name in FAILURES if FAILURES[name][1] in SAFETY])
def test_evaluate_gates_first_model_safety_holds(name: str) -> None:
    evidence, stops, _ = FAILURES[name]
    assert stops in failed(replace(evidence, **FIRST_MODEL))
