"""Console output of the gates and of a reproduction."""

import io

import pytest
from rich.console import Console

from holdfast.lineage.differences import ReproductionDifference
from holdfast.lineage.reproduction import Reproduction
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.promotion.gates import evaluate_gates
from holdfast.reporting.console import format_reproduction, print_gates
from holdfast.reporting.flow_results import GatesResult
from tests.support.gate_evidence import evidence_with


def _render(text: str) -> str:
    output = io.StringIO()
    Console(file=output, width=600, highlight=False).print(text)
    return output.getvalue()


def test_print_gates_failed_gate_has_row_and_verdict(capsys: pytest.CaptureFixture[str]) -> None:
    gates = evaluate_gates(evidence_with(size_mb=20.1), GateSettings())
    print_gates(GatesResult("3", "1", passed=False, challenger=False, computed=True, gates=gates))
    header, *rows, _, verdict = capsys.readouterr().out.splitlines()
    assert header.split() == ["gate", "kind", "value", "required", "verdict", "measurement"]
    assert verdict == "Version 3 failed size."
    assert any(row.split()[:7] == ["size", "safety", "20.1", "at", "most", "20", "failed"] for row in rows)


def test_print_gates_unrecorded_verdict_has_the_reason(capsys: pytest.CaptureFixture[str]) -> None:
    print_gates(GatesResult("3", "1", True, True, True, [], unrecorded="Dry run: nothing was recorded."))
    printed = " ".join(capsys.readouterr().out.split())
    assert printed.endswith("--version 3` Dry run: nothing was recorded.")


class TestFormatReproduction:
    def test_identical_is_one_line(self) -> None:
        printed = _render(format_reproduction(Reproduction("3", True, 4000, []), "holdfast-churn", 12.3))
        assert printed.startswith("✓ holdfast-churn version 3 reproduced in 12 s: all 4,000 test predictions")
        assert len(printed.splitlines()) == 1

    def test_identical_lists_differences_without_advice(self) -> None:
        difference = ReproductionDifference("code", "Python 3.11, here 3.12", "Check out abc.")
        printed = _render(
            format_reproduction(Reproduction("3", True, 4000, [difference], ["late"]), "holdfast-churn", 12.3)
        )
        assert "These differ without an effect:" in printed
        assert "code                Python 3.11, here 3.12" in printed
        assert "Check out" not in printed
        assert "not used: late, on disk but not part of the lineage" in printed

    def test_different_lists_causes_and_each_advice_once(self) -> None:
        found = [
            ReproductionDifference("definitions", "labels differ", "Check out abc."),
            ReproductionDifference("code", "lock 1, here 2", "Check out abc."),
            ReproductionDifference("inputs", "total_amount [a] differs"),
        ]
        lines = _render(format_reproduction(Reproduction("3", False, 4000, found), "holdfast-churn", 1.0)).splitlines()
        assert lines[0] == "✗ holdfast-churn version 3 was not reproduced. Differences, first cause first:"
        assert [line.split()[0] for line in lines[1:4]] == ["definitions", "code", "inputs"]
        assert "[a]" in lines[3]
        assert lines[4:] == ["  Check out abc."]
