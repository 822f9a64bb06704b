"""Expectations of several scenarios."""

from datetime import datetime
from typing import Literal

from holdfast.ingestion.batches import list_batches
from simulations.daily_data import start_of_day
from simulations.environment import Environment
from simulations.scenario_result import Expectation


def expect_no_findings(environment: Environment, when: Literal["before", "after"], time: datetime) -> Expectation:
    """Expect that the monitoring runs before or after a time, of which there must be some, find nothing above info.

    Args:
        environment: Environment of the simulation.
        when: Runs before or after the time.
        time: as_of at which the fault begins or ends, exclusive.

    Returns:
        The expectation.
    """

    def concerns(as_of: datetime) -> bool:
        return as_of < time if when == "before" else as_of > time

    runs = sum(map(concerns, environment.shop.monitoring_times))
    alarming = [item for item in environment.shop.findings if concerns(item.as_of) and item.severity != "info"]
    return Expectation(
        expected=f"no finding above info {when} {time:%Y-%m-%d %H:%M}",
        found="; ".join(f"{item.event} {item.subject}" for item in alarming) or f"none in {runs} runs",
        met=runs > 0 and not alarming,
    )


def expect_every_row_ingested(environment: Environment, expected: str) -> Expectation:
    """Expect that every delivered row of the simulated days is in the table or in quarantine.

    Args:
        environment: Environment of the simulation.
        expected: Description for the report.

    Returns:
        The expectation.
    """
    shop = environment.shop
    ingested = sum(batch.rows_added + batch.rows_quarantined for batch in list_batches(shop.settings)[2:])
    delivered = sum(len(shop.transactions.on_day(start_of_day(number))) for number in range(shop.number))
    return Expectation(expected=expected, found=f"{ingested} rows of {delivered}", met=ingested == delivered > 0)
