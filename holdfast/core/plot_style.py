"""Style and rendering of plots. Matplotlib is not imported: services ship this package without it."""

import base64
import io
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

GREEN, GRAY, LIGHT = "#0b6e4f", "#6b7280", "#d1d5db"
RED, AMBER = "#b91c1c", "#c46210"


def style_axes(axes: "Axes") -> None:
    """Apply the style of all plots.

    Args:
        axes: Axes to style.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(color="#eef0f2")
    axes.set_axisbelow(True)


def draw_message(axes: "Axes", text: str) -> None:
    """Draw a message instead of a plot without data.

    Args:
        axes: Axes to replace.
        text: Reason why there is no data.
    """
    axes.text(0.5, 0.5, text, ha="center", va="center", color=GRAY)
    axes.set_axis_off()


def render_png(figure: "Figure") -> bytes:
    """Render a figure as PNG.

    Args:
        figure: Matplotlib figure.

    Returns:
        Content of the PNG file.
    """
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110)
    return buffer.getvalue()


def png_data_url(content: bytes) -> str:
    """Embed a PNG in a data URL.

    Args:
        content: Content of the PNG file.

    Returns:
        URL that contains the plot.
    """
    return f"data:image/png;base64,{base64.b64encode(content).decode()}"
