"""Splits monthly cut-offs by time, with an embargo as long as the label's horizon.

A cut-off's label looks ``horizon_days`` ahead. Fitting on a cut-off whose horizon reaches into the period it is
judged on would leak that period's outcomes, so such cut-offs are left out (de Prado, 2018, ch. 7).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from feature_repo.errors import HoldfastError


@dataclass(frozen=True)
class TimeSplit:
    """Cut-offs by use. ``development`` is what the chosen candidate is fitted on again before the test."""

    fit: tuple[datetime, ...]
    validation: tuple[datetime, ...]
    development: tuple[datetime, ...]
    test: tuple[datetime, ...]


class NotEnoughHistoryError(HoldfastError):
    """Too few closed cut-offs."""


def split_by_time(
    cutoffs: Sequence[datetime], horizon_days: int, test_cutoffs: int, validation_cutoffs: int, min_fit_cutoffs: int
) -> TimeSplit:
    """The latest cut-offs test, those before validate, the rest fit.

    With a short history the validation shrinks first, then the test, each down to one cut-off.

    Raises:
        NotEnoughHistoryError: Not even one cut-off each can be had.
    """
    for tested in range(min(test_cutoffs, len(cutoffs)), 0, -1):
        development = _before(cutoffs, cutoffs[-tested], horizon_days)
        for validated in range(min(validation_cutoffs, len(development)), 0, -1):
            fit = _before(development, development[-validated], horizon_days)
            if len(fit) >= min_fit_cutoffs:
                return TimeSplit(fit, development[-validated:], development, tuple(cutoffs[-tested:]))
    raise NotEnoughHistoryError(
        f"{len(cutoffs)} monthly cut-offs have a closed {horizon_days}-day horizon; fitting on at least "
        f"{min_fit_cutoffs}, validating and testing with an embargo of {horizon_days} days between them needs more "
        "history. Ingest more, use a later as_of, or a shorter HOLDFAST_HORIZON_DAYS."
    )


def _before(cutoffs: Sequence[datetime], start: datetime, horizon_days: int) -> tuple[datetime, ...]:
    return tuple(cutoff for cutoff in cutoffs if cutoff + timedelta(days=horizon_days) <= start)
