"""Result of a scenario, stored as ``data/simulations/SCENARIO.json``."""

from collections.abc import Sequence
from datetime import datetime
from fnmatch import fnmatchcase
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, computed_field

from feature_repo.settings import Settings
from holdfast.core.atomic_files import replace_file

_FROZEN = ConfigDict(frozen=True)


class ObservedFinding(BaseModel):
    """Finding of a monitoring run.

    Attributes:
        as_of: End of the window of the run.
        event_at_server: Whether Prefect's server received the event of the finding.
    """

    model_config = _FROZEN

    as_of: datetime
    event: str
    subject: str
    severity: str
    summary: str
    event_at_server: bool = False


class Detection(BaseModel):
    """Detection of a fault: the run that must detect the fault, and the run that did."""

    model_config = _FROZEN

    event: str
    subject: str
    visible: str = Field(description="First run that can detect the fault, and why.")
    by: datetime = Field(description="as_of of that run; for a detection without monitoring: day of the fault.")
    detected_at: datetime | None = Field(description="as_of of the run that detected the fault; null: none did.")
    found: str = Field(default="", description="Subject of the finding.")
    summary: str = ""

    @property
    def in_time(self) -> bool:
        """Return True when the fault was detected at ``by``, or before."""
        return self.detected_at is not None and self.detected_at <= self.by


class Expectation(BaseModel):
    """Expected and actual behavior of the system."""

    model_config = _FROZEN

    expected: str
    found: str
    met: bool


class ScenarioResult(BaseModel):
    """Result of a scenario."""

    model_config = _FROZEN

    scenario: str
    fault: str = Field(description="Description of the fault.")
    with_fault: bool = Field(description="False: run without the fault, which must not pass.")
    customers: int
    days: int
    store: str
    detected_by: list[Detection]
    actions: list[str] = Field(description="Flow runs started by the system and registry events, in order.")
    asked: int = Field(description="Number of predictions requested, one per customer.")
    answered: int = Field(description="Number of predictions received.")
    repeated: int = Field(description="Repeated attempts, after a 503 or a broken connection.")
    predictions_lost: int = Field(description="Requests without a prediction or without a row in the prediction log.")
    predictions_wrong: int = Field(description="Predictions that differ from the offline computation, point in time.")
    examples: list[str] = Field(description="Lost or wrong predictions.")
    expectations: list[Expectation]
    findings: list[ObservedFinding]
    alerts: list[str]
    seconds: float
    commit: str

    @computed_field  # type: ignore[prop-decorator]
    @property
    def passed(self) -> bool:
        """Return True when all detections and expectations hold, and no prediction is lost or wrong."""
        return (
            all(detection.in_time for detection in self.detected_by)
            and all(expectation.met for expectation in self.expectations)
            and self.answered > 0
            and self.predictions_lost == 0
            and self.predictions_wrong == 0
        )


def simulations_folder(settings: Settings) -> Path:
    """Return the folder of results and state folders.

    Args:
        settings: Location of the data folder.

    Returns:
        Path of the folder.
    """
    return settings.data / "simulations"


def result_path(settings: Settings, name: str) -> Path:
    """Return the path of a result.

    Args:
        settings: Location of the data folder.
        name: Name of the result.

    Returns:
        Path of the JSON file.
    """
    return simulations_folder(settings) / f"{name}.json"


def write_result(result: ScenarioResult, path: Path) -> None:
    """Write a result as JSON, atomically.

    Args:
        result: Result of a scenario.
        path: Path of the JSON file.
    """
    with replace_file(path) as temporary:
        temporary.write_text(result.model_dump_json(indent=2) + "\n")


def read_results(settings: Settings, names: Sequence[str]) -> list[ScenarioResult]:
    """Read the results that exist.

    Args:
        settings: Location of the data folder.
        names: Names of results.

    Returns:
        Results in the order of the names.
    """
    paths = (result_path(settings, name) for name in names)
    return [ScenarioResult.model_validate_json(path.read_bytes()) for path in paths if path.exists()]


def find_detection(
    event: str, subject: str, visible: str, by: datetime, findings: Sequence[ObservedFinding]
) -> Detection:
    """Find the first monitoring run that detected a fault.

    Findings before ``by`` have another cause and are ignored. A finding without an event at the server counts as not
    detected: no automation could act on the finding.

    Args:
        event: Name of the event.
        subject: Pattern of the subject.
        visible: First run that can detect the fault, and why.
        by: as_of of that run.
        findings: Findings of all runs.

    Returns:
        The detection.
    """
    hits = [
        item
        for item in findings
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


def direct_detection(event: str, subject: str, visible: str, day: datetime, summary: str) -> Detection:
    """Create the detection of a fault that the system notices without a monitoring run.

    Args:
        event: Name of the event.
        subject: Subject of the event.
        visible: When the system can detect the fault, and why.
        day: Day of the fault.
        summary: Message of the system; "": not detected.

    Returns:
        The detection.
    """
    finding = ObservedFinding(
        as_of=day, event=event, subject=subject, severity="critical", summary=summary, event_at_server=True
    )
    return find_detection(event, subject, visible, day, [finding] if summary else [])
