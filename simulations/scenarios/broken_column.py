"""Scenario: the upstream system loses many amounts of one day."""

import pandas as pd
from typing_extensions import override

from holdfast.ingestion.batches import list_batches
from simulations.daily_data import start_of_day
from simulations.environment import Environment
from simulations.faults import corrupt_amounts
from simulations.scenario import Scenario
from simulations.scenario_result import Detection, Expectation, find_detection

_DAY = 2
_SHARE = 0.4


class BrokenColumn(Scenario):
    """Scenario with many amounts of one day missing or replaced by text.

    Ingest quarantines the rows without an amount and accepts the others.
    """

    name = "broken-column"
    fault = f"On the third day {_SHARE:.0%} of the amounts are empty or text."
    days = 5

    @override
    def change_delivery(self, environment: Environment, rows: pd.DataFrame) -> pd.DataFrame:
        return corrupt_amounts(rows, _SHARE, seed=0) if environment.shop.number == _DAY else rows

    @override
    def evaluate(self, environment: Environment) -> tuple[list[Detection], list[Expectation]]:
        found = find_detection(
            "holdfast.data.broken",
            "*",
            "the first run after the file was ingested",
            start_of_day(_DAY + 1),
            environment.shop.findings,
        )
        quarantined = sum(batch.rows_quarantined for batch in list_batches(environment.shop.settings)[2:])
        expected = round(_SHARE * len(environment.shop.transactions.on_day(start_of_day(_DAY))))
        return [found], [
            Expectation(
                expected="the broken rows are in quarantine",
                found=f"{quarantined} of {expected}",
                met=quarantined >= expected > 0,
            ),
        ]
