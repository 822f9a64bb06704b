"""Runs that found nothing to do."""

from typing import TypeVar, cast

from prefect.states import Completed

NAME = "Skipped"
Result = TypeVar("Result")


def skipped(why: str, result: Result) -> Result:
    """What a flow returns that had nothing to do: Prefect shows ``NAME`` and why, and callers get ``result``."""
    return cast(Result, Completed(name=NAME, message=why, data=result))
