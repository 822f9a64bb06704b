"""Artifacts in the Prefect UI, which renders texts as Markdown: values in them are shown as text, without logins."""

from collections.abc import Mapping, Sequence
from typing import Any

from prefect.artifacts import create_image_artifact, create_markdown_artifact, create_table_artifact

from holdfast.core.plain_text import escape_prose, to_line
from holdfast.core.plot_style import png_data_url
from holdfast.core.redaction import redact_logins


def publish_table(rows: Sequence[Mapping[str, Any]], key: str, description: str) -> None:
    """Publish rows.

    Args:
        rows: Column to value; texts become lines without control characters.
        key: Key of the artifact.
        description: Text.
    """
    create_table_artifact(plain_rows(rows), key=key, description=escape_prose(redact_logins(description)))


def publish_text(text: str, key: str, description: str) -> None:
    """Publish paragraphs of text.

    Args:
        text: Text with code spans, no Markdown.
        key: Key of the artifact.
        description: Text.
    """
    publish_markdown(escape_prose(redact_logins(text)), key, description)


def publish_markdown(markdown: str, key: str, description: str) -> None:
    """Publish Markdown, whose values were escaped where it was composed.

    Args:
        markdown: The document.
        key: Key of the artifact.
        description: Text.
    """
    create_markdown_artifact(markdown, key=key, description=escape_prose(redact_logins(description)))


def publish_plot(png: bytes, key: str, description: str) -> None:
    """Publish a plot.

    Args:
        png: The plot.
        key: Key of the artifact.
        description: Text.
    """
    create_image_artifact(png_data_url(png), key=key, description=escape_prose(redact_logins(description)))


def plain_rows(rows: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Convert the texts of a table to lines.

    Args:
        rows: Column to value.

    Returns:
        The rows, as the artifact stores them.
    """
    return [{to_line(name): _line(value) for name, value in row.items()} for row in rows]


def _line(value: Any) -> Any:
    return to_line(redact_logins(value)) if isinstance(value, str) else value
