"""Scenario: four weeks without a fault."""

from typing_extensions import override

from simulations.environment import Environment
from simulations.scenario import Scenario
from simulations.scenario_result import Detection, Expectation


class QuietMonth(Scenario):
    """Scenario without a fault, for four weeks.

    The purchases of May 1998 are unchanged: nothing to detect and nothing to do.
    """

    name = "quiet-month"
    fault = "None: four weeks of unchanged data."
    days = 28
    unexpected_runs = ("retrain", "train", "gates", "rollout", "rollback", "promote", "recover")

    @override
    def evaluate(self, environment: Environment) -> tuple[list[Detection], list[Expectation]]:
        alarming = [
            f"{item.event} {item.subject} {item.as_of:%Y-%m-%d}"
            for item in environment.shop.findings
            if item.severity != "info"
        ]
        return [], [
            Expectation(expected="no finding above info", found="; ".join(alarming) or "none", met=not alarming),
        ]
