"""Rollback: the champion before serves again, and why stays on the version that went."""

import getpass
import os
import signal
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from feature_repo.model_contract import CHAMPION
from feature_repo.settings import Settings
from flows.promotion.errors import PromotionRefusedError, RollbackError
from flows.promotion.records import RollbackRecord
from flows.promotion.registry import UnknownVersionError
from tests.flows.promotion.planted import aliases, passed, plant, planted_shop
from tests.flows.small_shop import join, prefect_api, start


@pytest.fixture
def shop(flows_here: None, tmp_path: Path) -> Iterator[tuple[Settings, Any]]:
    """A planted shop: its settings and MLflow's client."""
    with planted_shop(tmp_path) as planted:
        yield planted


@pytest.fixture
def client(shop: tuple[Settings, Any]) -> Any:
    return shop[1]


def champions(client: Any, number: int) -> list[str]:
    """Versions that became champion one after the other."""
    from flows.promote import promote

    versions: list[str] = []
    for _ in range(number):
        version = plant(client)
        passed(client, version, versions[-1] if versions else None)
        promote(version)
        versions.append(version)
    return versions


def test_it_walks_back_one_champion_at_a_time(client: Any) -> None:
    from flows.promote import promote
    from flows.rollback import rollback

    first, second, third = champions(client, 3)
    result = rollback("complaints since Monday")
    assert (result.version, result.rolled_back, result.moved) == (second, third, True)
    assert aliases(client) == {CHAMPION: second}
    record = RollbackRecord.of(client, third)
    assert record is not None
    assert (record.to, record.who, record.why) == (second, getpass.getuser(), "complaints since Monday")
    assert abs(record.when - datetime.now(UTC)) < timedelta(minutes=5)
    with pytest.raises(PromotionRefusedError, match=r"compared with version 2, but champion|was rolled back after"):
        promote(third)

    assert rollback("still", who="ann").version == first
    with pytest.raises(RollbackError, match=rf"no champion before version {first}.*stays version {first}"):
        rollback("and again")
    assert aliases(client) == {CHAMPION: first}
    assert RollbackRecord.of(client, first) is None


def test_a_version_that_was_rolled_back_is_passed_over(client: Any) -> None:
    from flows.promote import promote
    from flows.rollback import rollback

    first, second, third = champions(client, 3)
    rollback("bad")
    passed(client, third, second)  # a person let it try again
    promote(third)
    fourth = plant(client)
    passed(client, fourth, third)
    promote(fourth)
    assert rollback("worse").version == second
    assert rollback("worse still").version == first


def test_to_a_former_champion_by_name(client: Any) -> None:
    from flows.rollback import rollback

    first, second, third = champions(client, 3)
    assert rollback("skip one", first).version == first
    assert rollback("no, that one", third).version == third  # a person decides
    record = RollbackRecord.of(client, third)
    assert record is not None and record.times == 1
    nothing = rollback("again", third)
    assert (nothing.version, nothing.moved) == (third, False)
    assert RollbackRecord.of(client, third) == record
    assert rollback("bad after all", second).rolled_back == third
    record = RollbackRecord.of(client, third)
    assert record is not None and record.times == 2


def test_what_makes_no_sense_changes_nothing(client: Any) -> None:
    from flows.rollback import rollback

    with pytest.raises(RollbackError, match="nothing to roll back"):
        rollback("why not")
    (champion,) = champions(client, 1)
    never = plant(client)
    for reason, to, error, told in (
        ("  ", None, RollbackError, "needs a reason"),
        ("x", never, RollbackError, f"version {never} never was the champion"),
        ("x", "999", UnknownVersionError, "no version 999"),
        ("x", None, RollbackError, f"no champion before version {champion}"),
    ):
        with pytest.raises(error, match=told):
            rollback(reason, to)
    assert aliases(client) == {CHAMPION: champion}
    assert RollbackRecord.of(client, champion) is None


def _killed_before(call: str) -> None:
    from mlflow import MlflowClient

    from flows.rollback import rollback

    setattr(MlflowClient, call, lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL))
    rollback("complaints")


@pytest.mark.parametrize("call", ["set_model_version_tag", "set_registered_model_alias"])
def test_killed_before_the_alias_moved_the_next_run_completes(shop: tuple[Settings, Any], call: str) -> None:
    from flows.rollback import rollback

    settings, client = shop
    _, second, third = champions(client, 3)
    assert join(start(_killed_before, settings.data, call, api=prefect_api()), 120) == -signal.SIGKILL
    assert aliases(client) == {CHAMPION: third}
    assert rollback("complaints").version == second
    assert aliases(client) == {CHAMPION: second}
