"""Judging that is killed: no alias is left on a version whose verdict is not recorded."""

import signal
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.model_versions.records import GatesRecord
from holdfast.models.contract import CHALLENGER, MODEL_NAME
from tests.support.registered_versions import LENIENT, kill_process_at, read_aliases, register_version
from tests.support.small_shop import join_process, prefect_api, start_process

pytestmark = pytest.mark.long


def _judge_and_die(call: str, nth: int, version: str) -> None:
    from flows.gates import gates

    kill_process_at(call, nth)
    print("it survived:", gates(version, GateSettings(**LENIENT)).failed)


@pytest.mark.parametrize(
    ("call", "nth"),
    [("log_text", 2), ("log_batch", 1), ("set_model_version_tag", 1), ("set_registered_model_alias", 1)],
)
def test_gates_killed_at_any_call_leave_no_challenger_without_verdict(
    registry_shop: tuple[Settings, Any], call: str, nth: int
) -> None:
    from flows.gates import gates

    settings, client = registry_shop
    version = register_version(client)
    assert (
        join_process(start_process(_judge_and_die, settings.data, call, nth, version, api=prefect_api()), 120)
        == -signal.SIGKILL
    )
    assert read_aliases(client) == {}
    runs = client.search_runs([client.get_experiment_by_name("holdfast-churn").experiment_id])
    assert {run.info.status for run in runs} == {"FINISHED"}
    assert gates(version, GateSettings(**LENIENT)).challenger
    assert read_aliases(client) == {CHALLENGER: version}


def test_gates_failed_challenger_loses_the_alias_before_the_record(registry_shop: tuple[Settings, Any]) -> None:
    settings, client = registry_shop
    version = register_version(client, without="evaluation.json")
    client.set_registered_model_alias(MODEL_NAME, CHALLENGER, version)
    child = start_process(_judge_and_die, settings.data, "set_model_version_tag", 1, version, api=prefect_api())
    assert join_process(child, 120) == -signal.SIGKILL
    assert read_aliases(client) == {}
    assert GatesRecord.load(client, version) is None
