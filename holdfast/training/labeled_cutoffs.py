"""Monthly cut-offs with known outcomes and right features."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from feature_repo.labels import closed_cutoffs
from holdfast.core.errors import HoldfastError
from holdfast.core.formatting import format_count, format_cutoffs
from holdfast.ingestion.history_extent import DataGap
from holdfast.training.settings import TrainingSettings
from holdfast.training.time_split import TimeSplit, split_by_time

LONGEST_FEATURE_WINDOW = 180  # days


class MaxCutoffsError(HoldfastError):
    """The setting ``max_cutoffs`` allows fewer cut-offs than a split needs."""


@dataclass(frozen=True)
class LabeledCutoffs:
    """Cut-offs whose outcomes are known, by use.

    Attributes:
        used: Cut-offs without a gap until their outcomes, in their activity window and feature windows, ascending.
        left_out: Cut-offs with a gap there, to the gap.
        outcome_days: Days from a cut-off until its outcomes are known.
    """

    used: list[datetime]
    left_out: dict[datetime, DataGap]
    outcome_days: int

    def describe(self) -> list[str]:
        """Describe the gaps and the cut-offs that were left out.

        Returns:
            A sentence per gap; none without gaps.
        """
        notes = []
        for gap in dict.fromkeys(self.left_out.values()):
            cutoffs = [cutoff for cutoff, found in self.left_out.items() if found == gap]
            notes.append(
                f"Gap in the data: {gap} ({format_count(gap.days, 'day')}). Left out: the monthly cut-offs "
                f"{format_cutoffs(cutoffs)}, whose outcomes or features need these days. Cut-offs that remain: "
                f"{len(self.used)}."
            )
        return notes

    def split(self, training: TrainingSettings) -> TimeSplit:
        """Split the latest cut-offs into development, folds and test.

        Args:
            training: Settings with the numbers of cut-offs.

        Returns:
            Split.

        Raises:
            NotEnoughHistoryError: There is not one cut-off each for development and test.
            MaxCutoffsError: There is, but not among the latest ``max_cutoffs``.
        """
        latest = self.used[-training.max_cutoffs :]
        if self.used:
            # The latest cut-off to learn from when the latest of all is the test.
            learned = latest[-1] - timedelta(days=self.outcome_days)
            needed = 1 + sum(cutoff > learned for cutoff in self.used)
            if len(latest) < needed <= len(self.used):
                raise MaxCutoffsError(
                    f"The training setting max_cutoffs is {training.max_cutoffs}: the cut-offs "
                    f"{format_cutoffs(latest)} lie within {format_count(self.outcome_days, 'day')}, after which "
                    "outcomes are known, so that those of none are known before the test. Set max_cutoffs to "
                    f"{needed} or more, or shorten the horizon (HOLDFAST_HORIZON_DAYS)."
                )
        return split_by_time(
            latest,
            self.outcome_days,
            training.test_cutoffs,
            training.folds,
            training.min_fit_cutoffs,
            self.describe(),
        )


def select_labeled_cutoffs(
    first: datetime,
    end: datetime,
    gaps: Sequence[DataGap],
    outcome_days: int,
    activity_days: int,
    min_history_days: int,
) -> LabeledCutoffs:
    """Select the monthly cut-offs whose outcomes are known, and leave out those that a gap in the data touches.

    A gap after a cut-off makes customers churn who may have bought or renewed, and one within the windows before it
    makes them inactive, or their features too low.

    Args:
        first: Begin of the data.
        end: End of the data, or time by which the outcomes must be known.
        gaps: Gaps in the data.
        outcome_days: Days from a cut-off until its outcomes are known.
        activity_days: Activity window in days.
        min_history_days: History before the earliest cut-off, in days.

    Returns:
        The cut-offs.
    """
    before = timedelta(days=max(activity_days, LONGEST_FEATURE_WINDOW))
    cutoffs = LabeledCutoffs([], {}, outcome_days)
    for cutoff in closed_cutoffs(first, end, outcome_days, min_history_days):
        stop = cutoff + timedelta(days=outcome_days)
        gap = next((gap for gap in gaps if gap.overlaps(cutoff - before, stop)), None)
        if gap is None:
            cutoffs.used.append(cutoff)
        else:
            cutoffs.left_out[cutoff] = gap
    return cutoffs
