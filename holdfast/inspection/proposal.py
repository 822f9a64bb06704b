"""Proposed column mapping: decisions with reasons, and questions where two readings are possible."""

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from pydantic import ValidationError

from holdfast.core.errors import IngestError
from holdfast.ingestion.column_mapping import ColumnMapping
from holdfast.ingestion.mapping_file import explain_errors


@dataclass(frozen=True)
class Decision:
    """Key of the mapping with its proposed value.

    Attributes:
        key: Key, with a point before a nested one: ``columns.amount``.
        value: Value as in the YAML file.
        reason: Evidence for the value, one clause.
    """

    key: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Answer:
    """Answer to a question.

    Attributes:
        text: Answer in a few words.
        keys: Keys of the mapping that express the answer; empty where no mapping can.
    """

    text: str
    keys: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Question:
    """Decision that the values leave open.

    Attributes:
        text: Question, one line.
        answers: Possible answers, the likeliest first.
        keys: Keys that settle the question when a person gives them.
    """

    text: str
    answers: tuple[Answer, ...]
    keys: tuple[str, ...]


@dataclass(frozen=True)
class Proposal:
    """Proposed mapping of a source.

    Attributes:
        decisions: Decisions in the order of a mapping file.
        questions: Open questions; the proposal is sure where there is none.
        notes: Facts that a person should know, with the key to change.
    """

    decisions: tuple[Decision, ...] = ()
    questions: tuple[Question, ...] = ()
    notes: tuple[str, ...] = ()

    def __add__(self, other: "Proposal") -> "Proposal":
        """Join two parts of a proposal."""
        return Proposal(
            (*self.decisions, *other.decisions), (*self.questions, *other.questions), (*self.notes, *other.notes)
        )

    @property
    def is_sure(self) -> bool:
        """Return whether no question is open."""
        return not self.questions

    @property
    def content(self) -> dict[str, Any]:
        """Return the mapping as nested keys and values."""
        return nest_keys({decision.key: decision.value for decision in self.decisions})

    def assume_first_answers(self) -> "Proposal":
        """Return the proposal that the first answer to each question makes, for a preview.

        Returns:
            Proposal without the questions that have an answer.
        """
        decided = {decision.key: decision for decision in self.decisions}
        for question in self.questions:
            keys = question.answers[0].keys if question.answers else {}
            if "columns.amount" in keys:
                decided.pop("columns.unit_price", None)
            for key, value in keys.items():
                decided[key] = Decision(key, value, "assumed for this preview")
        return replace(self, decisions=tuple(decided.values()), questions=())

    def build_mapping(self) -> ColumnMapping | None:
        """Validate the decisions as a mapping.

        Returns:
            Mapping; None where a required key is undecided.
        """
        try:
            return ColumnMapping.model_validate(self.content)
        except ValidationError:
            return None

    def explain_invalid(self) -> str:
        """Explain why the decisions are no mapping.

        Returns:
            Problems, "" for a valid mapping.
        """
        try:
            ColumnMapping.model_validate(self.content)
        except ValidationError as error:
            return " ".join(explain_errors(error))
        return ""


def list_named_columns(value: Any) -> list[str]:
    """List the columns that a source of a field names.

    Args:
        value: Column, list of columns, or nested values such as ``{"add": ["Price", "Tax"]}``.

    Returns:
        Names in order; none of a constant.
    """
    if isinstance(value, dict):
        return [name for key, part in value.items() if key != "constant" for name in list_named_columns(part)]
    if isinstance(value, list | tuple):
        return [name for part in value for name in list_named_columns(part)]
    return [value] if isinstance(value, str) else []


def nest_keys(values: Mapping[str, Any]) -> dict[str, Any]:
    """Convert keys with points to nested keys.

    Args:
        values: Values by key: ``{"columns.amount": "total"}``.

    Returns:
        Nested values: ``{"columns": {"amount": "total"}}``.
    """
    result: dict[str, Any] = {}
    for key, value in values.items():
        *parents, last = key.split(".")
        level = result
        for parent in parents:
            level = level.setdefault(parent, {})
        present = level.get(last)
        level[last] = {**present, **value} if isinstance(present, dict) and isinstance(value, dict) else value
    return result


def parse_setting(text: str) -> tuple[str, Any]:
    """Parse a key of the mapping that a person gives.

    Args:
        text: ``key=value``; the value is YAML, the key may have a point: ``columns.customer_id=email``.

    Returns:
        Key and value.

    Raises:
        IngestError: The text has no ``=``, or the value is no YAML.
    """
    key, separator, value = text.partition("=")
    if not separator or not key.strip():
        raise IngestError(f"--set {text!r} is not KEY=VALUE; an example: --set columns.customer_id=email")
    if not value.startswith(("{", "[", "'", '"')) and value not in ("true", "false", "null"):
        return key.strip(), value  # %d/%m/%Y or a semicolon, which are no YAML
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise IngestError(f"--set {text!r}: the value is not readable as YAML: {error}") from error


def format_setting(key: str, value: Any) -> str:
    """Format a key of the mapping as an option of the command line.

    Args:
        key: Key, with a point before a nested one.
        value: Value.

    Returns:
        Text such as ``--set columns.customer_id=email``, quoted for the shell.
    """
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return f"--set {shlex.quote(f'{key}={text}')}"
