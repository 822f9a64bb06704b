"""Data quality view on sources of several kinds: one that stopped, shrank, is malformed, late or has new names."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from feature_repo.settings import Settings
from holdfast.monitoring.result import ViewResult
from holdfast.monitoring.settings import DataQualityRules, MonitorSettings
from tests.support.daily_sources import contacts, customers, day_of, deliver_day, renamed, shop_of_sources
from tests.support.daily_transactions import TODAY, run_view

DAY = timedelta(days=1)
LATE, BROKEN = "holdfast.data.late", "holdfast.data.broken"


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Settings]:
    with shop_of_sources(tmp_path) as settings:
        yield settings


def list_findings(found: ViewResult) -> list[tuple[str, str, str]]:
    return sorted((item.event, item.subject, item.severity) for item in found.findings)


def test_usual_day_of_all_sources_has_no_finding(shop: Settings) -> None:
    deliver_day(shop)
    found = run_view(shop)
    assert list_findings(found) == []
    rows = {row.subject: row.value for row in found.metrics if row.metric == "rows"}
    assert rows == {
        "transactions": 80,
        "transactions[shop]": 60,
        "transactions[till]": 20,
        "attributes[country]": 12,
        "events": 65,
        "events[ticket]": 25,
        "events[visit]": 40,
    }
    assert {row.subject for row in found.metrics if row.metric == "age_hours"} >= rows.keys()
    assert "events[ticket] 25 rows" in found.summary
    assert all(found.is_evaluated(f"{LATE}:{subject}") for subject in rows)
    assert found.is_evaluated(f"{BROKEN}:events[ticket].new")
    assert not found.is_evaluated(f"{LATE}:events[mail]"), "an unknown kind of event"


FAULTS: dict[str, tuple[dict[str, Any], list[tuple[str, str, str]], str]] = {
    "till stopped": ({"till": None}, [(LATE, "transactions[till]", "warning")], "No transaction of source 'till'"),
    "kind of event stopped": (
        {"contacts": contacts(TODAY, {"visit": 40})},
        [(LATE, "events[ticket]", "warning")],
        "No event of kind of event 'ticket' of 2024-03-08 arrived, 2",
    ),
    "shop and till stopped": (
        {"shop": None, "till": None},
        [(LATE, "transactions", "warning")],
        "No transaction of 2024-03-08 arrived",
    ),
    "all events stopped": ({"contacts": None}, [(LATE, "events", "warning")], "of contacts-20240308.csv"),
    "attribute stopped": (
        {"customers": None},
        [(LATE, "attributes[country]", "warning")],
        "No attribute value of attribute 'country'",
    ),
    "few events": (
        {"contacts": contacts(TODAY, {"ticket": 25, "visit": 4})},
        [(LATE, "events[visit]", "warning")],
        "4 rows on Friday",
    ),
    "kind of event renamed": (
        {"contacts": renamed(contacts(TODAY), "ticket", "Ticket")},
        [(BROKEN, "events[Ticket].new", "warning"), (LATE, "events[ticket]", "warning")],
        "New kind of event 'Ticket' in contacts-",
    ),
    "events without a customer": (
        {
            "contacts": contacts(TODAY, {"ticket": 25, "visit": 60}).assign(
                id=lambda t: t["id"].where((t["kind"] == "ticket") | (t.index > 20))
            )
        },
        [(BROKEN, "events: customer_id is missing", "critical")],
        "new rows of events",
    ),
    "attributes without a time": (
        {"customers": customers(TODAY, 40).assign(when=lambda t: [*t["when"][:25], *[pd.NaT] * 15])},
        [(BROKEN, "attributes: event_timestamp is missing", "critical")],
        "new rows of attributes",
    ),
    "late events": (
        {"contacts": pd.concat([day_of("contacts", TODAY), contacts(TODAY - 5 * DAY, {"visit": 30})])},
        [(LATE, "events.delay", "warning")],
        "hours late",
    ),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_fault_of_one_source_is_found_on_the_first_day_and_names_it(shop: Settings, fault: str) -> None:
    changed, expected, text = FAULTS[fault]
    deliver_day(shop, **changed)
    found = run_view(shop)
    assert list_findings(found) == expected
    assert any(text in finding.summary for finding in found.findings), [item.summary for item in found.findings]


def test_stopped_source_becomes_critical_unless_it_ended_on_purpose(
    shop: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for day in (TODAY, TODAY + DAY, TODAY + 2 * DAY):
        deliver_day(shop, day, contacts=contacts(day, {"visit": 40}))
    assert list_findings(run_view(shop, TODAY + 3 * DAY)) == [(LATE, "events[ticket]", "critical")]
    import tests.support.daily_transactions as support

    ended = MonitorSettings(data=DataQualityRules(ended=("events[ticket]",)))
    view: Callable[..., ViewResult] = support.run_data_quality_view
    monkeypatch.setattr(support, "run_data_quality_view", lambda settings, window, _: view(settings, window, ended))
    assert list_findings(run_view(shop, TODAY + 3 * DAY)) == []
