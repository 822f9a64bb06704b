"""Traffic of the challenger: tag of its version, events and refusals."""

import getpass
import sys
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import TrafficError
from holdfast.model_versions.aliases import set_challenger
from holdfast.model_versions.records import TrafficRecord, parse_events
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.models.registered_version import TRAFFIC_TAG, NotServableError, Traffic
from holdfast.models.registry_client import RegistryClient
from holdfast.training.mlflow_client import UnknownVersionError
from tests.support.registered_versions import base_shop, record_passed_gates, register_version


def pair(client: Any, **contract: Any) -> tuple[str, str]:
    """A champion and a challenger."""
    champion, challenger = register_version(client), register_version(client, **contract)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, champion)
    client.set_registered_model_alias(MODEL_NAME, CHALLENGER, challenger)
    return champion, challenger


def tag(client: Any, version: str) -> str | None:
    """Return the traffic tag of a version."""
    found: str | None = client.get_model_version(MODEL_NAME, version).tags.get(TRAFFIC_TAG)
    return found


def test_traffic_service_reads_the_tag_and_events_are_recorded(registry_shop: tuple[Settings, Any]) -> None:
    from flows.traffic import traffic

    settings, client = registry_shop
    _, challenger = pair(client)
    registry = RegistryClient(settings.mlflow_tracking_uri)
    steps = [("shadow", None), ("canary", None), ("canary", 0.25), ("canary", 0.5), ("off", None)]
    for mode, share in steps:
        sent = traffic(mode, share=share)
        assert (sent.version, sent.changed) == (challenger, True)
        assert registry.get_by_alias(CHALLENGER).traffic() == sent.traffic
    events = parse_events(client.get_model_version(MODEL_NAME, challenger).tags, challenger) or []
    changes = [(event.mode, event.share, event.who) for event in events if isinstance(event, TrafficRecord)]
    who = getpass.getuser()
    assert changes == [("shadow", 0, who), ("canary", 0.05, who), ("canary", 0.25, who), ("canary", 0.5, who), ("off", 0, who)]  # fmt: skip  # noqa: E501


def test_traffic_of_another_model_leaves_that_of_churn(client: Any) -> None:
    from flows.traffic import traffic

    _, challenger = pair(client)
    traffic("shadow")
    before = tag(client, challenger)
    client.create_registered_model("holdfast-spend")
    with pytest.raises(TrafficError, match="holdfast-spend has no challenger"):
        traffic("shadow", model="spend")
    assert not traffic("off", model="spend").changed
    assert tag(client, challenger) == before


def test_traffic_unchanged_records_no_event(client: Any) -> None:
    from flows.traffic import traffic

    _, challenger = pair(client)
    assert traffic("off").summary() == f"Version {challenger} gets no traffic, as before."
    assert tag(client, challenger) is None
    assert traffic("canary", challenger, who="ann").summary() == (
        f"Version {challenger} serves the requests of 5.0% of the customers."
    )
    before = tag(client, challenger)
    assert traffic("canary", share=0.05, who="bob").summary().endswith(", as before.")
    assert tag(client, challenger) == before


@pytest.mark.parametrize("share", [0, -0.1, 0.51, 1, float("nan"), float("inf")])
def test_traffic_share_beyond_the_limits_raises(client: Any, share: float) -> None:
    from flows.traffic import traffic

    _, challenger = pair(client)
    with pytest.raises(TrafficError, match=r"above 0 and at most 0\.5, not .*Nothing was changed"):
        traffic("canary", share=share)
    assert tag(client, challenger) is None


@pytest.mark.parametrize("mode", ["shadow", "off"])
def test_traffic_share_without_canary_raises(client: Any, mode: Any) -> None:
    from flows.traffic import traffic

    _, challenger = pair(client)
    with pytest.raises(TrafficError, match=f"A share is for a canary; {mode} takes none"):
        traffic(mode, share=0.1)
    assert tag(client, challenger) is None


def test_traffic_version_other_than_challenger_raises(client: Any) -> None:
    from flows.traffic import traffic

    with pytest.raises(TrafficError, match=r"no challenger\..*flows\.gates"):
        traffic("shadow")
    champion, challenger = pair(client)
    third = register_version(client)
    for version, error, message in (
        (third, TrafficError, f"version {third} is not the challenger; version {challenger} is"),
        (champion, TrafficError, "it is the champion itself"),
        ("999", UnknownVersionError, "no version 999"),
    ):
        with pytest.raises(error, match=message):
            traffic("shadow", version)
    client.delete_registered_model_alias(MODEL_NAME, CHAMPION)
    with pytest.raises(TrafficError, match="there is no champion yet"):
        traffic("shadow")
    assert [tag(client, version) for version in (champion, challenger, third)] == [None] * 3


@pytest.mark.parametrize(
    ("contract", "error", "message"),
    [
        ({"fingerprint": {"on_demand": "other"}}, TrafficError, "which a service cannot serve now"),
        ({"examples": []}, NotServableError, r"an early release.*Train again"),
    ],
)
def test_traffic_version_that_services_refuse_raises(client: Any, contract: Any, error: Any, message: str) -> None:
    from flows.traffic import traffic

    if "fingerprint" in contract:
        contract = {"fingerprint": base_shop().fingerprint | contract["fingerprint"]}
    _, challenger = pair(client, **contract)
    with pytest.raises(error, match=message):
        traffic("canary")
    assert tag(client, challenger) is None


def test_traffic_off_removes_any_tag(client: Any) -> None:
    """Also for a version that is no longer challenger, and for a tag with an invalid value."""
    from flows.traffic import traffic

    champion, challenger = pair(client)
    for version in (champion, challenger):
        client.set_model_version_tag(MODEL_NAME, version, TRAFFIC_TAG, "canary")
        assert traffic("off", version).changed
        assert TrafficRecord.load(client, version) is not None


def test_traffic_off_without_challenger_changes_nothing(client: Any) -> None:
    from flows.traffic import traffic

    champion = register_version(client)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, champion)
    sent = traffic("off")
    assert (sent.version, sent.changed, sent.traffic) == (None, False, Traffic(mode="off"))
    assert "There is no challenger: the champion scores all requests" in sent.summary()
    assert tag(client, champion) is None


def test_traffic_new_challenger_has_none(client: Any) -> None:
    """After promotion and rollback, a challenger has no traffic."""
    from flows.promote import promote
    from flows.traffic import traffic

    champion, challenger = pair(client)
    traffic("canary", share=0.25)
    set_challenger(client, challenger)  # judged again meanwhile: nothing changes
    assert tag(client, challenger) is not None
    record_passed_gates(client, challenger, champion)
    promote(challenger)
    set_challenger(client, challenger)
    assert tag(client, challenger) is None
    events = parse_events(client.get_model_version(MODEL_NAME, challenger).tags, challenger) or []
    assert Traffic(mode="canary", share=0.25) in [
        Traffic(mode=event.mode, share=event.share) for event in events if isinstance(event, TrafficRecord)
    ]


def test_traffic_command_prints_result_and_exit_code(
    client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from flows._cli import run_flow
    from flows.traffic import traffic

    def run(*arguments: str) -> int:
        monkeypatch.setattr(sys, "argv", ["traffic", *arguments])
        with pytest.raises(SystemExit) as ended:
            run_flow(traffic)
        return int(ended.value.code or 0)

    _, challenger = pair(client)
    assert run("canary", "--share", "0.1") == 0
    assert f"Version {challenger} serves the requests of 10.0% of the customers." in capsys.readouterr().out
    assert run("canary", "--share", "0.9") == 1
    (line,) = [line for line in capsys.readouterr().err.splitlines() if "TrafficError" in line]
    assert "at most 0.5, not 0.9" in line
    assert run("sideways") == 2
