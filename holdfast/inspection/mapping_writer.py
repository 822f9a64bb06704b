"""Mapping file with the reasons of its values as comments."""

import textwrap
from pathlib import Path
from typing import Any

import yaml

from holdfast.core.errors import IngestError
from holdfast.inspection.proposal import Proposal

_WIDTH = 100


def render_mapping(proposal: Proposal, source: str) -> str:
    """Render a proposal as the text of a mapping file.

    Args:
        proposal: Proposal without open questions.
        source: Name of the source.

    Returns:
        YAML with a comment above each key.
    """
    lines = [f"# Mapping of {source}, proposed by `python -m flows.ingest --inspect`.", "columns:"]
    for decision in proposal.decisions:
        group, _, name = decision.key.rpartition(".")
        indent = "  " if group else ""
        lines += [f"{indent}# {line}" for line in textwrap.wrap(decision.reason, _WIDTH)]
        lines.append(f"{indent}{name}: {_to_yaml(decision.value)}")
    keys = {decision.key for decision in proposal.decisions}
    if "time_zone" not in keys:
        lines += [
            "# Times without an offset are read in this zone; change it to the zone of the shop.",
            "time_zone: UTC",
        ]
    return "\n".join(lines) + "\n"


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
