"""Scenario: the files of two days arrive late, together with the file of the third day."""

import pandas as pd
from typing_extensions import override

from simulations.daily_data import start_of_day, write_day
from simulations.environment import Environment
from simulations.scenario import Scenario
from simulations.scenario_result import Detection, Expectation, find_detection
from simulations.scenarios.common_expectations import expect_every_row_ingested, expect_no_findings

_MISSING = (1, 2)
_ARRIVAL = 3


class LateFiles(Scenario):
    """Scenario with the files of two days arriving late, together with the file of the next day.

    Features become stale, and the served features differ from those known later.
    """

    name = "late-files"
    fault = "No file on the second and third day; on the fourth day all three arrive."
    days = 6

    @override
    def change_delivery(self, environment: Environment, rows: pd.DataFrame) -> pd.DataFrame | None:
        shop = environment.shop
        if shop.number in _MISSING:
            return None
        if shop.number == _ARRIVAL:
            for number in _MISSING:
                day = start_of_day(number)
                write_day(shop.transactions.on_day(day), shop.landing, f"{day:%Y-%m-%d}")
        return rows

    @override
    def evaluate(self, environment: Environment) -> tuple[list[Detection], list[Expectation]]:
        findings = environment.shop.findings
        first, arrival = start_of_day(_MISSING[0] + 1), start_of_day(_ARRIVAL + 1)
        visible = "the first run after the files have arrived"
        return [
            find_detection(
                "holdfast.data.late", "transactions", "the first run after a morning without a file", first, findings
            ),
            find_detection("holdfast.data.late", "transactions.delay", visible, arrival, findings),
            find_detection("holdfast.skew.detected", "*.late-data", visible, arrival, findings),
        ], [
            expect_every_row_ingested(environment, "afterwards every row is ingested"),
            expect_no_findings(environment, "after", arrival),
            Expectation(
                expected="skew is attributed to late data only",
                found=_skew_causes(environment),
                met=_skew_causes(environment) == "late-data",
            ),
        ]


def _skew_causes(environment: Environment) -> str:
    causes = {
        item.subject.rsplit(".", 1)[-1] for item in environment.shop.findings if item.event == "holdfast.skew.detected"
    }
    return ", ".join(sorted(causes)) or "none"
