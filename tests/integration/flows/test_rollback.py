"""Rollback: the previous champion serves again, and the reason is recorded on the version that was rolled back."""

import getpass
import os
import signal
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import PromotionRefusedError, RollbackError
from holdfast.model_versions.records import GatesRecord, PromotionRecord, RollbackRecord, parse_events
from holdfast.models.contract import CHAMPION, MODEL_NAME
from holdfast.training.mlflow_client import UnknownVersionError
from tests.support.registered_versions import (
    kill_process_at,
    read_aliases,
    record_passed_gates,
    register_version,
)
from tests.support.small_shop import join_process, prefect_api, start_process

pytestmark = pytest.mark.long


def champions(client: Any, number: int) -> list[str]:
    """Versions that became champion one after the other."""
    from flows.promote import promote

    versions: list[str] = []
    for _ in range(number):
        version = register_version(client)
        record_passed_gates(client, version, versions[-1] if versions else None)
        promote(version)
        versions.append(version)
    return versions


def test_rollback_goes_back_one_champion_per_run(client: Any) -> None:
    from flows.promote import promote
    from flows.rollback import rollback

    first, second, third = champions(client, 3)
    result = rollback("complaints since Monday")
    assert (result.version, result.rolled_back, result.moved) == (second, third, True)
    assert read_aliases(client) == {CHAMPION: second}
    record = RollbackRecord.load(client, third)
    assert record is not None
    assert (record.to, record.who, record.why) == (second, getpass.getuser(), "complaints since Monday")
    assert abs(record.when - datetime.now(UTC)) < timedelta(minutes=5)
    with pytest.raises(PromotionRefusedError, match=r"compared with version 2, but champion|was rolled back after"):
        promote(third)

    assert rollback("still", who="ann").version == first
    with pytest.raises(RollbackError, match=rf"no champion before version {first}.*stays version {first}"):
        rollback("and again")
    assert read_aliases(client) == {CHAMPION: first}
    assert RollbackRecord.load(client, first) is None


def test_rollback_skips_rolled_back_version(client: Any) -> None:
    from flows.promote import promote
    from flows.rollback import rollback

    first, second, third = champions(client, 3)
    rollback("bad")
    record_passed_gates(client, third, second)  # a person let it try again
    promote(third)
    fourth = register_version(client)
    record_passed_gates(client, fourth, third)
    promote(fourth)
    assert rollback("worse").version == third, "in good standing since it was promoted again"
    assert rollback("worse still").version == second
    assert rollback("the worst").version == first


def test_rollback_restored_version_can_be_the_target(client: Any) -> None:
    from flows.promote import promote
    from flows.rollback import rollback

    first, second = champions(client, 2)
    rollback("bad")
    rollback("no, it was the data", second)
    third = register_version(client)
    record_passed_gates(client, third, second)
    promote(third)
    assert rollback("worse").version == second
    assert read_aliases(client) == {CHAMPION: second}
    assert first != second


def test_rollback_two_at_once_the_second_raises(client: Any) -> None:
    from flows.rollback import rollback

    first, second, third = champions(client, 3)
    assert rollback("complaints", leave=third).version == second
    with pytest.raises(RollbackError, match=rf"version {second}, not version {third}: .*stays version {second}"):
        rollback("complaints", leave=third)
    assert read_aliases(client) == {CHAMPION: second}
    assert RollbackRecord.load(client, second) is None
    assert first != second


def test_rollback_target_with_failed_gates_requires_its_name(client: Any) -> None:
    from flows.rollback import rollback

    first, second = champions(client, 2)
    GatesRecord(verdict="failed", champion=None, settings="s", when=datetime.now(UTC), failed=["parity"], key="k").save(
        client, first
    )
    with pytest.raises(RollbackError, match=rf"version {first}, which failed its last gates \(parity\).*--to {first}"):
        rollback("complaints")
    assert read_aliases(client) == {CHAMPION: second}
    assert rollback("repeated", first).version == first


def test_rollback_ignores_promotion_killed_before_alias_moved(client: Any) -> None:
    from flows.rollback import rollback

    first, second = champions(client, 2)
    never = register_version(client)
    record_passed_gates(client, never, second)
    PromotionRecord(previous=second, when=datetime.now(UTC), who="a", why="b", mode="auto", gates="k").write_tag(
        client, never
    )
    with pytest.raises(RollbackError, match=f"version {never} was never champion"):
        rollback("x", never)
    assert read_aliases(client) == {CHAMPION: second}
    PromotionRecord(previous=second, when=datetime.now(UTC), who="a", why="again", mode="auto", gates="k").write_tag(
        client, first
    )
    assert rollback("x").version == first


def _killed_at(call: str, nth: int, flow_run: str) -> None:
    """Roll back as this flow run in a process that dies at the nth of these calls."""
    from flows.rollback import rollback

    os.environ["PREFECT__RUNTIME__FLOW_RUN__ID"] = flow_run
    kill_process_at(call, nth)
    rollback("complaints")


@pytest.mark.parametrize(("call", "nth"), [("set_registered_model_alias", 1), ("set_model_version_tag", 3)])
def test_rollback_repeated_flow_run_goes_back_once(
    registry_shop: tuple[Settings, Any], monkeypatch: pytest.MonkeyPatch, call: str, nth: int
) -> None:
    from flows.rollback import rollback

    settings, client = registry_shop
    first, second, third = champions(client, 3)
    assert (
        join_process(start_process(_killed_at, settings.data, call, nth, "run-1", api=prefect_api()), 120)
        == -signal.SIGKILL
    )
    assert read_aliases(client) == {CHAMPION: third if nth == 1 else second}
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "run-1")
    for _ in range(2):
        result = rollback("complaints", leave=third)
        assert (result.version, result.rolled_back, result.moved) == (second, third, True)
    assert read_aliases(client) == {CHAMPION: second}
    record = RollbackRecord.load(client, third)
    assert record is not None
    assert (record.flow_run, record.times) == ("run-1", 1)
    assert record in (parse_events(client.get_model_version(MODEL_NAME, third).tags, third) or [])
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, third)  # another process, later
    result = rollback("complaints")
    assert (result.version, result.moved) == (third, False)
    monkeypatch.setenv("PREFECT__RUNTIME__FLOW_RUN__ID", "run-2")
    assert rollback("complaints", first).version == first


def test_rollback_to_named_former_champion(client: Any) -> None:
    from flows.rollback import rollback

    first, second, third = champions(client, 3)
    assert rollback("skip one", first).version == first
    assert rollback("no, that one", third).version == third  # a person decides
    record = RollbackRecord.load(client, third)
    assert record is not None and record.times == 1
    nothing = rollback("again", third)
    assert (nothing.version, nothing.moved) == (third, False)
    assert RollbackRecord.load(client, third) == record
    assert rollback("bad after all", second).rolled_back == third
    record = RollbackRecord.load(client, third)
    assert record is not None and record.times == 2


def test_rollback_invalid_request_raises_and_changes_nothing(client: Any) -> None:
    from flows.rollback import rollback

    with pytest.raises(RollbackError, match="nothing to roll back"):
        rollback("why not")
    (champion,) = champions(client, 1)
    never = register_version(client)
    for reason, to, error, message in (
        ("  ", None, RollbackError, "needs a reason"),
        ("x", never, RollbackError, f"version {never} was never champion"),
        ("x", "999", UnknownVersionError, "no version 999"),
        ("x", None, RollbackError, f"no champion before version {champion}"),
    ):
        with pytest.raises(error, match=message):
            rollback(reason, to)
    assert read_aliases(client) == {CHAMPION: champion}
    assert RollbackRecord.load(client, champion) is None


def _killed_before(call: str) -> None:
    from flows.rollback import rollback

    kill_process_at(call)
    rollback("complaints")


@pytest.mark.parametrize("call", ["set_model_version_tag", "set_registered_model_alias"])
def test_rollback_killed_before_alias_moved_next_run_completes(registry_shop: tuple[Settings, Any], call: str) -> None:
    from flows.rollback import rollback

    settings, client = registry_shop
    _, second, third = champions(client, 3)
    assert join_process(start_process(_killed_before, settings.data, call, api=prefect_api()), 120) == -signal.SIGKILL
    assert read_aliases(client) == {CHAMPION: third}
    assert rollback("complaints").version == second
    assert read_aliases(client) == {CHAMPION: second}
