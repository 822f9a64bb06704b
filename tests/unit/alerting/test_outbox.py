"""Life cycle of alerts: opened, counted, raised, reminded of, resolved."""

from datetime import timedelta

import pytest

from feature_repo.settings import Settings
from holdfast.alerting.alert import Alert
from holdfast.alerting.delivery import deliver
from holdfast.alerting.outbox import add_alert, list_open_alerts, queue_reminders, raise_alerts, resolve_alert
from holdfast.monitoring.findings import Finding, Severity
from tests.support.alerts import NOW, MemoryChannel, alert


def test_alert_from_finding_has_evidence_and_runbook_entry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_RUNBOOK_URL", "https://example.org/runbook.md")
    finding = Finding(event="holdfast.drift.detected", severity="warning", subject="recency", summary="PSI 0.31")
    made = Alert.from_finding(finding, "http://prefect/x")
    assert made == Alert(
        key="holdfast.drift.detected:recency",
        severity="warning",
        title="Drift detected: recency",
        text="PSI 0.31",
        evidence_url="http://prefect/x",
        runbook="https://example.org/runbook.md#holdfast-drift-detected",
    )


def test_repeated_alert_is_counted_and_sent_once(settings: Settings) -> None:
    channel = MemoryChannel()
    assert raise_alerts(settings, "m", [alert()], NOW) == [alert()]
    for hour in (1, 2, 3):
        assert raise_alerts(settings, "m", [alert(text=f"PSI {hour}")], NOW + timedelta(hours=hour)) == []
        deliver(settings, [channel], NOW + timedelta(hours=hour))
    (current,) = list_open_alerts(settings)
    assert (current.count, current.opened, current.last_seen) == (4, NOW, NOW + timedelta(hours=3))
    assert current.text == "PSI 3"
    assert channel.received() == [("opened", "a")]


def test_higher_severity_is_sent_and_stays(settings: Settings) -> None:
    channel = MemoryChannel()
    severities: list[Severity] = ["info", "critical", "warning", "critical"]
    for minute, severity in enumerate(severities):
        raise_alerts(settings, "m", [alert(severity=severity)], NOW + timedelta(minutes=minute))
    deliver(settings, [channel], NOW + timedelta(hours=1))
    assert channel.received() == [("opened", "a"), ("raised", "a")]
    assert list_open_alerts(settings)[0].severity == "critical"


def test_open_alert_is_sent_again_after_the_reminder_time(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_ALERT_REMINDER_HOURS", "6")
    channel = MemoryChannel()
    for hour in range(0, 14):
        raise_alerts(settings, "m", [alert()], NOW + timedelta(hours=hour))
    add_alert(settings, alert("once"), NOW)
    assert queue_reminders(settings, NOW + timedelta(hours=5)) == 0
    assert queue_reminders(settings, NOW + timedelta(hours=13)) == 1  # the last message about "a" is one hour old
    deliver(settings, [channel], NOW + timedelta(hours=14))
    assert channel.received() == [("opened", "a"), ("reminder", "a"), ("reminder", "a"), ("opened", "once"),
                              ("reminder", "once")]  # fmt: skip


def test_alert_that_was_not_evaluated_stays_open(settings: Settings) -> None:
    raise_alerts(settings, "m", [alert("a"), alert("b")], NOW)
    raise_alerts(settings, "m", [], NOW + timedelta(hours=1), lambda key: key == "b")
    assert [item.key for item in list_open_alerts(settings)] == ["a"]


def test_missing_alert_is_resolved_and_can_open_again(settings: Settings) -> None:
    channel = MemoryChannel()
    raise_alerts(settings, "m", [alert("a"), alert("b")], NOW)
    raise_alerts(settings, "other", [alert("c")], NOW)
    raise_alerts(settings, "m", [alert("b")], NOW + timedelta(hours=1))
    assert {item.key for item in list_open_alerts(settings)} == {"b", "c"}, "a source resolves its own alerts only"
    assert raise_alerts(settings, "m", [alert("a"), alert("b")], NOW + timedelta(hours=2)) == [alert("a")]
    deliver(settings, [channel], NOW + timedelta(hours=3))
    assert [kind for kind, key in channel.received() if key == "a"] == ["opened", "resolved", "opened"]
    resolved = next(message for message in channel.sent if message.kind == "resolved")
    assert resolved.why == "it was not found again"
    assert resolved.headline == "RESOLVED Drift: a"


def test_resolve_alert_by_key_sends_the_reason(settings: Settings) -> None:
    channel = MemoryChannel()
    add_alert(settings, alert(), NOW)
    assert not resolve_alert(settings, "another", "I know", NOW)
    assert resolve_alert(settings, "a", "the feed was repaired", NOW)
    assert not resolve_alert(settings, "a", "again", NOW)
    deliver(settings, [channel], NOW)
    assert [(m.kind, m.why) for m in channel.sent] == [("opened", ""), ("resolved", "the feed was repaired")]
    assert list_open_alerts(settings) == []


def test_list_open_alerts_sorts_worst_first(settings: Settings) -> None:
    for key, severity in (("a", "info"), ("b", "critical"), ("c", "warning")):
        add_alert(settings, alert(key, severity), NOW)  # type: ignore[arg-type]
    assert [item.key for item in list_open_alerts(settings)] == ["b", "c", "a"]


def test_channel_gets_new_messages_of_its_minimum_severity(settings: Settings) -> None:
    everything, severe, late = MemoryChannel(), MemoryChannel("critical", "severe"), MemoryChannel(name="late")
    add_alert(settings, alert("a", "info"), NOW)
    add_alert(settings, alert("b", "critical"), NOW)
    deliver(settings, [everything, severe], NOW)
    assert [key for _, key in severe.received()] == ["b"]
    add_alert(settings, alert("c", "critical"), NOW)
    deliver(settings, [everything, severe, late], NOW)
    assert [key for _, key in late.received()] == ["c"]
    assert [key for _, key in everything.received()] == ["a", "b", "c"]
