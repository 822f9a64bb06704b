"""Rendering of a model card: Markdown from its context and plots, HTML from the Markdown."""

import io
import math
import re
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markdown_it import MarkdownIt
from markupsafe import Markup
from PIL import Image

from holdfast.core.formatting import format_count, format_minute
from holdfast.core.plain_text import escape_markdown
from holdfast.core.plot_style import png_data_url
from holdfast.training.evaluation_report import Interval

_FOLDER = Path(__file__).resolve().parent
_COLORS = 64  # enough for a plot, at a quarter of the size
_INTERVAL = re.compile(r"<td>([+-]?[\d.]+) \(([^<()]+ to [^<()]+)\)</td>")


def render_markdown(context: Mapping[str, Any], plots: Mapping[str, bytes]) -> str:
    """Render the card as Markdown. Values are escaped; a missing plot is left out.

    Args:
        context: See :func:`holdfast.reporting.model_card_facts.build_card_context`.
        plots: PNG by name.

    Returns:
        The card.
    """

    def embed_plot(name: str, alt: str) -> Markup:
        return Markup(f"![{alt}]({shrink_png(plots[name])})") if name in plots else Markup("")  # noqa: S704  own names and plots

    environment = Environment(  # noqa: S701  Markdown, with its own escape
        loader=FileSystemLoader(_FOLDER),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=_escape,
    )
    environment.filters |= {
        "plot": embed_plot,
        "minute": format_minute,
        "month": lambda time: f"{time:%Y-%m}",
        "count": lambda value: f"{value:,}",
        "format_count": format_count,
        "number": lambda value, digits: f"{value:.{digits}f}",
        "percent": lambda value: f"{value:.1%}",
        "difference": format_difference,
        "known": lambda interval: interval if math.isfinite(interval.low) else "—",
    }
    return re.sub(r"\n{3,}", "\n\n", environment.get_template(context["template"]).render(context))


def render_html(markdown: str, title: str) -> str:
    """Render the card as a self-contained HTML page.

    Args:
        markdown: The card.
        title: Title of the page.

    Returns:
        The page, which loads nothing.
    """
    body = MarkdownIt("commonmark", {"html": False}).enable("table").render(markdown)
    body = re.sub("<td>(passed|failed)</td>", r'<td class="\1">\1</td>', body)
    body = _INTERVAL.sub(r"<td>\1 <small>\2</small></td>", body)
    head, *sections = body.split("<h2>")
    page = Environment(loader=FileSystemLoader(_FOLDER), autoescape=True).get_template("model_card.html.j2")
    return page.render(title=title, head=Markup(head), sections=[Markup(f"<h2>{part}") for part in sections])  # noqa: S704  rendered Markdown


def format_difference(interval: Interval, digits: int = 3) -> str:
    """Format a difference with its interval.

    Args:
        interval: Value and bounds.
        digits: Decimals.

    Returns:
        Such as "+0.012 (+0.001 to +0.020)".
    """
    numbers = (round(number, digits) + 0.0 for number in (interval.value, interval.low, interval.high))  # no -0.000
    value, low, high = (f"{number:+.{digits}f}" for number in numbers)
    return f"{value} ({low} to {high})"


def shrink_png(png: bytes) -> str:
    """Reduce the colors of a plot.

    Args:
        png: The plot.

    Returns:
        Data URL of the smaller PNG.
    """
    buffer = io.BytesIO()
    plot = Image.open(io.BytesIO(png)).convert("RGB")
    plot.quantize(_COLORS, dither=Image.Dither.NONE).save(buffer, "PNG", optimize=True)
    return png_data_url(buffer.getvalue())


def _escape(value: Any) -> Any:
    if isinstance(value, Markup):
        return value
    if isinstance(value, datetime):
        return format_minute(value)
    return escape_markdown(value)
