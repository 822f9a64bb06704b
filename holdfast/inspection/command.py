"""Command line of the first look."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError, IngestError
from holdfast.inspection.inspection import Inspection, inspect_source
from holdfast.inspection.inspection_report import COMMAND, describe_next, print_inspection
from holdfast.inspection.mapping_writer import render_mapping, write_mapping
from holdfast.inspection.proposal import parse_setting
from holdfast.models.label import LabelTerms
from holdfast.runtime.cli_errors import exit_on_expected_error
from holdfast.training.settings import TrainingSettings

UNDECIDED = 3
_DEFAULT_FILE = "mapping.yaml"


def run_inspection(arguments: Sequence[str]) -> int:
    """Take a first look at a source, print it, and write the mapping if asked to.

    Args:
        arguments: Options of the command line.

    Returns:
        Exit code: 0 sure, 3 undecided or refused. An unreadable source exits with 1.
    """
    options = _parse(arguments)
    console = Console(highlight=False)
    with exit_on_expected_error(lambda: (HoldfastError, OSError)):
        given = dict(parse_setting(text) for text in options.set)
        target = Path(options.write).expanduser() if options.write else None
        if target is not None and target.exists() and not options.overwrite:
            raise IngestError(f"{target} exists. Give another file with --write FILE, or --overwrite.")
        inspection = _inspect(Path(options.inspect).expanduser(), given)
        print_inspection(inspection, console, given)
        while inspection.proposal.questions and sys.stdin.isatty() and sys.stdout.isatty():
            answers = _ask(inspection, console)
            if not answers:
                break
            given |= answers
            inspection = _inspect(inspection.path, given)
            print_inspection(inspection, console, given)
        written = None
        if target is not None and inspection.is_sure:
            write_mapping(render_mapping(inspection.proposal, inspection.path.name), target, options.overwrite)
            written = target
            console.print(f"\nWritten: {target}", soft_wrap=True)
        console.print()
        console.print(describe_next(inspection, given, written), soft_wrap=True, markup=False)
    return 0 if inspection.is_sure else UNDECIDED


def _inspect(path: Path, given: dict[str, Any]) -> Inspection:
    terms = LabelTerms.of(Settings.from_environment())
    return inspect_source(path, given, terms.outcome_days, TrainingSettings().min_history_days, terms.has_subscriptions)


def _parse(arguments: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog=COMMAND,
        description="Take a first look at a source: propose a mapping with its reasons, and show what an ingest "
        "with it would store. Starts no server and stores nothing. Exit code: 0 sure, 3 undecided or refused, 1 not "
        "readable.",
    )
    parser.add_argument("--inspect", required=True, metavar="FILE_OR_FOLDER", help="source to look at")
    parser.add_argument(
        "--write", nargs="?", const=_DEFAULT_FILE, metavar="FILE", help="write the mapping, to mapping.yaml or to FILE"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace an existing mapping file")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="decide a key of the mapping, for example columns.customer_id=email; repeat for more",
    )
    return parser.parse_args(arguments)


def _ask(inspection: Inspection, console: Console) -> dict[str, Any]:
    """Ask the open questions in the terminal; an empty line leaves a question open."""
    answers: dict[str, Any] = {}
    for number, question in enumerate(inspection.proposal.questions, 1):
        letters = "abcdefghij"[: len(question.answers)]
        reply = console.input(f"Question {number} ({', '.join(letters)}; Enter leaves it open): ", markup=False)
        choice = letters.find(reply.strip().lower()) if reply.strip() else -1
        if choice >= 0:
            answers |= dict(question.answers[choice].keys)
    return answers
