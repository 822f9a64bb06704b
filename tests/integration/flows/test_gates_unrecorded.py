"""Evaluations that record no verdict: of the champion, and dry runs."""

from typing import Any

import pytest

from holdfast.model_versions.aliases import drop_challenger
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.model_versions.records import GatesRecord
from holdfast.models.contract import CHAMPION, MODEL_NAME
from tests.support.registered_versions import LENIENT, list_failed_gates, read_aliases, register_version, run_gates

pytestmark = pytest.mark.long


def _read_state(client: Any, version: str) -> tuple[Any, ...]:
    """Tags of the version, its run's tags, metrics and reports, and the aliases."""
    registered = client.get_model_version(MODEL_NAME, version)
    run = client.get_run(registered.run_id).data
    reports = sorted(file.path for file in client.list_artifacts(registered.run_id, "gates"))
    return registered.tags, run.tags, run.metrics, reports, read_aliases(client)


def test_gates_champion_keeps_the_verdict_of_its_promotion(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.promotion import behavioral_tests
    from holdfast.promotion.gate_report import read_report

    version = register_version(client)
    run_gates(version)
    drop_challenger(client, version)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
    before = _read_state(client, version)
    with monkeypatch.context() as busy:
        busy.setattr(behavioral_tests, "measure_latency_ms", lambda *_: 5000.0)
        again = run_gates(version, max_size_mb=19)
    assert (list(list_failed_gates(again)), again.challenger) == (["latency"], False)
    assert "the verdict on which it was promoted stays" in again.unrecorded
    assert _read_state(client, version) == before
    record = GatesRecord.load(client, version)
    assert record is not None
    report = read_report(client, version, record.key)
    assert report is not None and report.failed == []
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, register_version(client))
    former = run_gates(version, max_size_mb=1e-6)
    record = GatesRecord.load(client, version)
    assert record is not None and (former.unrecorded, record.verdict) == ("", "failed"), "a former champion"


def test_gates_champion_without_passed_verdict_gets_one(client: Any) -> None:
    version = register_version(client)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
    for limit, verdict in ((1e-6, "failed"), (20, "passed")):
        assert run_gates(version, max_size_mb=limit).unrecorded == ""
        record = GatesRecord.load(client, version)
        assert record is not None and record.verdict == verdict


def test_gates_version_promoted_during_the_evaluation_keeps_its_verdict(
    client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from holdfast.promotion import evidence_collection

    version = register_version(client)
    run_gates(version)
    record, collect = GatesRecord.load(client, version), evidence_collection.collect_evidence

    def slowly(*arguments: Any) -> Any:
        drop_challenger(client, version)
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
        return collect(*arguments)

    monkeypatch.setattr(evidence_collection, "collect_evidence", slowly)
    assert not run_gates(version, max_size_mb=1e-6).challenger
    assert GatesRecord.load(client, version) == record
    assert read_aliases(client) == {CHAMPION: version}


@pytest.mark.parametrize("passes", [True, False])
def test_gates_dry_run_changes_nothing(client: Any, passes: bool) -> None:
    from flows.gates import gates

    version, other = register_version(client), register_version(client)
    run_gates(other)
    states = [_read_state(client, number) for number in (version, other)]
    for number in (version, other):
        thresholds = GateSettings(**LENIENT | {} if passes else LENIENT | {"max_size_mb": 1e-6})
        result = gates(number, thresholds, dry_run=True)
        assert (result.passed, result.challenger) == (passes, number == other)
        assert result.unrecorded.startswith("Dry run: ")
    assert [_read_state(client, number) for number in (version, other)] == states
