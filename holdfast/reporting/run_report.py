"""Report of a main job that ends without a new served model, and its files."""

from pathlib import Path
from typing import Literal

from pydantic import BaseModel
from rich.console import Console

from holdfast.core.atomic_files import replace_file

SUMMARY_FILE = "run-summary.json"
REPORT_FILE = "run-report.md"
Outcome = Literal["too little history", "no signal", "refused"]


class RunReport(BaseModel):
    """Result of a main job without a new served model, as in ``run-summary.json``.

    Attributes:
        text: The report, Markdown.
        version: Trained version; None where nothing was trained.
        champion: Version that is served; None if nothing is.
        failed: Names of the failed gates.
        days_had: Days of history; None if they are not the cause.
        days_needed: Days of history that a training needs.
    """

    model_config = {"protected_namespaces": ()}

    outcome: Outcome
    text: str
    version: str | None = None
    champion: str | None = None
    failed: list[str] = []
    days_had: int | None = None
    days_needed: int | None = None

    @property
    def is_result(self) -> bool:
        """Return whether the job ended in order: the data allow no model, which is a result and no error."""
        return self.outcome != "refused"


def write_report(report: RunReport, data: Path) -> Path:
    """Write a report as Markdown and, where no model is served, as JSON in place of the summary of an earlier run.

    Args:
        report: Report of the job.
        data: Data folder.

    Returns:
        The Markdown file.
    """
    texts = {data / REPORT_FILE: report.text}
    if report.champion is None:
        texts[data / SUMMARY_FILE] = report.model_dump_json(indent=2)
    for path, text in texts.items():
        with replace_file(path) as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")
    return data / REPORT_FILE


def print_report(report: RunReport, data: Path, console: Console) -> None:
    """Print a report, and the file that has it.

    Args:
        report: Report of the job.
        data: Data folder.
        console: Receives the text.
    """
    console.print(f"\n{report.text}\n\nThis report: {data / REPORT_FILE}", markup=False)


def describe_served(champion: str | None) -> str:
    """Describe what is served where a run has no new model.

    Args:
        champion: Version of the champion; None without one.

    Returns:
        A sentence.
    """
    if champion is None:
        return "There is no champion, nothing is served."
    return f"Version {champion} is the champion and is served."
