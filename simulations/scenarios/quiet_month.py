"""Four weeks in which nothing is wrong."""

from simulations.assessment import none_of
from simulations.environment import Running
from simulations.outcome import Detection, Expectation
from simulations.scenario import Scenario
from simulations.scenarios.common_expectations import every_step_went_well


class QuietMonth(Scenario):
    """Real purchases of May 1998 as they happened: there is nothing to find and nothing to do."""

    name = "quiet-month"
    planted = "Nothing: four weeks as they were."
    days = 28

    def judge(self, run: Running) -> tuple[list[Detection], list[Expectation]]:
        """Nothing above info is found, and nobody acts."""
        loud = [
            f"{item.event} {item.subject} {item.as_of:%Y-%m-%d}" for item in run.shop.seen if item.severity != "info"
        ]
        return [], [
            Expectation(expected="no finding above info", found="; ".join(loud) or "none", met=not loud),
            none_of(run, ["retrain", "train", "gates", "rollout", "rollback", "promote", "recover"]),
            every_step_went_well(run),
        ]
