"""Attacks by texts: a value from data, a registry or a person is shown as text in every channel."""

import io
import logging
import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import pandas as pd
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

import flows._artifacts as published
from feature_repo.log_records import escape_controls, protect_log_lines
from holdfast.alerting.alert import Alert, Message, OpenAlert
from holdfast.alerting.channels import SlackChannel
from holdfast.core.plain_text import escape_markdown, escape_prose, fence, to_line
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.model_versions.records import ApprovalRecord
from holdfast.promotion.approval import request_text
from holdfast.promotion.gate_report import GateReport
from holdfast.reporting.artifact_tables import quarantine_markdown
from holdfast.reporting.model_card_render import render_html
from holdfast.runtime.endpoints import runbook_entry_url
from tests.support.version_histories import gate

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PARTS = (
    "<script>alert(1)</script>", "<img src=x onerror=alert(1)>",
    "[text](https://evil.example)", "![](https://evil.example)",
    "`", "```", "|", "\n", "\r", "\n\n# heading", "\n- item", "1. ", "\\", "&lt;b&gt;", "**bold**", "_x_", "~~~",
    "---", "===",
    "\x1b[2J", "\x00", "\u2028", "\u202e", "<!channel>", "<https://evil.example|ok>", "@",
    "\n2026-01-01 12:00 ERROR forged",
    "javascript:alert(1)", "name", " ", "[a]: https://evil.example", "    code", "<a@b.example>", "<!--",
)  # fmt: skip
HOSTILE = st.lists(st.sampled_from(PARTS) | st.text(max_size=8), max_size=8).map("".join)
CONTROLS = re.compile("[\x00-\x08\x0a-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
_RENDERER = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])


class Page(HTMLParser):
    """Tags and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        assert not attrs, attrs
        self.tags.append(tag)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_data(self, data: str) -> None:
        self.text += data


def render(markdown: str) -> Page:
    """Render Markdown as leniently as a page may: HTML, tables and strikethrough are on."""
    return Page(_RENDERER.render(markdown))


@given(HOSTILE)
@example("1. a")
@example("-")
@example("~~x~~")
def test_escape_markdown_shows_the_text_itself(text: str) -> None:
    page = render(escape_markdown(text))
    assert set(page.tags) <= {"p"}
    assert page.text.strip() == to_line(text).replace("\x00", "")
    assert not CONTROLS.search(to_line(text))


@given(HOSTILE, HOSTILE)
def test_escape_markdown_adds_nothing_to_its_surroundings(first: str, second: str) -> None:
    table = f"| a | b |\n|---|---|\n| x {escape_markdown(first)} | {escape_markdown(second)} |"
    page = render(table)
    assert page.tags == ["table", "thead", "tr", "th", "th", "tbody", "tr", "td", "td"]
    assert " ".join(page.text.split()) == " ".join(f"a b x {to_line(first)} {to_line(second)}".split())


@given(HOSTILE)
def test_escape_prose_has_only_paragraphs_and_code(text: str) -> None:
    assert set(render(escape_prose(f"The slice {text} failed: run `python -m flows.gates`.\n\nNext")).tags) <= {
        "p",
        "code",
    }
    assert set(render(escape_prose(text)).tags) <= {"p", "code"}


@given(HOSTILE)
def test_fence_shows_code_only(text: str) -> None:
    assert set(render(fence(text)).tags) == {"pre", "code"}


@given(HOSTILE)
def test_artifacts_show_values_as_text(text: str) -> None:
    sent: list[dict[str, Any]] = []

    def send(content: Any, key: str, description: str) -> None:
        sent.append({"c": content, "d": description})

    with pytest.MonkeyPatch.context() as patch:
        for name in ("create_markdown_artifact", "create_table_artifact"):
            patch.setattr(published, name, send)
        published.publish_text(f"Approved, claimed by {text}: {text}", "key", text)
        published.publish_table([{text: text, "rows": 1}], "key", text)
    markdown, table = sent
    for content in (markdown["c"], markdown["d"], table["d"]):
        assert set(render(content).tags) <= {"p", "code"}
    assert not CONTROLS.search("".join(f"{name}{value}" for name, value in table["c"][0].items()))


@given(HOSTILE)
def test_ingest_and_approval_documents_have_their_own_structure_only(text: str) -> None:
    bad = pd.DataFrame({"source_file": [text], "row_number": [1], "reasons": [[text, "other"]]})
    assert render(quarantine_markdown(bad)).tags == [
        "p", "table", "thead", "tr", "th", "th", "th", "tbody", "tr", "td", "td", "td"
    ]  # fmt: skip
    report = GateReport(
        version="1",
        champion=None,
        key="k",
        when=NOW,
        settings=GateSettings(),
        gates=[gate("slices", 1.0, "failed", text)],
    )
    request = ApprovalRecord(status="waiting", since=NOW, until=NOW, flow_run="run", gates="k")
    page = render(request_text(report, text, request))
    assert set(page.tags) == {"p", "strong", "table", "thead", "tr", "th", "tbody", "td"}
    assert page.tags.count("tr") == 2
    assert to_line(text) in page.text


@given(HOSTILE)
def test_model_card_page_shows_values_as_text(text: str) -> None:
    body = render_html(f"# Card\n\n## Approval\n\n**{escape_markdown(text)}**", "Card").partition("<body>")[2]
    assert "<script>alert" not in body and "<img src=x" not in body and 'href="https://evil' not in body


@given(HOSTILE)
def test_slack_shows_values_as_text(text: str) -> None:
    alert = OpenAlert(
        key="k", severity="critical", title=f"Drift: {text}", text=text, evidence="https://prefect.example/x|y>z",
        runbook=text.replace("://", ""), source="s", opened=NOW, last_seen=NOW, count=1,
    )  # fmt: skip
    body = SlackChannel("https://hooks.example", "info", 1)._body(Message(id="1", kind="opened", alert=alert))
    assert body["mrkdwn"] is False and not CONTROLS.search(body["text"])
    *texts, links = body["blocks"]
    assert {block["text"]["type"] for block in texts} <= {"plain_text"}
    assert all(not CONTROLS.search(block["text"]["text"]) for block in texts)
    assert re.findall(r"<[^>]*>", links["text"]["text"]) == ["<https://prefect.example/x%7Cy%3Ez|evidence>"]


class Log:
    """Logger with the format of a service, and its lines."""

    def __init__(self) -> None:
        protect_log_lines()
        self.stream = io.StringIO()
        handler = logging.StreamHandler(self.stream)
        handler.setFormatter(logging.Formatter("TIME %(levelname)s %(message)s"))
        self.logger = logging.Logger("hostile")
        self.logger.addHandler(handler)

    @property
    def records(self) -> list[str]:
        """Return the lines at the margin: what a reader, or a parser, takes for records."""
        return [
            line for line in re.split(r"[\r\n\x0b\x0c\x85\u2028\u2029]", self.stream.getvalue()) if line[:1].strip()
        ]


@given(HOSTILE)
def test_log_message_forges_no_line(text: str) -> None:
    log = Log()
    log.logger.warning("The file %s was left out: %s", text, text)
    log.logger.error(f"reason: {text}")
    assert [line.split()[0] for line in log.records] == ["TIME", "TIME"]
    assert "\x1b" not in log.stream.getvalue()


@given(HOSTILE)
def test_log_traceback_forges_no_line(text: str) -> None:
    log = Log()
    try:
        raise ValueError(f"bad name {text}")
    except ValueError:
        log.logger.exception("failed")
    assert log.records[0] == "TIME ERROR failed"
    assert [line for line in log.records[1:] if not line.startswith("Traceback")] == []
    assert "ValueError: bad name" in log.stream.getvalue()


def test_protect_log_lines_keeps_own_lines_and_wrong_calls() -> None:
    log = Log()
    log.logger.info("A table:\n  a\tb\n  1\t2")
    assert log.stream.getvalue() == "TIME INFO A table:\n      a\tb\n      1\t2\n"
    factory = logging.getLogRecordFactory()
    protect_log_lines()
    assert logging.getLogRecordFactory() is factory
    record = factory("name", logging.INFO, "file", 1, "%d rows", ("many",), None)
    assert record.args == ("many",)


def test_entry_points_protect_their_log(monkeypatch: pytest.MonkeyPatch, data_dir: Any) -> None:
    from feature_repo.settings import apply_environment

    monkeypatch.setattr(logging, "_logRecordFactory", logging.LogRecord)
    apply_environment()
    log = SimpleNamespace(record=logging.getLogRecordFactory()("n", 20, "f", 1, "a\nb\x1b", (), None))
    assert log.record.getMessage() == "a\n    b\\x1b"


@given(st.text(max_size=30))
def test_escape_controls_leaves_printable_texts(text: str) -> None:
    shown = escape_controls(text)
    assert not CONTROLS.search(shown)
    assert shown == text or CONTROLS.search(text) or any(ord(character) > 0x600 for character in text)


@given(
    st.from_regex(r"[a-z]{1,8}", fullmatch=True),
    st.text("abc/@:%[]!'&=+", min_size=1, max_size=12).map(lambda text: f"s3cret{text}s3cret"),
)
def test_alerts_and_artifacts_carry_no_login(user: str, password: str) -> None:
    address, sent = f"https://{user}:{password}@wiki.example/runbook", []
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOLDFAST_RUNBOOK_URL", address)
        assert runbook_entry_url("holdfast.drift.detected") == "https://wiki.example/runbook#holdfast-drift-detected"
        alert = Alert.for_subject("holdfast.run.failed", "daily", "critical", f"{address} is down", address)
        for name in ("create_markdown_artifact", "create_table_artifact"):
            patch.setattr(published, name, lambda *content, **options: sent.append(f"{content} {options}"))
        published.publish_text(f"{address} is down", "key", address)
        published.publish_table([{"text": f"{address} is down"}], "key", address)
    for shown in (alert.model_dump_json(), *sent):
        assert "s3cret" not in shown and "wiki.example" in shown


def test_only_one_module_publishes_artifacts() -> None:
    from pathlib import Path

    folder = Path(published.__file__).parent
    users = [
        file.name
        for file in folder.glob("*.py")
        if re.search(r"create_(markdown|table|link|image)_artifact", file.read_text()) and file.name != "_artifacts.py"
    ]
    assert users == []
