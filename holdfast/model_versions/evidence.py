"""Evidence that the gates evaluate: each item, or the reason why the item is unavailable."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeVar

from holdfast.core.errors import HoldfastError
from holdfast.model_versions.records import RollbackRecord
from holdfast.training.evaluation_report import Evaluation, Interval

if TYPE_CHECKING:
    from holdfast.feature_store.parity import ParityRecord
    from holdfast.model_versions.champion_history import RolloutBreach

T = TypeVar("T")


class NotComputedError(HoldfastError):
    """An item of evidence cannot be computed; the message states the reason and what to do."""


@dataclass(frozen=True)
class Unavailable:
    """An item of evidence that could not be computed, with the reason."""

    reason: str


@dataclass(frozen=True, kw_only=True)
class RegisteredModelEvidence:
    """Evidence about a registered model of any kind.

    Attributes:
        champion: The version compared with; None without a champion.
        variance: Largest change of a prediction in another row order, in a doubled batch, or alone.
        definitions: Fingerprints of the features that the version was trained on.
        parity: The latest parity report.
        latency_ms: Median time of one prediction, ms.
        size_mb: Size of the model file, MB.
        inputs: Names of the model's inputs.
        rollback: The latest rollback of the version.
    """

    champion: str | None
    variance: float | Unavailable
    definitions: dict[str, str] | Unavailable
    parity: "ParityRecord | Unavailable"
    latency_ms: float | Unavailable
    size_mb: float | Unavailable
    inputs: list[str] | Unavailable
    rollback: RollbackRecord | None


@dataclass(frozen=True, kw_only=True)
class Evidence(RegisteredModelEvidence):
    """Evidence about a version of a classification.

    Attributes:
        evaluation: Evaluation on the test set.
        signal: Mean ROC-AUC within the test months; the change of the churn rate between months is no signal.
        known_rate: Churn rate of the development rows, the prediction of the base rate.
        brier_gain: Brier score of the base rate minus that of the model.
        level_free_brier_gain: As ``brier_gain``, each month with its own base rate and after the best single offset of
            the model.
        is_first: Whether no model is champion yet; a champion of one probability for all customers is none.
        over_champion: ROC-AUC minus the champion's on the same rows; None without a comparison.
        brier_over_champion: The champion's Brier score minus that of the version on the same rows; None without one.
        compared_on: Name of the rows of the comparison, or the reason why there is none.
        compared_rows: Number of rows of the comparison.
        as_tested: Largest difference of the registered model's scores of the test rows from those that its training
            recorded.
        wrong_direction: Share of customers whose risk falls as the time since their last purchase, or an input that is
            declared as increasing, grows.
        breach: The latest breached rollout of the version.
    """

    evaluation: Evaluation | Unavailable
    signal: Interval | Unavailable
    known_rate: float | Unavailable
    brier_gain: Interval | Unavailable
    level_free_brier_gain: Interval | Unavailable
    is_first: bool
    over_champion: Interval | Unavailable | None
    brier_over_champion: Interval | Unavailable | None
    compared_on: str
    compared_rows: int
    as_tested: float | Unavailable
    wrong_direction: float | Unavailable
    breach: "RolloutBreach | None" = None


def compute_or_unavailable(compute: Callable[[], T]) -> T | Unavailable:
    """Compute an item of evidence.

    Args:
        compute: Function that computes the item.

    Returns:
        The item; Unavailable for any exception, as a gate that cannot be computed fails with the reason.
    """
    try:
        return compute()
    except HoldfastError as error:
        return Unavailable(str(error))
    except Exception as error:
        lines = str(error).strip().splitlines()
        return Unavailable(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)


def require(item: T | Unavailable) -> T:
    """Return an available item.

    Args:
        item: The item, or Unavailable.

    Returns:
        The item.

    Raises:
        NotComputedError: The item is unavailable.
    """
    if isinstance(item, Unavailable):
        raise NotComputedError(item.reason)
    return item
