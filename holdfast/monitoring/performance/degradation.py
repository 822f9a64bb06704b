"""When quality has surely dropped: below what the test promised, beyond the noise of both."""

from collections.abc import Mapping
from dataclasses import dataclass

from holdfast.training.evaluation_report import METRIC_LABELS, Interval

# What decides, and whether more of it is better.
HIGHER_IS_BETTER = {"roc_auc": True, "brier": False}


@dataclass(frozen=True)
class Degradation:
    """A metric that is worse than promised."""

    metric: str
    found: Interval
    promised: Interval

    def __str__(self) -> str:
        return f"{METRIC_LABELS[self.metric]} {self.found}, promised {self.promised}"


def find_degradations(found: Mapping[str, Interval], promised: Mapping[str, Interval]) -> list[Degradation]:
    """The metrics whose 95% interval lies on the bad side of the promised one, without touching it.

    Of two means of equal precision that are truly the same, one is called worse in about 3 cases of 1,000. A metric
    that one of the two lacks, or has no interval for, is not judged.
    """
    return [
        Degradation(metric, found[metric], promised[metric])
        for metric, more_is_better in HIGHER_IS_BETTER.items()
        if metric in found and metric in promised and _is_worse(found[metric], promised[metric], more_is_better)
    ]


def _is_worse(found: Interval, promised: Interval, more_is_better: bool) -> bool:
    return found.high < promised.low if more_is_better else found.low > promised.high
