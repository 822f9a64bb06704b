"""What came of a simulated scenario: ``data/simulations/SCENARIO.json``."""

from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, computed_field

from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file

_FROZEN = ConfigDict(frozen=True)


class Seen(BaseModel):
    """A finding of one monitoring run. ``event_at_server``: Prefect's server holds its event."""

    model_config = _FROZEN

    as_of: datetime
    event: str
    subject: str
    severity: str
    summary: str
    event_at_server: bool = False


class Detection(BaseModel):
    """What had to be detected, by which run at the latest, and by which it was."""

    model_config = _FROZEN

    event: str
    subject: str
    visible: str = Field(description="From which run on it can be seen, and why.")
    by: datetime = Field(description="as_of of the first monitoring run that can see it; else the day of the fault.")
    detected_at: datetime | None = Field(description="as_of of the run that did, or that day; null: nothing did.")
    found: str = Field(default="", description="The subject that it was found of.")
    summary: str = ""

    @property
    def in_time(self) -> bool:
        """Whether it was found by then."""
        return self.detected_at is not None and self.detected_at <= self.by


class Expectation(BaseModel):
    """What the system had to do, or must not do; what it did."""

    model_config = _FROZEN

    expected: str
    found: str
    met: bool


class Outcome(BaseModel):
    """All of it. ``passed`` follows from the rest."""

    model_config = _FROZEN

    scenario: str
    planted: str
    with_fault: bool = Field(description="False: the same without the fault, which must not pass.")
    customers: int
    days: int
    store: str
    detected_by: list[Detection]
    actions: list[str] = Field(description="What the system did by itself, in order.")
    asked: int
    answered: int
    repeated: int = Field(description="Attempts that callers made again, after 503 or a broken connection.")
    predictions_lost: int = Field(description="Asked and never answered, or answered and not in the prediction log.")
    predictions_wrong: int = Field(description="Answered otherwise than recomputed offline, point in time.")
    examples: list[str] = Field(description="Of what was lost or wrong.")
    expectations: list[Expectation]
    findings: list[Seen]
    alerts: list[str]
    seconds: float
    commit: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def passed(self) -> bool:
        """Everything was detected in time, every expectation met, no prediction lost or wrong, and some were asked."""
        return (
            all(detection.in_time for detection in self.detected_by)
            and all(expectation.met for expectation in self.expectations)
            and self.answered > 0
            and self.predictions_lost == 0
            and self.predictions_wrong == 0
        )


def simulations_folder(settings: Settings) -> Path:
    """Where outcomes are, and the state of each scenario."""
    return settings.data / "simulations"


def outcome_path(settings: Settings, scenario: str) -> Path:
    """The JSON of a scenario."""
    return simulations_folder(settings) / f"{scenario}.json"


def write_outcome(outcome: Outcome, path: Path) -> None:
    """Write it, whole or not at all."""
    with replace_file(path) as temporary:
        temporary.write_text(outcome.model_dump_json(indent=2) + "\n")


def read_outcomes(settings: Settings, scenarios: Sequence[str]) -> list[Outcome]:
    """Those that there are, in the order of the names."""
    found = (outcome_path(settings, name) for name in scenarios)
    return [_read(path) for path in found if path.exists()]


def _read(path: Path) -> Outcome:
    return Outcome.model_validate_json(path.read_bytes())


def detection(event: str, subject: str, visible: str, by: datetime, seen: Sequence[Seen]) -> Detection:
    """By which run ``event`` about ``subject``, a pattern, was found after ``visible`` says it can be.

    What was found before ``by`` is not this fault: it is left out. An event that never reached the server counts as
    not found: nothing could act on it.
    """
    hits = [
        item
        for item in seen
        if item.event == event and fnmatchcase(item.subject, subject) and item.as_of >= by and item.event_at_server
    ]
    first = min(hits, key=lambda item: item.as_of, default=None)
    return Detection(
        event=event,
        subject=subject,
        visible=visible,
        by=by,
        detected_at=first.as_of if first else None,
        found=first.subject if first else "",
        summary=first.summary if first else "",
    )


def noticed(event: str, subject: str, visible: str, day: datetime, told: str) -> Detection:
    """What the system noticed while it happened, without a monitoring run: ``told`` of it; nothing: it did not."""
    return Detection(
        event=event,
        subject=subject,
        visible=visible,
        by=day,
        detected_at=day if told else None,
        found=subject if told else "",
        summary=told,
    )
