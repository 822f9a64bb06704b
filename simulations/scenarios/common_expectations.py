"""Expectations that several scenarios have."""

from datetime import datetime

from simulations.environment import Running
from simulations.outcome import Expectation


def every_step_went_well(run: Running) -> Expectation:
    """No daily run and no monitoring failed."""
    failed = [f"{about}: {why}" for about, why in run.shop.failed.items()]
    looks = len(run.shop.looks)
    return Expectation(
        expected="every daily run and every monitoring run ends well",
        found="; ".join(failed) or f"{run.shop.number} days, {looks} monitoring runs",
        met=not failed and looks > 0,
    )


def nothing_found_after(run: Running, moment: datetime) -> Expectation:
    """The trouble is over: later runs, of which there are some, find nothing above info."""
    later = [as_of for as_of in run.shop.looks if as_of > moment]
    loud = [item for item in run.shop.seen if item.as_of > moment and item.severity != "info"]
    return Expectation(
        expected=f"no finding above info after {moment:%Y-%m-%d %H:%M}",
        found="; ".join(f"{item.event} {item.subject}" for item in loud) or f"none in {len(later)} runs",
        met=bool(later) and not loud,
    )


def nothing_found_before(run: Running, moment: datetime) -> Expectation:
    """Runs before the fault find nothing above info."""
    loud = [item for item in run.shop.seen if item.as_of < moment and item.severity != "info"]
    return Expectation(
        expected=f"no finding above info before {moment:%Y-%m-%d %H:%M}",
        found="; ".join(f"{item.event} {item.subject}" for item in loud) or "none",
        met=not loud,
    )
