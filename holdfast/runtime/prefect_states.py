"""Runs that found nothing to do."""

from typing import TypeVar, cast

from prefect.states import Completed

SKIPPED_STATE = "Skipped"
Result = TypeVar("Result")


def skipped_state(why: str, result: Result) -> Result:
    """What a flow returns that had nothing to do: Prefect shows ``NAME`` and why, and callers get ``result``."""
    return cast(Result, Completed(name=SKIPPED_STATE, message=why, data=result))
