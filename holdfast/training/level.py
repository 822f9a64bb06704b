"""Level of the probabilities: whether the mean of the predictions can be relied on, and the threshold if not."""

from typing import Literal

import numpy as np
from pydantic import BaseModel, ConfigDict

from holdfast.core.formatting import format_count
from holdfast.core.types import Floats
from holdfast.training.evaluation_report import LevelResult

Decisions = Literal["threshold", "margin", "rank"]
KNOWN_WITHIN = 0.05  # of the observed churn
_YEAR_DAYS = 365


class LevelWarning(BaseModel):
    """Reason why the level of the probabilities cannot be known.

    Attributes:
        size: Distance of the mean prediction from the observed churn that has to be expected.
        too_high: Distance by which the mean prediction may be too high; an offer then pays less than the score states.
        text: Sentences about size and reason.
    """

    model_config = ConfigDict(frozen=True)

    size: float
    too_high: float
    text: str


def find_level_warning(level: LevelResult | None) -> LevelWarning | None:
    """Find out whether the level was missed in the test, or the history holds no whole year.

    Less than a year leaves months without any observation. The churn of the observed months differs by
    ``month_spread``, so the other months are expected to differ by as much at least.

    Args:
        level: Level of the predictions on the test rows; None in reports of earlier releases.

    Returns:
        The warning; None if the level is known.
    """
    if level is None:
        return None
    bias, reasons, unobserved = level.bias, [], 0.0
    if max(bias.low, -bias.high) > KNOWN_WITHIN:
        reasons.append(
            f"in the {format_count(level.months, 'test month')} the mean prediction was "
            f"{'above' if bias.value > 0 else 'below'} the observed churn by {abs(bias.value):.3f} (95% interval "
            f"{bias.low:+.3f} to {bias.high:+.3f})"
        )
    if level.history_days < _YEAR_DAYS:
        unobserved = level.month_spread
        reasons.append(
            f"the history of {format_count(level.history_days, 'day')} holds no whole year, so the season is unknown "
            f"(observed months differ by up to {unobserved:.3f} from their mean)"
        )
    if not reasons:
        return None
    size = max(abs(bias.low), abs(bias.high), unobserved)
    return LevelWarning(
        size=size,
        too_high=max(bias.high, unobserved, 0.0),
        text=f"The level of the probabilities is not known: {'; '.join(reasons)}. Expect the mean prediction to be off "
        f"by {size:.3f} or more. The order of the customers is not affected.",
    )


def choose_threshold(
    threshold: float, decisions: Decisions, level: LevelResult | None, development: Floats, test: Floats
) -> tuple[float, str]:
    """Choose the threshold of the served model for a level that is known or not.

    Args:
        threshold: Probability from which an offer pays.
        decisions: ``threshold`` ignores the warning. ``margin`` adds the distance by which probabilities may be too
            high, so that an offer still pays; where they are too low, offers already pay. ``rank`` uses the order
            only: offers go to the same share of customers as on the development rows.
        level: Level of the predictions on the test rows.
        development: Scores of the development rows, shape (rows,).
        test: Scores of the test rows, shape (rows,).

    Returns:
        The threshold, and the reason if it differs from ``threshold``.
    """
    if decisions == "rank":
        share = float(np.mean(development >= threshold))
        ranked = float(np.quantile(test, 1 - share))
        return ranked, f"Decisions by rank: the threshold {ranked:.3f} selects {share:.0%} of the customers."
    warning = find_level_warning(level)
    if decisions == "threshold" or warning is None or warning.too_high == 0:
        return threshold, ""
    raised = min(1.0, threshold + warning.too_high)
    return raised, f"Decisions with a margin: the threshold {threshold:.3f} is raised by {raised - threshold:.3f}."
