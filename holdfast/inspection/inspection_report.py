"""Report of a first look for a terminal."""

import shlex
import sys
import textwrap
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table
from rich.text import Text

from holdfast.inspection.inspection import Inspection
from holdfast.inspection.preview import Preview
from holdfast.inspection.proposal import Answer, Question, format_setting
from holdfast.inspection.training_readiness import TrainingReadiness

_PYTHON = Path(sys.executable)
# The interpreter of this run: outside the environment, `python` has none of the libraries.
_SHOWN = _PYTHON.relative_to(Path.cwd()) if _PYTHON.is_relative_to(Path.cwd()) else _PYTHON
COMMAND = f"{shlex.quote(str(_SHOWN))} -m flows.ingest"
_LONGEST = 160  # characters of a value; the mapping file has all of it
_ROWS = 5
_REASONS = 8
_GAPS = 3


def print_inspection(inspection: Inspection, console: Console, given: dict[str, Any] | None = None) -> None:
    """Print a first look: mapping, questions, rows, quarantine, shop and the next command.

    Args:
        inspection: Result of the first look.
        console: Console.
        given: Keys that a person has decided, repeated in the commands.
    """
    rows = f"{inspection.rows:,} rows, {inspection.columns} columns"
    if inspection.evidence_rows < inspection.rows:
        rows += f"; the mapping rests on {inspection.evidence_rows:,} rows spread over the source"
    _heading(console, f"{inspection.path.name}: {rows}")
    console.print(_mapping_table(inspection))
    for number, question in enumerate(inspection.proposal.questions, 1):
        _print_question(console, number, question, inspection, given or {})
    preview = inspection.preview
    assumption = ", if the first answer to each question is right" if inspection.proposal.questions else ""
    if preview is not None and preview.refusal:
        _heading(console, "An ingest with this mapping would refuse the source" + assumption)
        _print(console, preview.refusal)
    elif preview is not None:
        _print_preview(console, preview, assumption)
    if inspection.readiness is not None:
        _heading(console, "Shop")
        console.print(_shop_table(inspection.readiness))
    notes = [*inspection.proposal.notes, *(preview.notes if preview else ())]
    if notes:
        _heading(console, "Notes")
        for note in notes:
            _print(console, f"- {note}")


def describe_next(inspection: Inspection, given: dict[str, Any], written: Path | None) -> str:
    """Describe the next command after a first look.

    Args:
        inspection: Result of the first look.
        given: Keys that a person has decided.
        written: Mapping file that was written; None without one.

    Returns:
        One sentence with a command, or the number of open questions.
    """
    source = shlex.quote(str(inspection.path))
    questions = len(inspection.proposal.questions)
    if questions:
        return f"Undecided: {questions} question{'s' * (questions > 1)} above. Nothing was written."
    if not inspection.is_sure:
        return "No mapping was written: an ingest with it would refuse the source."
    if written is None:
        return f"Write this mapping: {_inspect_command(inspection, given)} --write"
    return f"Ingest: {COMMAND} --source {source} --mapping {shlex.quote(str(written))}"


def list_questions(inspection: Inspection) -> str:
    """List the open questions with the keys of each answer and the command, for an error message.

    Args:
        inspection: Result of the first look.

    Returns:
        Lines.
    """
    lines = []
    for question in inspection.proposal.questions:
        lines.append(f"  {question.text}")
        lines += [f"    {answer.text}: {_settings(answer)}" for answer in question.answers if answer.keys]
    command = _inspect_command(inspection, {})
    return "\n".join([*lines, f"Decide with: {command} --set KEY=VALUE --write, then add MAPPING=mapping.yaml"])


def _inspect_command(inspection: Inspection, given: dict[str, Any]) -> str:
    settings = [format_setting(key, value) for key, value in given.items()]
    return " ".join([COMMAND, "--inspect", shlex.quote(str(inspection.path)), *settings])


def _settings(answer: Answer) -> str:
    return " ".join(format_setting(key, value) for key, value in answer.keys.items())


def _mapping_table(inspection: Inspection) -> Table:
    table = Table("key", "value", "reason", box=None, padding=(0, 2, 0, 0), pad_edge=False)
    for decision in inspection.proposal.decisions:
        table.add_row(
            _text(decision.key),
            _text(textwrap.shorten(_show(decision.value), _LONGEST, placeholder=" …")),
            _text(decision.reason),
        )
    if all(decision.key != "time_zone" for decision in inspection.proposal.decisions):
        table.add_row("time_zone", "UTC", "assumed for times without an offset; no column names a zone")
    return table


def _print_question(
    console: Console, number: int, question: Question, inspection: Inspection, given: dict[str, Any]
) -> None:
    _heading(console, f"Question {number}: {question.text}")
    for letter, answer in zip("abcdefghij", question.answers, strict=False):
        _print(console, f"  {letter}) {answer.text}")
        if answer.keys:
            console.print(_text(f"     {_inspect_command(inspection, given)} {_settings(answer)}"), soft_wrap=True)
    if not question.answers:
        keys = " ".join(f"--set {key}=COLUMN" for key in question.keys[:1])
        console.print(_text(f"     {_inspect_command(inspection, given)} {keys}"), soft_wrap=True)


def _print_preview(console: Console, preview: Preview, assumption: str) -> None:
    _heading(console, "Rows as stored" + assumption)
    console.print(_rows_table(preview.transactions))
    share = preview.quarantined / max(1, preview.rows_read)
    of_sample = "" if preview.is_whole else " of the sample"
    _heading(console, f"Quarantine: {preview.quarantined:,} of {preview.rows_read:,} rows{of_sample} ({share:.1%})")
    if preview.reasons:
        table = Table("rows", "reason", "for example", box=None, padding=(0, 2, 0, 0), pad_edge=False)
        for reason in preview.reasons[:_REASONS]:
            table.add_row(f"{reason.rows:,}", _text(reason.reason), _text("; ".join(reason.examples)))
        console.print(table)


def _rows_table(transactions: pd.DataFrame) -> Table:
    table = Table(box=None, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_column("customer_id", overflow="fold")
    table.add_column("event_timestamp (UTC)", no_wrap=True)
    table.add_column("amount", justify="right", no_wrap=True)
    table.add_column("quantity", justify="right", no_wrap=True)
    for row in transactions.head(_ROWS).itertuples():
        time = f"{row.event_timestamp:%Y-%m-%d %H:%M:%S}"
        table.add_row(_text(str(row.customer_id)), time, f"{row.amount:,.2f}", f"{row.quantity:g}")
    return table


def _shop_table(readiness: TrainingReadiness) -> Table:
    history = readiness.history
    table = Table(box=None, show_header=False, padding=(0, 2, 0, 0), pad_edge=False)
    table.add_row("customers", f"{history.customers:,} with an amount above 0")
    share = readiness.repeat_buyers / max(1, history.customers)
    table.add_row("repeat buyers", f"{readiness.repeat_buyers:,} ({share:.0%}) bought on two days or more")
    if history.first and history.end:
        table.add_row("period", f"{history.first:%Y-%m-%d} to {history.end:%Y-%m-%d}, {history.days:,} days")
    gaps = [f"{first} to {last}" for first, last in readiness.gaps[:_GAPS]]
    more = f" and {len(readiness.gaps) - _GAPS} more" if len(readiness.gaps) > _GAPS else ""
    table.add_row("gaps", f"no row from {', '.join(gaps)}{more}" if gaps else "none")
    table.add_row("enough to train", readiness.describe())
    if readiness.has_subscriptions:
        table.add_row("horizon", "not proposed: the label not_renewed counts ends of subscriptions, not purchases")
    if readiness.proposed_horizon is not None:
        table.add_row("horizon", f"{readiness.proposed_horizon} days cover 80% of the gaps between purchases")
    return table


def _heading(console: Console, text: str) -> None:
    console.print()
    console.print(_text(text), style="bold")


def _print(console: Console, text: str) -> None:
    console.print(_text(text))


def _text(text: str) -> Text:
    """Return text without markup, so that a bracket in a column name stays."""
    return Text(text)


def _show(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}: {item}" for key, item in value.items())
    return repr(value) if isinstance(value, str) and (not value.strip() or len(value) == 1) else str(value)
