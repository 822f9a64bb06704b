"""What the gates judge: every piece is there, or the reason why it is not."""

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
    """A piece of evidence cannot be had; the message says why, and what to do."""


@dataclass(frozen=True)
class Unavailable:
    """A piece of evidence that could not be had, and why."""

    reason: str


@dataclass(frozen=True)
class Evidence:
    """What is known of a version.

    ``over_champion``: ROC-AUC less the champion's on the same rows, ``brier_over_champion`` the champion's Brier score
    less its own on them; None while there is no champion.
    ``brier_gain``: the base rate's Brier score less the model's. ``as_tested``: largest difference between what the
    registered model says of its test rows and what the tested one said. ``wrong_direction``: share of customers
    whose risk falls as their silence grows. ``variance``: largest change of a score in other company.
    """

    evaluation: Evaluation | Unavailable
    brier_gain: Interval | Unavailable
    champion: str | None
    over_champion: Interval | Unavailable | None
    brier_over_champion: Interval | Unavailable | None
    compared_on: str
    as_tested: float | Unavailable
    wrong_direction: float | Unavailable
    variance: float | Unavailable
    definitions: dict[str, str] | Unavailable
    parity: "ParityRecord | Unavailable"
    latency_ms: float | Unavailable
    size_mb: float | Unavailable
    inputs: list[str] | Unavailable
    rollback: RollbackRecord | None
    breach: "RolloutBreach | None" = None


def compute_or_unavailable(compute: Callable[[], T]) -> T | Unavailable:
    """What ``compute`` returns, or why it could not."""
    try:
        return compute()
    except HoldfastError as error:
        return Unavailable(str(error))
    except Exception as error:  # whatever it is: a gate that cannot be computed fails, and says why
        lines = str(error).strip().splitlines()
        return Unavailable(f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__)


def require(piece: T | Unavailable) -> T:
    """The piece itself.

    Raises:
        NotComputedError: It is missing.
    """
    if isinstance(piece, Unavailable):
        raise NotComputedError(piece.reason)
    return piece
