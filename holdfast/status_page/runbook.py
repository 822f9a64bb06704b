"""Runbook as HTML, with anchors that alerts link to."""

import re
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

_FILE = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"


def render_runbook(file: Path = _FILE) -> str:
    """Render the runbook; each heading gets an id, see :func:`heading_anchor`.

    Args:
        file: Markdown; HTML in it is escaped.

    Returns:
        An HTML fragment.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(file.read_text())
    for token, content in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", heading_anchor(_plain_text(content)))
    return str(parser.renderer.render(tokens, parser.options, {}))


def heading_anchor(heading: str) -> str:
    """Convert a heading to an id.

    Args:
        heading: Such as ``holdfast drift detected`` or ``holdfast.drift.detected``.

    Returns:
        Such as ``holdfast-drift-detected``.
    """
    return re.sub(r"[^a-z0-9_]+", "-", heading.lower()).strip("-")


def _plain_text(inline: Token) -> str:
    return "".join(child.content for child in inline.children or [] if child.type in ("text", "code_inline"))
