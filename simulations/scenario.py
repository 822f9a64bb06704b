"""What every scenario is: days that pass, a fault on some of them, and what has to come of it."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

import pandas as pd

from simulations.environment import Running
from simulations.outcome import Detection, Expectation, Seen
from simulations.workspace import StoreName


class Scenario(ABC):
    """Days of a shop. A scenario says what is ``planted``, and overrides what is different on its days.

    Attributes:
        customers: Of so many customers; 0: of all. 12,000 make about 34 purchases a day; monitoring judges 20 and more.
        service: Variables of the service.
        deployed: Parameters that deployments have here, by their names.
        disk_mb: The tables are on a disk of this size, which can be filled up; 0: where everything is.
    """

    name: ClassVar[str]
    planted: ClassVar[str]
    days: ClassVar[int] = 7
    customers: ClassVar[int] = 12_000
    store: ClassVar[StoreName] = "sqlite"
    asked_a_day: ClassVar[int] = 300
    service: ClassVar[Mapping[str, str]] = {}
    deployed: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    disk_mb: ClassVar[int] = 0

    def __init__(self, days: int, fault: bool) -> None:
        self.of_days, self.fault = days, fault

    def play(self, run: Running) -> None:
        """All days."""
        for _ in range(self.of_days):
            self.day(run)

    def day(self, run: Running) -> None:
        """Callers ask, the day's file comes in, the daily run, monitoring; what the system starts by itself ends."""
        shop = run.shop
        shop.opens()
        shop.callers.ask(self.asked_a_day)
        if self.fault:
            self.during(run)
        rows = shop.days.of(shop.today)
        delivered = self.delivered(run, rows) if self.fault else rows
        if delivered is not None:
            shop.sells(delivered)
        shop.daily()
        found = shop.looks_around()
        if any(item.severity != "info" for item in found):
            shop.settles()
        shop.closes()
        shop.say(_line(run, found))

    def delivered(self, run: Running, rows: pd.DataFrame) -> pd.DataFrame | None:
        """What the upstream system delivers of a day's rows; None: no file."""
        return rows

    def during(self, run: Running) -> None:  # noqa: B027  most days are plain
        """What else happens on the day, after callers have asked."""

    @abstractmethod
    def judge(self, run: Running) -> tuple[list[Detection], list[Expectation]]:
        """What should have been detected, and what should and should not have happened."""


def _line(run: Running, found: list[Seen]) -> str:
    shop = run.shop
    told = ", ".join(sorted({f"{item.event.removeprefix('holdfast.')} {item.subject}" for item in found}))
    wrong = f"{len(shop.checker.lost)} lost, {len(shop.checker.wrong)} wrong"
    day = shop.looks[-1] if shop.looks else shop.today
    return f"{day:%Y-%m-%d}  asked {shop.checker.checked:>5}, {wrong}  {told or 'nothing found'}"
