"""At-least-once delivery to receivers that are down, fail, reject messages or are killed."""

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.exc import OperationalError

from feature_repo.settings import Settings
from holdfast.alerting import delivery
from holdfast.alerting.alert import Alert
from holdfast.alerting.channels import SlackChannel, WebhookChannel, build_channels
from holdfast.alerting.database import open_database
from holdfast.alerting.delivery import deliver, deliver_now
from holdfast.alerting.outbox import add_alert, list_open_alerts, raise_alerts, resolve_alert
from holdfast.alerting.settings import AlertSettings
from holdfast.runtime.processes import free_port
from holdfast.shared_state.database import fetch
from tests.support.alerts import NOW, MemoryChannel, alert
from tests.support.small_shop import join_process, start_process
from tests.support.webhook_receiver import SECRET, Receiver, running_receiver


def webhook(receiver: Receiver, timeout: float = 2) -> WebhookChannel:
    return WebhookChannel(receiver.url, "info", timeout)


def start(settings: Settings, function: Callable[..., None], *arguments: Any) -> Any:
    return start_process(function, settings.data, *arguments, HOLDFAST_DATABASE=settings.database)


def states(settings: Settings) -> list[tuple[str, int]]:
    with open_database(settings) as database:
        rows = fetch(database, "SELECT state, attempts FROM delivery ORDER BY id")
    return [(row["state"], row["attempts"]) for row in rows]


def test_webhook_body_has_message_and_alert_fields(settings: Settings) -> None:
    made = Alert(key="k", severity="critical", title="T", text="text", evidence_url="http://e", runbook="r.md#k")
    with running_receiver() as receiver:
        add_alert(settings, made, NOW)
        assert deliver(settings, [webhook(receiver)], NOW).sent == 1
    (body,) = receiver.bodies
    assert receiver.keys == [body["id"]]
    assert body | made.model_dump() == body
    assert (body["kind"], body["count"], body["source"]) == ("opened", 1, "once")


def test_receiver_down_gets_all_messages_when_up(settings: Settings) -> None:
    receiver = Receiver(port=free_port())
    for key in "abc":
        add_alert(settings, alert(key), NOW)
    down = deliver(settings, [webhook(receiver)], NOW)
    assert (down.sent, down.waiting) == (0, 3)
    assert states(settings) == [("pending", 1), ("pending", 0), ("pending", 0)], "one attempt per delivery"
    resolve_alert(settings, "a", "repaired", NOW + timedelta(minutes=1))
    with running_receiver(receiver.port, receiver):
        up = deliver(settings, [webhook(receiver)], NOW + timedelta(minutes=2))
    assert (up.sent, up.waiting) == (4, 0)
    assert receiver.received("a") == ["opened", "resolved"]
    assert deliver(settings, [webhook(receiver)], NOW + timedelta(days=1)).sent == 0


def test_deliver_without_a_channel_leaves_its_messages_to_other_processes(settings: Settings) -> None:
    """A terminal does not have the webhook of the worker."""
    log = MemoryChannel("info", "log")
    with running_receiver() as receiver:
        deliver(settings, [log, webhook(receiver)], NOW)
        add_alert(settings, alert("from a terminal"), NOW)
        add_alert(settings, alert("small", "info"), NOW)
        terminal = deliver(settings, [log], NOW)
        assert (terminal.sent, terminal.waiting) == (2, 2)
        worker = deliver(settings, [log, webhook(receiver)], NOW + timedelta(minutes=1))
        assert (worker.sent, worker.waiting) == (2, 0)
        assert receiver.received("from a terminal") == ["opened"]


def test_message_to_a_removed_channel_is_given_up(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    log = MemoryChannel("info", "log")
    add_alert(settings, alert(), NOW)
    deliver(settings, [log, WebhookChannel(f"http://127.0.0.1:{free_port()}/", "info", 1)], NOW)
    assert deliver(settings, [log], NOW + timedelta(days=6)).waiting == 1
    later = deliver(settings, [log], NOW + timedelta(days=7))
    assert (later.given_up, later.waiting) == (1, 0)
    assert "Gave up 1 message: the channel is no longer configured." in caplog.text
    add_alert(settings, alert("b"), NOW + timedelta(days=8))
    assert deliver(settings, [log], NOW + timedelta(days=8)).waiting == 0, "the removed channel gets no new messages"


def next_attempt(settings: Settings) -> datetime:
    with open_database(settings) as database:
        return datetime.fromisoformat(fetch(database, "SELECT next_try FROM delivery")[0]["next_try"])


def test_each_failure_doubles_the_wait_up_to_the_limit(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_ALERT_LONGEST_RETRY_SECONDS", "100")
    add_alert(settings, alert(), NOW)
    time, waits = NOW, []
    with running_receiver() as receiver:
        receiver.statuses = [500, 503, 0, 429]
        for _ in range(4):
            assert deliver(settings, [webhook(receiver)], time).sent == 0
            assert deliver(settings, [webhook(receiver)], next_attempt(settings) - timedelta(seconds=5)).sent == 0
            waits.append((next_attempt(settings) - time).total_seconds())
            time = next_attempt(settings)
        assert deliver(settings, [webhook(receiver)], time).sent == 1
    assert waits == pytest.approx([30, 60, 100, 100], abs=2)
    assert receiver.received() == ["opened"]
    assert states(settings) == [("sent", 5)]


def test_rejected_message_delays_no_other(settings: Settings) -> None:
    with running_receiver() as receiver:
        receiver.rejected_key = "bad"
        add_alert(settings, alert("bad"), NOW)
        add_alert(settings, alert("good"), NOW)
        assert deliver(settings, [webhook(receiver)], NOW).sent == 1
        add_alert(settings, alert("later"), NOW)
        assert deliver(settings, [webhook(receiver)], NOW + timedelta(hours=2)).sent == 1
        assert receiver.received() == ["opened", "opened"]
        given_up = deliver(settings, [webhook(receiver)], NOW + timedelta(days=8))
    assert (given_up.given_up, given_up.waiting) == (1, 0)
    assert {item.key for item in list_open_alerts(settings)} == {"bad", "good", "later"}, (
        "a given-up message does not resolve its alert"
    )


def test_given_up_message_is_logged(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    add_alert(settings, alert(), NOW)
    deliver(settings, [WebhookChannel(f"http://127.0.0.1:{free_port()}/{SECRET}", "info", 1)], NOW + timedelta(days=7))
    assert "Gave up sending to webhook: WARNING Drift: a." in caplog.text


def test_channel_down_delays_no_other_channel(settings: Settings) -> None:
    add_alert(settings, alert(), NOW)
    channel = MemoryChannel()
    dead = WebhookChannel(f"http://127.0.0.1:{free_port()}/x", "info", 1)
    assert deliver(settings, [dead, channel], NOW).sent == 1
    assert channel.received() == [("opened", "a")]


def test_webhook_url_is_neither_logged_nor_stored(settings: Settings, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for scheme in ("http", "htp"):
        channel = WebhookChannel(f"{scheme}://127.0.0.1:{free_port()}/{SECRET}", "info", 1)
        add_alert(settings, alert(scheme), NOW)
        deliver(settings, [channel], NOW)
        assert SECRET not in repr(channel)
    with open_database(settings) as database:
        tables = ("alert", "message", "delivery", "channel")
        stored = "\n".join(str(row) for table in tables for row in fetch(database, f"SELECT * FROM {table}"))
    assert "ConnectError" in stored
    assert "UnsupportedProtocol" in stored
    with running_receiver() as receiver:
        add_alert(settings, alert("both"), NOW)
        receiver.statuses = [500]
        for hours in (1, 2):
            deliver(settings, [webhook(receiver), SlackChannel(receiver.url, "info", 2)], NOW + timedelta(hours=hours))
    assert [body for body in receiver.bodies if "blocks" in body], "Slack got its message"
    assert SECRET not in stored
    assert SECRET not in caplog.text
    assert SECRET not in repr(AlertSettings(webhook=receiver.url))  # type: ignore[arg-type]


def test_slack_body_has_plain_texts_and_links(settings: Settings) -> None:
    channel = MemoryChannel()
    add_alert(settings, Alert(key="k", severity="critical", title="A <b>", text="1 & 2", evidence_url="http://e",
                              runbook="docs/runbook.md#k"), NOW)  # fmt: skip
    deliver(settings, [channel], NOW)
    body = SlackChannel("https://hooks.example/x", "info", 2)._body(channel.sent[0])
    assert body["text"] == "CRITICAL A &lt;b&gt;"
    assert [(block["text"]["type"], block["text"]["text"]) for block in body["blocks"]] == [
        ("plain_text", "CRITICAL A <b>"),
        ("plain_text", "1 & 2"),
        ("mrkdwn", "<http://e|evidence> · runbook: docs/runbook.md#k"),
    ]


def test_build_channels_reads_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOLDFAST_ALERT_SLACK_WEBHOOK", "https://hooks.example/x")
    monkeypatch.setenv("HOLDFAST_ALERT_SLACK_MINIMUM", "critical")
    monkeypatch.setenv("HOLDFAST_ALERT_WEBHOOK", "")
    assert [(item.name, item.minimum) for item in build_channels()] == [
        ("log", "info"),
        ("slack", "critical"),
    ]


_KILLED_RECEIVER = """
import os, signal, socket, sys
with socket.create_server(("127.0.0.1", int(sys.argv[1]))) as server:
    print("up", flush=True)
    with server.accept()[0] as caller:
        caller.recv(65536)
        os.kill(os.getpid(), signal.SIGKILL)
"""


def test_receiver_killed_during_a_request_gets_the_message_again(settings: Settings) -> None:
    add_alert(settings, alert(), NOW)
    receiver = Receiver(port=free_port())
    with subprocess.Popen(
        [sys.executable, "-c", _KILLED_RECEIVER, str(receiver.port)], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None and process.stdout.readline() == b"up\n"
        assert deliver(settings, [webhook(receiver)], NOW).waiting == 1
        assert process.wait(60) == -signal.SIGKILL
    with running_receiver(receiver.port, receiver):
        assert deliver(settings, [webhook(receiver)], NOW + timedelta(minutes=1)).sent == 1
    assert receiver.received() == ["opened"]


def _deliver_and_die(port: int) -> None:
    """Die after the receiver has the message, before that is recorded."""
    delivery._end_delivery = lambda *_: os.kill(os.getpid(), signal.SIGKILL)  # type: ignore[assignment]
    deliver(Settings(), [WebhookChannel(f"http://127.0.0.1:{port}/x", "info", 5)], NOW)


def test_message_of_a_killed_sender_is_sent_again_with_the_same_id(settings: Settings) -> None:
    add_alert(settings, alert(), NOW)
    with running_receiver() as receiver:
        assert join_process(start(settings, _deliver_and_die, receiver.port)) == -signal.SIGKILL
        assert receiver.received() == ["opened"]
        assert deliver(settings, [webhook(receiver)], NOW + timedelta(seconds=30)).sent == 0, (
            "the claim of the killed sender is still valid"
        )
        assert deliver(settings, [webhook(receiver)], NOW + timedelta(minutes=2)).sent == 1
    assert len(receiver.keys) == 2
    assert len(set(receiver.keys)) == 1


def _raise_and_die(nth: int) -> None:
    """Die within the transaction that opens alerts."""
    from holdfast.alerting import outbox

    original, calls = outbox._add_message, 0

    def fatal(*arguments: object) -> None:
        nonlocal calls
        calls += 1
        if calls == nth:
            os.kill(os.getpid(), signal.SIGKILL)
        original(*arguments)  # type: ignore[arg-type]

    outbox._add_message = fatal
    raise_alerts(Settings(), "m", [alert(key) for key in "abc"], NOW)


def test_alerts_and_messages_are_written_together_or_not_at_all(settings: Settings) -> None:
    assert join_process(start(settings, _raise_and_die, 2)) == -signal.SIGKILL
    assert list_open_alerts(settings) == []
    assert len(raise_alerts(settings, "m", [alert(key) for key in "abc"], NOW)) == 3
    channel = MemoryChannel()
    assert deliver(settings, [channel], NOW).sent == 3


def _deliver_all(port: int) -> None:
    deliver(Settings(), [WebhookChannel(f"http://127.0.0.1:{port}/x", "info", 5)], NOW)


def test_concurrent_senders_send_each_message_once(settings: Settings) -> None:
    keys = {f"alert-{number}" for number in range(40)}
    for key in keys:
        add_alert(settings, alert(key), NOW)
    with running_receiver() as receiver:
        senders = [start(settings, _deliver_all, receiver.port) for _ in range(2)]
        assert [join_process(sender) for sender in senders] == [0, 0]
    assert sorted(body["key"] for body in receiver.bodies) == sorted(keys)


def test_alert_that_cannot_be_saved_is_sent_without_outbox(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a full disk. Each attempt sends the alert, with one id per day."""
    settings = Settings(data=data_dir)
    settings.alerts.mkdir(parents=True)  # so that the file cannot be opened
    with running_receiver() as receiver, caplog.at_level(logging.INFO):
        monkeypatch.setenv("HOLDFAST_ALERT_WEBHOOK", receiver.url)
        with pytest.raises(OperationalError):
            add_alert(settings, alert("full"), NOW)
        with pytest.raises(OperationalError):
            raise_alerts(settings, "monitor", [alert("full")], NOW)
    assert receiver.received("full") == ["opened", "opened"]
    assert len(set(receiver.keys)) == 1
    assert "could not be saved (unable to open database file)" in caplog.text
    settings.alerts.rmdir()
    assert add_alert(settings, alert("full"), NOW), "after the error it is an ordinary alert"


def test_deliver_now_sends_and_logs_failures(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with running_receiver() as receiver:
        monkeypatch.setenv("HOLDFAST_ALERT_WEBHOOK", receiver.url)
        add_alert(settings, alert(), datetime.now(UTC))
        deliver_now(settings)
    assert receiver.received() == ["opened"]
    monkeypatch.setenv("HOLDFAST_ALERT_TIMEOUT_SECONDS", "-1")
    assert deliver_now(settings) is None
    assert "could not be delivered" in caplog.text
