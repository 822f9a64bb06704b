"""Scenario: the files of two days arrive late, together with the file of the third day."""

import pandas as pd
from typing_extensions import override

from holdfast.ingestion.batches import list_batches
from simulations.assessment import expect_no_runs
from simulations.daily_data import START, day_after, write_day
from simulations.environment import Environment
from simulations.outcome import Detection, Expectation, find_detection
from simulations.scenario import Scenario
from simulations.scenarios.common_expectations import expect_no_failed_steps, expect_no_findings_after

_MISSING = (1, 2)
_ARRIVAL = 3


class LateFiles(Scenario):
    """Features become stale, and the served features differ from those known later."""

    name = "late-files"
    fault = "No file on the second and third day; on the fourth day all three arrive."
    days = 6

    @override
    def change_delivery(self, environment: Environment, rows: pd.DataFrame) -> pd.DataFrame | None:
        """Change the file of the day; an override of ``Scenario.change_delivery``."""
        shop = environment.shop
        if shop.number in _MISSING:
            return None
        if shop.number == _ARRIVAL:
            for number in _MISSING:
                day = day_after(START, number)
                write_day(shop.transactions.on_day(day), shop.landing, f"{day:%Y-%m-%d}")
        return rows

    @override
    def evaluate(self, environment: Environment) -> tuple[list[Detection], list[Expectation]]:
        """Compare the reactions of the system with the expected ones; an override of ``Scenario.evaluate``."""
        findings = environment.shop.findings
        first, arrival = day_after(START, _MISSING[0] + 1), day_after(START, _ARRIVAL + 1)
        visible = "the first run after the files have arrived"
        return [
            find_detection(
                "holdfast.data.late", "transactions", "the first run after a morning without a file", first, findings
            ),
            find_detection("holdfast.data.late", "transactions.delay", visible, arrival, findings),
            find_detection("holdfast.skew.detected", "*.late-data", visible, arrival, findings),
        ], [
            Expectation(
                expected="afterwards every row is ingested",
                found=f"{_ingested_rows(environment)} rows of {_delivered_rows(environment)}",
                met=_ingested_rows(environment) == _delivered_rows(environment) > 0,
            ),
            expect_no_findings_after(environment, arrival),
            expect_no_runs(environment, ["retrain", "rollout", "rollback"]),
            expect_no_failed_steps(environment),
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


def _ingested_rows(environment: Environment) -> int:
    """Count the rows of the simulated days in the table or in quarantine."""
    return sum(batch.rows_added + batch.rows_quarantined for batch in list_batches(environment.shop.settings)[2:])


def _delivered_rows(environment: Environment) -> int:
    return sum(
        len(environment.shop.transactions.on_day(day_after(START, number))) for number in range(environment.shop.number)
    )
