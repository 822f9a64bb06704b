"""Base class of scenarios: days of a shop, a fault on some of them, and the expected reactions."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import pandas as pd

from simulations.environment import Environment
from simulations.scenario_result import Detection, Expectation, ObservedFinding
from simulations.workspace import StoreName

FAULT_DAY = 1


class Scenario(ABC):
    """Days of a shop with a fault.

    Args:
        days: Number of days to run.
        with_fault: Whether the fault is injected.
        predictions: Predictions that the clients request at least, in scenarios with two versions of the features.

    Attributes:
        name: Name on the command line.
        fault: Description of the fault.
        days: Default number of days.
        customers: Default number of customers; 0: all. 12,000 customers make about 34 purchases a day; monitoring
            tests prices from 20 purchases on.
        service_variables: Environment variables of the service.
        deployment_parameters: Name of a deployment to its changed default parameters.
        disk_mb: Size of the disk for the tables; 0: no limit.
        unexpected_runs: Deployments that must not run.
    """

    name: ClassVar[str]
    fault: ClassVar[str]
    days: ClassVar[int] = 7
    customers: ClassVar[int] = 12_000
    store: ClassVar[StoreName] = "sqlite"
    requests_per_day: ClassVar[int] = 300
    service_variables: ClassVar[Mapping[str, str]] = {}
    deployment_parameters: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    disk_mb: ClassVar[int] = 0
    unexpected_runs: ClassVar[tuple[str, ...]] = ("retrain", "rollout", "rollback")

    def __init__(self, days: int, with_fault: bool, predictions: int = 0) -> None:
        self._days, self._with_fault, self._predictions = days, with_fault, predictions

    def run(self, environment: Environment) -> None:
        """Run all days.

        Args:
            environment: Environment of the simulation.
        """
        for _ in range(self._days):
            self._run_day(environment)

    def change_delivery(self, environment: Environment, rows: pd.DataFrame) -> pd.DataFrame | None:
        """Change the file of the day.

        Args:
            environment: Environment of the simulation.
            rows: Transactions of the day.

        Returns:
            Rows of the file; None: no file.
        """
        return rows

    def inject_fault(self, environment: Environment) -> None:  # noqa: B027  optional
        """Inject the fault on ``FAULT_DAY``, after the first requests of the clients.

        Args:
            environment: Environment of the simulation.
        """

    @abstractmethod
    def evaluate(self, environment: Environment) -> tuple[list[Detection], list[Expectation]]:
        """Compare the reactions of the system with the expected ones.

        Args:
            environment: Environment of the simulation.

        Returns:
            Detections of the fault, and the expectations that only this scenario has.
        """

    def _run_day(self, environment: Environment) -> None:
        shop = environment.shop
        shop.start_day()
        shop.clients.request_predictions(self.requests_per_day)
        if self._with_fault and shop.number == FAULT_DAY:
            self.inject_fault(environment)
        rows = shop.transactions.on_day(shop.today)
        delivered = self.change_delivery(environment, rows) if self._with_fault else rows
        if delivered is not None:
            shop.deliver(delivered)
        shop.run_daily()
        findings = shop.run_monitoring()
        if any(item.severity != "info" for item in findings):
            shop.wait_until_idle()
        shop.end_day()
        shop.report(_day_summary(environment, findings))


def _day_summary(environment: Environment, findings: list[ObservedFinding]) -> str:
    shop = environment.shop
    names = ", ".join(sorted({f"{item.event.removeprefix('holdfast.')} {item.subject}" for item in findings}))
    problems = f"{len(shop.checker.lost)} lost, {len(shop.checker.wrong)} wrong"
    day = shop.monitoring_times[-1] if shop.monitoring_times else shop.today
    return f"{day:%Y-%m-%d}  requests {shop.checker.checked:>5}, {problems}  {names or 'no findings'}"
