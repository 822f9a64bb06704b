"""Text and picture formatting shared by reports, tables and pages."""

import base64
import io
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def format_minute(time: datetime | None) -> str:
    """Format a time in UTC to the minute, "never" for None."""
    return f"{time:%Y-%m-%d %H:%M} UTC" if time else "never"


def format_cutoffs(cutoffs: Sequence[datetime]) -> str:
    """Format cut-offs as first day, last day and count."""
    if not cutoffs:
        return "none"
    return f"{cutoffs[0]:%Y-%m-%d} to {cutoffs[-1]:%Y-%m-%d} ({len(cutoffs)})"


def render_png(figure: "Figure") -> bytes:
    """The figure as a PNG."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def png_data_url(content: bytes) -> str:
    """A PNG as an address that holds it."""
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
