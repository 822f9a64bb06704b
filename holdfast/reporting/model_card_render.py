"""Renders a model card: Markdown from facts and pictures, HTML from the Markdown."""

import io
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from PIL import Image

from holdfast.core.formatting import format_minute, png_data_url
from holdfast.training.evaluation_report import Interval

_FOLDER = Path(__file__).resolve().parent
_COLOURS = 64  # what a chart needs; a quarter of the size
_INTERVAL = re.compile(r"<td>([+-]?[\d.]+) \(([^<()]+ to [^<()]+)\)</td>")
_ACTIVE = re.compile(r"([\\`*\[\]<>|~]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9]))")


def render_markdown(facts: Mapping[str, Any], pictures: Mapping[str, bytes]) -> str:
    """The card. What comes from data or people is text in it, never Markdown; a picture that is not there is left out.

    Args:
        facts: As ``holdfast.reporting.model_card_facts.build_card_context`` gives them.
        pictures: Name to PNG.
    """

    def picture(name: str, alt: str) -> Markup:
        return Markup(f"![{alt}]({shrink_png(pictures[name])})") if name in pictures else Markup("")

    environment = Environment(
        loader=FileSystemLoader(_FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_as_text,
    )
    environment.filters |= {
        "picture": picture,
        "minute": format_minute,
        "month": lambda time: f"{time:%Y-%m}",
        "count": lambda value: f"{value:,}",
        "number": lambda value, digits: f"{value:.{digits}f}",
        "percent": lambda value: f"{value:.1%}",
        "signed": format_difference,
    }
    return re.sub(r"\n{3,}", "\n\n", environment.get_template("model_card.md.j2").render(facts))


def render_html(markdown: str, title: str) -> str:
    """A page of its own: nothing is loaded from elsewhere."""
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    body = re.sub("<td>(passed|failed)</td>", r'<td class="\1">\1</td>', body)
    body = _INTERVAL.sub(r"<td>\1 <small>\2</small></td>", body)
    head, *sections = body.split("<h2>")
    page = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True).get_template("model_card.html.j2")
    return page.render(title=title, head=Markup(head), sections=[Markup(f"<h2>{part}") for part in sections])


def format_difference(interval: Interval, digits: int = 3) -> str:
    """A difference and its interval."""
    numbers = (round(number, digits) + 0.0 for number in (interval.value, interval.low, interval.high))  # no -0.000
    value, low, high = (f"{number:+.{digits}f}" for number in numbers)
    return f"{value} ({low} to {high})"


def shrink_png(png: bytes) -> str:
    """A chart as a small PNG, within the text."""
    buffer = io.BytesIO()
    chart = Image.open(io.BytesIO(png)).convert("RGB")
    chart.quantize(_COLOURS, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return png_data_url(buffer.getvalue())


def _as_text(value: Any) -> Any:
    if isinstance(value, Markup):
        return value
    if isinstance(value, datetime):
        return format_minute(value)
    return _ACTIVE.sub(r"\\\1", re.sub(r"\s+", " ", str(value)))
