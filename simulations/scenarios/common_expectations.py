"""Expectations of several scenarios."""

from datetime import datetime

from simulations.environment import Environment
from simulations.outcome import Expectation


def expect_no_failed_steps(environment: Environment) -> Expectation:
    """Expect that no daily run and no monitoring run failed.

    Args:
        environment: Environment of the simulation.

    Returns:
        The expectation.
    """
    failed = [f"{step}: {error}" for step, error in environment.shop.failed_steps.items()]
    monitoring_runs = len(environment.shop.monitoring_times)
    return Expectation(
        expected="every daily run and every monitoring run succeeds",
        found="; ".join(failed) or f"{environment.shop.number} days, {monitoring_runs} monitoring runs",
        met=not failed and monitoring_runs > 0,
    )


def expect_no_findings_after(environment: Environment, time: datetime) -> Expectation:
    """Expect that monitoring runs after a time, of which there must be some, have no finding above info.

    Args:
        environment: Environment of the simulation.
        time: as_of from which on the fault is over, exclusive.

    Returns:
        The expectation.
    """
    later = [as_of for as_of in environment.shop.monitoring_times if as_of > time]
    alarming = [item for item in environment.shop.findings if item.as_of > time and item.severity != "info"]
    return Expectation(
        expected=f"no finding above info after {time:%Y-%m-%d %H:%M}",
        found="; ".join(f"{item.event} {item.subject}" for item in alarming) or f"none in {len(later)} runs",
        met=bool(later) and not alarming,
    )


def expect_no_findings_before(environment: Environment, time: datetime) -> Expectation:
    """Expect that monitoring runs before the fault have no finding above info.

    Args:
        environment: Environment of the simulation.
        time: as_of of the fault.

    Returns:
        The expectation.
    """
    alarming = [item for item in environment.shop.findings if item.as_of < time and item.severity != "info"]
    return Expectation(
        expected=f"no finding above info before {time:%Y-%m-%d %H:%M}",
        found="; ".join(f"{item.event} {item.subject}" for item in alarming) or "none",
        met=not alarming,
    )
