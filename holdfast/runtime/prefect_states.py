"""Prefect state of flow runs that had nothing to do."""

from typing import TypeVar, cast

from prefect.states import Completed

SKIPPED_STATE = "Skipped"
Result = TypeVar("Result")


def skipped_state(message: str, result: Result) -> Result:
    """Create the return value of a flow run that had nothing to do.

    Args:
        message: Reason, shown by Prefect next to ``SKIPPED_STATE``.
        result: Result for the caller of the flow.

    Returns:
        A completed state, which Prefect resolves to ``result``.
    """
    return cast(Result, Completed(name=SKIPPED_STATE, message=message, data=result))
