"""Template functions, sections, cache, and anchors of the runbook."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import get_args

import pytest

from holdfast.core.errors import HoldfastError
from holdfast.core.redaction import redact_logins
from holdfast.monitoring.findings import EventName
from holdfast.runtime.endpoints import runbook_entry_url
from holdfast.status_page.filters import format_age, format_duration, format_number, safe_link
from holdfast.status_page.runbook import heading_anchor, render_runbook
from holdfast.status_page.sections import load_section
from holdfast.status_page.system_status import CACHE_SECONDS, CachedStatus

NOW = datetime(2024, 7, 3, 12, tzinfo=UTC)


def test_durations_use_their_largest_unit() -> None:
    assert [format_duration(seconds) for seconds in (0, 59, 90, 7200, 129_600)] == [
        "0 s",
        "59 s",
        "1.5 min",
        "2 h",
        "1.5 d",
    ]
    assert format_age(NOW - timedelta(hours=2), NOW) == "2 h ago"
    assert format_age(NOW + timedelta(minutes=5), NOW) == "in 5 min"
    assert format_age(None, NOW) == "never"


@pytest.mark.parametrize("target", ["javascript:alert(1)", "docs/runbook.md#x", "data:text/html,x", "", "//evil/x"])
def test_safe_link_rejects_other_schemes(target: str) -> None:
    assert safe_link(target) == ""


def test_safe_link_has_no_credentials() -> None:
    assert safe_link("https://ann:secret@mlflow.example/x?a=b@c") == "https://mlflow.example/x?a=b@c"
    assert redact_logins("cannot reach http://u:p@h:1/x and ftp://q@h") == "cannot reach http://h:1/x and ftp://h"


def test_format_number_rounds() -> None:
    assert [format_number(value) for value in (None, 0.25, 12345.6)] == ["–", "0.250", "12,346"]


def test_load_section_has_the_error_in_one_line() -> None:
    def expected() -> int:
        raise HoldfastError("no\n  table")

    assert load_section(lambda: 1).value == 1
    assert load_section(expected).error == "no table"
    assert load_section(lambda: 1 / 0).error == "ZeroDivisionError: division by zero"


def test_cached_status_is_loaded_again_after_its_time(data_dir: Path) -> None:
    time = [0.0]
    cached = CachedStatus(lambda: time[0])
    first = cached()
    assert cached() is first
    time[0] += CACHE_SECONDS + 1
    assert cached() is not first


def test_render_runbook_gives_headings_an_id(tmp_path: Path) -> None:
    file = tmp_path / "runbook.md"
    file.write_text("# Runbook\n\n## holdfast.drift.detected\n\nDo <script>x</script> this.\n\n|a|b|\n|-|-|\n|1|2|\n")
    page = render_runbook(file)
    assert '<h2 id="holdfast-drift-detected">' in page
    assert "<script>" not in page
    assert "<td>1</td>" in page
    assert heading_anchor("holdfast rollout rolled_back") == "holdfast-rollout-rolled_back"


def test_runbook_has_an_entry_for_every_event() -> None:
    page = render_runbook()
    for event in get_args(EventName):
        assert f'id="{runbook_entry_url(event).partition("#")[2]}"' in page, event
