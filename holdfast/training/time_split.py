"""Splits monthly cut-offs by time, with an embargo as long as the label's horizon.

A cut-off's label looks ``horizon_days`` ahead. Fitting on a cut-off whose horizon reaches into the period it is
judged on would leak that period's outcomes, so such cut-offs are left out (de Prado, 2018, ch. 7).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.core.errors import HoldfastError
from holdfast.training.recipe import FoldCutoffs


@dataclass(frozen=True)
class TimeSplit:
    """Cut-offs by use.

    Candidates are judged on ``folds``, each fitted on what was closed before it; the choice is fitted on
    ``development`` and tested on ``test``. Without folds there is nothing to choose by.
    """

    folds: tuple[FoldCutoffs, ...]
    development: tuple[datetime, ...]
    test: tuple[datetime, ...]

    @property
    def cutoffs(self) -> list[datetime]:
        """Every cut-off that is used at all, ascending."""
        return sorted({*self.development, *self.test})


class NotEnoughHistoryError(HoldfastError):
    """Too few closed cut-offs."""


def split_by_time(
    cutoffs: Sequence[datetime], horizon_days: int, test_cutoffs: int, folds: int, min_fit_cutoffs: int
) -> TimeSplit:
    """The latest cut-offs test; those before, less the embargo, are developed on.

    With a short history the folds shrink first, then the test, each down to one. When there is no room for even
    one fold, the test is as long as leaves something to fit on, and there are no folds.

    Raises:
        NotEnoughHistoryError: Not even one cut-off each to fit on and to test on.
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
    """The cut-offs whose horizon has closed by ``moment``."""
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
