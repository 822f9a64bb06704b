"""Split of monthly cut-offs by time, with an embargo as long as it takes until outcomes are known.

A cut-off's label covers the next ``outcome_days``. A fit on a cut-off whose label reaches into the validation period
would leak outcomes of that period, so such cut-offs are left out (de Prado, 2018, ch. 7).
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from holdfast.core.errors import HoldfastError
from holdfast.core.formatting import format_count
from holdfast.training.recipe import FoldCutoffs


@dataclass(frozen=True)
class TimeSplit:
    """Cut-offs by use.

    Attributes:
        folds: Folds on which candidates are compared; empty with a short history.
        development: Cut-offs on which the chosen model is fitted.
        test: Cut-offs on which the chosen model is tested.
        embargo: Cut-offs between development and test, which only a refit after the test uses.
    """

    folds: tuple[FoldCutoffs, ...]
    development: tuple[datetime, ...]
    test: tuple[datetime, ...]
    embargo: tuple[datetime, ...] = ()

    @property
    def cutoffs(self) -> list[datetime]:
        """Return all cut-offs, ascending."""
        return sorted({*self.development, *self.embargo, *self.test})


class NotEnoughHistoryError(HoldfastError):
    """Too few cut-offs with known outcomes."""


class SingleClassError(HoldfastError):
    """All rows of the development or the test period have the same outcome, or there are none."""


def split_by_time(
    cutoffs: Sequence[datetime],
    outcome_days: int,
    test_cutoffs: int,
    folds: int,
    min_fit_cutoffs: int,
    notes: Sequence[str] = (),
) -> TimeSplit:
    """Split cut-offs: the latest are for the test, those before the embargo for development.

    With a short history the number of folds is reduced first, then that of test cut-offs, each down to one. When not
    even one fold is possible, there are no folds, and the test is as long as development allows.

    Args:
        cutoffs: Cut-offs with known outcomes, ascending.
        outcome_days: Days from a cut-off until its outcomes are known, which is also the embargo.
        test_cutoffs: Largest number of test cut-offs.
        folds: Largest number of folds.
        min_fit_cutoffs: Smallest number of cut-offs to fit on in a fold.
        notes: Reasons why cut-offs were left out, for the error.

    Returns:
        Split.

    Raises:
        NotEnoughHistoryError: There is not one cut-off each for development and test.
    """
    lengths = range(min(test_cutoffs, len(cutoffs)), 0, -1)
    splits = [_split(cutoffs, tested, outcome_days, folds, min_fit_cutoffs) for tested in lengths]
    usable = [split for split in splits if split.folds] or [split for split in splits if split.development]
    if not usable:
        raise NotEnoughHistoryError(
            f"Monthly cut-offs with known outcomes: {len(cutoffs)}. Outcomes are known after "
            f"{format_count(outcome_days, 'day')}; fitting and testing with an embargo of as many days between them "
            "needs more history. Ingest more, use a later as_of, or a shorter HOLDFAST_HORIZON_DAYS."
            f"{''.join(f' {note}' for note in notes)}"
        )
    return usable[0]


def select_closed_cutoffs(cutoffs: Sequence[datetime], time: datetime, outcome_days: int) -> tuple[datetime, ...]:
    """Select the cut-offs whose outcomes are known at a time.

    Args:
        cutoffs: Cut-offs.
        time: Time by which the outcomes must be known.
        outcome_days: Days from a cut-off until its outcomes are known.

    Returns:
        Cut-offs in their order.
    """
    return tuple(cutoff for cutoff in cutoffs if cutoff + timedelta(days=outcome_days) <= time)


def _split(cutoffs: Sequence[datetime], tested: int, outcome_days: int, folds: int, min_fit_cutoffs: int) -> TimeSplit:
    development = select_closed_cutoffs(cutoffs, cutoffs[-tested], outcome_days)
    candidates = [
        FoldCutoffs(fit=select_closed_cutoffs(development, cutoff, outcome_days), validation=cutoff)
        for cutoff in development
    ]
    return TimeSplit(
        tuple([fold for fold in candidates if len(fold.fit) >= min_fit_cutoffs][-folds:]),
        development,
        tuple(cutoffs[-tested:]),
        tuple(cutoffs[len(development) : -tested]),
    )
