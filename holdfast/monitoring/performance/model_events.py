"""Trainings, promotions and rollbacks on the time axis of the cohorts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from feature_repo.settings import Settings
from feature_repo.timestamps import as_utc
from holdfast.model_versions.champion_history import ChampionHistory
from holdfast.monitoring.performance.cohorts import ScoredCohort

EventKind = Literal["trained", "promoted", "rolled back"]


@dataclass(frozen=True)
class ModelEvent:
    """Training, promotion or rollback of a version."""

    time: datetime
    kind: EventKind
    version: str


def list_model_events(
    settings: Settings, history: ChampionHistory, trained: Mapping[str, datetime], cohorts: Sequence[ScoredCohort]
) -> list[ModelEvent]:
    """List every training, promotion and rollback, oldest first.

    On the wall clock, promotions and rollbacks have their recorded time. In a replay, the recorded time is years away
    from the data: a promotion is placed at the version's first cohort (without cohorts at its training), a rollback at
    its last cohort.

    Args:
        settings: Settings with the clock.
        history: Promotions and rollbacks.
        trained: Time of the training by version.
        cohorts: Scored cohorts.

    Returns:
        The events.
    """
    scored: dict[str, list[datetime]] = {}
    for cohort in cohorts:
        scored.setdefault(cohort.version, []).append(cohort.as_of)
    events = {ModelEvent(time, "trained", version) for version, time in trained.items()}
    promoted: EventKind = "promoted"
    rolled_back: EventKind = "rolled back"
    for kind, records in ((promoted, history.promotions), (rolled_back, history.rollbacks)):
        for version, entries in records.items():
            for entry in entries:
                time: datetime | None = as_utc(entry.when)
                if settings.clock != "wall":
                    times = scored.get(version) or ([trained[version]] if version in trained else [])
                    time = (min if kind == promoted else max)(times, default=None)
                if time is not None:
                    events.add(ModelEvent(time, kind, version))
    return sorted(events, key=lambda event: (event.time, event.version, event.kind))
