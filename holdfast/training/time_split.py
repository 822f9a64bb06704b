"""Split of monthly cut-offs by time, with an embargo as long as the label's horizon.

The label of a cut-off covers the next ``horizon_days``. Fitting on a cut-off whose horizon reaches into the validation
period would leak its outcomes, so such cut-offs are dropped (de Prado, 2018, ch. 7).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.core.errors import HoldfastError
from holdfast.training.recipe import FoldCutoffs


@dataclass(frozen=True)
class TimeSplit:
    """Cut-offs by use.

    Attributes:
        folds: Folds for the comparison of candidates, each fitted on cut-offs closed before its validation.
        development: Cut-offs on which the selected model is fitted.
        test: Cut-offs on which it is tested.
    """

    folds: tuple[FoldCutoffs, ...]
    development: tuple[datetime, ...]
    test: tuple[datetime, ...]

    @property
    def cutoffs(self) -> list[datetime]:
        """Return all used cut-offs, ascending."""
        return sorted({*self.development, *self.test})


class NotEnoughHistoryError(HoldfastError):
    """Too few closed cut-offs for fitting and testing."""


def split_by_time(
    cutoffs: Sequence[datetime], horizon_days: int, test_cutoffs: int, folds: int, min_fit_cutoffs: int
) -> TimeSplit:
    """Split cut-offs: the latest for the test; the earlier ones, minus the embargo, for development.

    With a short history the number of folds shrinks first, then the test, each to one. Without room for one fold, the
    test
    is as long as possible with cut-offs left to fit on, and there are no folds.

    Args:
        cutoffs: Labeled cut-offs, ascending.
        horizon_days: Horizon of the label in days.
        test_cutoffs: Largest number of test cut-offs.
        folds: Largest number of folds.
        min_fit_cutoffs: Smallest number of cut-offs to fit a fold.

    Returns:
        The split.

    Raises:
        NotEnoughHistoryError: There is not one cut-off each for fitting and testing.
    """
    lengths = range(min(test_cutoffs, len(cutoffs)), 0, -1)
    splits = [_split(cutoffs, tested, horizon_days, folds, min_fit_cutoffs) for tested in lengths]
    usable = [split for split in splits if split.folds] or [split for split in splits if split.development]
    if not usable:
        raise NotEnoughHistoryError(
            f"{len(cutoffs)} monthly cut-offs have a closed {horizon_days}-day horizon; fitting and testing with an "
            f"embargo of {horizon_days} days between them needs more history. Ingest more, use a later as_of, or a "
            "shorter HOLDFAST_HORIZON_DAYS."
        )
    return usable[0]


def select_closed_cutoffs(cutoffs: Sequence[datetime], moment: datetime, horizon_days: int) -> tuple[datetime, ...]:
    """Select the cut-offs whose horizon has ended.

    Args:
        cutoffs: Cut-offs.
        moment: Time, UTC.
        horizon_days: Horizon of the label in days.

    Returns:
        Closed cut-offs in the given order.
    """
    return tuple(cutoff for cutoff in cutoffs if cutoff + timedelta(days=horizon_days) <= moment)


def _split(cutoffs: Sequence[datetime], tested: int, horizon_days: int, folds: int, min_fit_cutoffs: int) -> TimeSplit:
    development = select_closed_cutoffs(cutoffs, cutoffs[-tested], horizon_days)
    judged = [
        FoldCutoffs(fit=select_closed_cutoffs(development, cutoff, horizon_days), validation=cutoff)
        for cutoff in development
    ]
    return TimeSplit(
        tuple([fold for fold in judged if len(fold.fit) >= min_fit_cutoffs][-folds:]),
        development,
        tuple(cutoffs[-tested:]),
    )
