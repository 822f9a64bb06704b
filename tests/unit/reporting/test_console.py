"""Console output of a reproduction."""

import io

from rich.console import Console

from holdfast.lineage.differences import ReproductionDifference
from holdfast.lineage.reproduction import Reproduction
from holdfast.reporting.console import format_reproduction


def _render(text: str) -> str:
    output = io.StringIO()
    Console(file=output, width=600, highlight=False).print(text)
    return output.getvalue()


class TestFormatReproduction:
    def test_identical_is_one_line(self) -> None:
        printed = _render(format_reproduction(Reproduction("3", True, 4000, []), 12.3))
        assert printed.startswith("✓ holdfast-churn version 3 reproduced in 12 s: all 4,000 test predictions")
        assert len(printed.splitlines()) == 1

    def test_identical_lists_differences_without_advice(self) -> None:
        difference = ReproductionDifference("code", "Python 3.11, here 3.12", "Check out abc.")
        printed = _render(format_reproduction(Reproduction("3", True, 4000, [difference], ["late"]), 12.3))
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
        lines = _render(format_reproduction(Reproduction("3", False, 4000, found), 1.0)).splitlines()
        assert lines[0] == "✗ holdfast-churn version 3 was not reproduced. Differences, first cause first:"
        assert [line.split()[0] for line in lines[1:4]] == ["definitions", "code", "inputs"]
        assert "[a]" in lines[3]
        assert lines[4:] == ["  Check out abc."]
