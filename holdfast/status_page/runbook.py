"""The runbook as a page: what alerts link to."""

import re
from itertools import pairwise
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

_FILE = Path(__file__).resolve().parents[2] / "docs" / "runbook.md"


def render_runbook(file: Path = _FILE) -> str:
    """docs/runbook.md; each heading can be linked to by its words, with hyphens between them."""
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(file.read_text())
    for token, inside in pairwise(tokens):
        if token.type == "heading_open":
            token.attrSet("id", heading_anchor(_text(inside)))
    return str(parser.renderer.render(tokens, parser.options, {}))


def heading_anchor(heading: str) -> str:
    """``holdfast drift detected`` becomes ``holdfast-drift-detected``, and so does ``holdfast.drift.detected``."""
    return re.sub(r"[^a-z0-9_]+", "-", heading.lower()).strip("-")


def _text(inline: Token) -> str:
    return "".join(child.content for child in inline.children or [] if child.type in ("text", "code_inline"))
