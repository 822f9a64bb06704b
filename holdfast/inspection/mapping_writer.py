"""Mapping file with the reasons of its values as comments."""

import textwrap
from pathlib import Path
from typing import Any

import yaml

from holdfast.core.errors import IngestError
from holdfast.inspection.proposal import Decision, Proposal

_WIDTH = 100


def render_mapping(proposal: Proposal, source: str) -> str:
    """Render a proposal as the text of a mapping file.

    Args:
        proposal: Proposal without open questions.
        source: Name of the source.

    Returns:
        YAML with a comment above each key.
    """
    lines = [f"# Mapping of {source}, proposed by `python -m flows.ingest --inspect`."]
    groups: dict[str, list[Decision]] = {"columns": []}
    for decision in proposal.decisions:
        groups.setdefault(decision.key.partition(".")[0], []).append(decision)
    for group, decisions in groups.items():
        nested = [decision for decision in decisions if "." in decision.key]
        for decision in decisions:
            if decision not in nested:
                lines += [*_comment(decision, ""), f"{group}: {_to_yaml(decision.value)}"]
        lines += [f"{group}:"] if nested else []
        for decision in nested:
            name = decision.key.partition(".")[2]
            lines += [*_comment(decision, "  "), f"  {_to_yaml(name)}: {_to_yaml(decision.value)}"]
    keys = {decision.key for decision in proposal.decisions}
    if "time_zone" not in keys:
        lines += [
            "# Times without an offset are read in this zone; change it to the zone of the shop.",
            "time_zone: UTC",
        ]
    return "\n".join(lines) + "\n"


def _comment(decision: Decision, indent: str) -> list[str]:
    return [f"{indent}# {line}" for line in textwrap.wrap(decision.reason, _WIDTH)]


def write_mapping(text: str, path: Path, overwrite: bool) -> None:
    """Write a mapping file.

    Args:
        text: Text of the file.
        path: File.
        overwrite: Whether an existing file is replaced.

    Raises:
        IngestError: The file exists, or its folder does not.
    """
    if path.exists() and not overwrite:
        raise IngestError(f"{path} exists. Give another file with --write FILE, or --overwrite.")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise IngestError(f"{path} cannot be written: {error}") from error


def _to_yaml(value: Any) -> str:
    """Return a value on one line, quoted where YAML needs it."""
    text = yaml.safe_dump([value], default_flow_style=True, allow_unicode=True, sort_keys=False, width=100_000)
    return text.strip().removeprefix("[").removesuffix("]")
