"""Scoring everybody at one moment: once per champion and state of the data."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from feature_repo.settings import Settings
from holdfast.batch_scoring.champion_model import ScoringModel
from holdfast.batch_scoring.population import load_all_customers
from holdfast.batch_scoring.score_store import (
    ScoreTable,
    archive_previous,
    count_customers,
    current_score_table,
    score_metadata,
    scores_key,
    scores_lock,
)
from holdfast.batch_scoring.scores_table import build_scores, scores_path, write_scores
from holdfast.core.errors import HoldfastError
from holdfast.core.formatting import format_minute
from holdfast.feature_store.snapshots import effective_known_at
from holdfast.ingestion.batches import list_batches


class NoActiveCustomersError(HoldfastError):
    """The data end so long before the moment that all scores would be extrapolations."""


@dataclass(frozen=True)
class ScoreResult:
    """What is known of everybody at a moment, and where it is.

    ``will_churn`` are active customers. ``written`` is False where the same champion had scored the same data before.
    ``replaced`` is the version whose table it took the place of, if there was another.
    """

    as_of: datetime
    known_at: datetime
    model_version: str
    threshold: float
    customers: int
    active: int
    will_churn: int
    written: bool
    replaced: str | None
    path: Path

    def summary(self) -> str:
        """In one line."""
        told = (
            f"{self.customers:,} customers as of {format_minute(self.as_of)} by version {self.model_version}: "
            f"{self.active:,} active, {self.will_churn:,} of them will churn (threshold {self.threshold:.3g})"
        )
        if not self.written:
            return f"Scored before, from the same data: {told}. Nothing changed. {self.path}"
        kept = f" The table of version {self.replaced} is kept under {self.path.parent / 'replaced'}."
        return f"Scored {told}. {self.path}{kept if self.replaced else ''}"


def score_customers(
    settings: Settings, champion: ScoringModel, as_of: datetime, known_at: datetime, replace: bool = True
) -> ScoreResult:
    """Score every customer known by then, and keep the table.

    What the same champion has said of the same data is left as it is; without ``replace``, whatever is there.

    Raises:
        NoDataError: Nothing from before ``as_of`` had arrived by ``known_at``.
        NoActiveCustomersError: Nobody bought lately.
        InputMismatchError: The champion reads other inputs than the feature service gives.
    """
    effective = effective_known_at(list_batches(settings), as_of, known_at)
    with scores_lock(settings):
        earlier = current_score_table(settings, as_of)
        key = scores_key(champion.contract, as_of, effective)
        if earlier is not None and (earlier.key == key or not replace):
            return _result(earlier, written=False)
        table = build_scores(load_all_customers(settings, as_of, effective), champion)
        if not table["active"].any():
            raise NoActiveCustomersError(
                f"Nobody bought in the {champion.contract.activity_days} days before {format_minute(as_of)}, as known "
                f"at {format_minute(known_at)}: the champion never learned from such customers. Ingest newer data, or "
                "choose another time."
            )
        if earlier is not None:
            archive_previous(settings, earlier)
        path = scores_path(settings.scores, as_of)
        write_scores(table, path, score_metadata(champion.contract, as_of, effective))
        kept = current_score_table(settings, as_of)
    assert kept is not None
    return _result(kept, written=True, replaced=earlier.model_version if earlier else None)


def _result(kept: ScoreTable, written: bool, replaced: str | None = None) -> ScoreResult:
    found = count_customers(kept.path, ["active", "will_churn"])
    active = {churns: number for (is_active, churns), number in found.items() if is_active}
    return ScoreResult(
        as_of=kept.as_of,
        known_at=kept.known_at,
        model_version=kept.model_version,
        threshold=kept.threshold,
        customers=sum(found.values()),
        active=sum(active.values()),
        will_churn=active.get(True, 0),
        written=written,
        replaced=replaced,
        path=kept.path,
    )
