"""When the models changed, on the time that cohorts are about: trainings, promotions and rollbacks."""

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
    """What happened to a version, and when."""

    time: datetime
    kind: EventKind
    version: str


def list_model_events(
    settings: Settings, reigns: ChampionHistory, trained: Mapping[str, datetime], cohorts: Sequence[ScoredCohort]
) -> list[ModelEvent]:
    """Every training, promotion and rollback, oldest first.

    On the wall clock, they were when they were recorded. In a replay years lie between that and the time it is about:
    there a promotion is where the version first scored, or was trained as of, and a rollback where it last scored.
    """
    scored: dict[str, list[datetime]] = {}
    for cohort in cohorts:
        scored.setdefault(cohort.version, []).append(cohort.as_of)
    found = [ModelEvent(moment, "trained", version) for version, moment in trained.items()]
    for kind, records in (("promoted", reigns.promotions), ("rolled back", reigns.rollbacks)):
        for version, events in records.items():
            for event in events:
                when: datetime | None = as_utc(event.when)
                if settings.clock != "wall":
                    ends = scored.get(version) or ([trained[version]] if version in trained else [])
                    when = (min if kind == "promoted" else max)(ends, default=None)
                if when is not None:
                    found.append(ModelEvent(when, kind, version))  # type: ignore[arg-type]
    return sorted(set(found), key=lambda mark: (mark.time, mark.version, mark.kind))
