"""The flow: real models on real rows; what stops one, and what is left of a verdict."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import PromotionRefusedError
from holdfast.model_versions.aliases import drop_challenger
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.model_versions.records import GatesRecord, RollbackRecord, RolloutRecord, parse_events
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.rollout.rollout_selection import PendingRollout, find_next_rollout
from holdfast.training.mlflow_client import UnknownVersionError
from holdfast.training.recipe import RECIPE_FILE
from tests.support.definition_versions import version_files
from tests.support.gate_evidence import good_evaluation, make_interval
from tests.support.registered_versions import (
    LENIENT,
    base_shop,
    list_failed_gates,
    read_aliases,
    register_version,
    run_gates,
)


def test_gates_passed_version_becomes_challenger_and_verdict_is_stored(client: Any) -> None:
    from prefect.artifacts import Artifact

    version = register_version(client)
    result = run_gates(version)
    assert list_failed_gates(result) == {}
    assert (result.version, result.champion, result.challenger, result.computed) == (version, None, True, True)
    assert read_aliases(client) == {CHALLENGER: version}

    record = GatesRecord.load(client, version)
    assert record is not None
    assert (record.verdict, record.champion, record.failed) == ("passed", None, [])
    run = client.get_run(client.get_model_version(MODEL_NAME, version).run_id)
    assert run.info.status == "FINISHED"
    assert run.data.tags["holdfast.gates"] == "passed"
    for gate in result.gates:
        assert run.data.metrics.get(f"gate.{gate.slug}") == gate.value, gate.name
    stored = json.loads(Path(client.download_artifacts(run.info.run_id, "gates.json")).read_text())
    assert stored["gates"] == [gate.model_dump() for gate in result.gates]
    assert stored["key"] == record.key
    artifact = Artifact.get("gates")
    assert artifact is not None
    assert [row["gate"] for row in json.loads(artifact.data)] == [gate.name for gate in result.gates]
    assert {row["verdict"] for row in json.loads(artifact.data)} == {"passed", "not applicable"}
    assert record.thresholds == LENIENT
    own = "Thresholds other than the defaults: max_loss_to_champion 0.05, max_latency_ms 1000.0."
    assert artifact.description == f"{MODEL_NAME} version {version}: passed every gate. {own}"


def test_gates_same_evidence_is_evaluated_once(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.promotion import evidence_collection

    version = register_version(client)
    first = run_gates(version)
    monkeypatch.setattr(evidence_collection, "collect_evidence", lambda *_: pytest.fail("gathered again"))
    again = run_gates(version)
    assert (again.computed, again.gates, again.challenger) == (False, first.gates, True)
    client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)  # as if it had been killed before the alias
    assert run_gates(version).challenger is True
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, version)
    client.delete_registered_model_alias(MODEL_NAME, CHALLENGER)
    champion = run_gates(version)  # as champion, it is still compared with its predecessor
    assert (champion.computed, champion.champion, champion.challenger) == (False, None, False)
    assert read_aliases(client) == {CHAMPION: version}


def test_gates_failed_verdict_is_computed_again(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.promotion import behavioral_tests

    version = register_version(client)
    with monkeypatch.context() as busy:
        busy.setattr(behavioral_tests, "measure_latency_ms", lambda *_: 5000.0)
        assert list(list_failed_gates(run_gates(version))) == ["latency"]
    again = run_gates(version)
    assert (again.computed, again.challenger, list_failed_gates(again)) == (True, True, {})
    events = parse_events(client.get_model_version(MODEL_NAME, version).tags, version) or []
    assert [item.verdict for item in events if isinstance(item, GatesRecord)] == ["failed", "passed"]


def test_gates_unreadable_report_is_named_and_computed_again(client: Any) -> None:
    from holdfast.promotion.gate_report import BadReportError, read_report

    version = register_version(client)
    run_gates(version)
    record = GatesRecord.load(client, version)
    assert record is not None
    run_id = client.get_model_version(MODEL_NAME, version).run_id
    client.log_text(run_id, '{"version": 1}', f"gates/{record.key[:16]}.json")
    with pytest.raises(
        BadReportError, match=rf"artifact gates/{record.key[:16]}\.json of MLflow run {run_id}.*unreadable"
    ):
        read_report(client, version, record.key)
    assert read_report(client, version, "removed") is None
    assert run_gates(version).computed is True
    assert read_report(client, version, record.key) is not None


@pytest.mark.long
def test_gates_changed_threshold_or_champion_is_computed_again(client: Any) -> None:
    first = register_version(client)
    run_gates(first)
    assert run_gates(first, max_size_mb=19).computed is True
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, register_version(client))
    again = run_gates(first)
    assert again.computed is True
    found = next(gate for gate in again.gates if gate.name == "not worse than the champion")
    assert (found.value, found.verdict) == (0, "passed"), "the same model is no worse"


def test_gates_version_worse_than_champion_fails(client: Any) -> None:
    champion, worse = register_version(client), register_version(client, "noisy")
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, champion)
    stopped = list_failed_gates(run_gates(worse))
    assert f"from version {champion} on the same test rows" in stopped.pop("not worse than the champion")
    assert stopped.keys() <= {
        "behaviour: direction",
        "probabilities not surely worse than the base rate",
        "signal on the test",
        "not surely worse than the champion",
        "probabilities not surely worse than the champion",
    }
    assert read_aliases(client) == {CHAMPION: champion}
    assert list_failed_gates(run_gates(register_version(client))) == {}


@pytest.mark.long
def test_gates_champion_of_other_features_is_compared_on_shared_rows(client: Any) -> None:
    other = base_shop().fingerprint | {"feature_service": "other"}
    champion = register_version(
        client, "noisy", fingerprint=other, inputs=["purchase_days"], reference=[1.0], examples=[]
    )
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, champion)
    rows = len(base_shop().test.y)
    better = register_version(client)
    result = run_gates(better, min_shared_rows=rows)
    found = next(gate for gate in result.gates if gate.name == "not worse than the champion")
    assert (found.verdict, found.value > 0) == ("passed", True)
    assert f"from version {champion} on the test rows they share" in found.detail
    few = run_gates(better, min_shared_rows=rows + 1)
    found = next(gate for gate in few.gates if gate.name == "not worse than the champion")
    assert (found.verdict, found.value) == ("not applicable", None)
    assert f"{rows} rows, fewer than {rows + 1}, show noise" in found.detail
    assert read_aliases(client) == {CHAMPION: champion, CHALLENGER: better}
    old = register_version(client, tags={"holdfast.served_model": "{}"})
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, old)
    assert list_failed_gates(run_gates(better, min_shared_rows=rows)) == {}, "a champion of an older contract"


@pytest.mark.parametrize(("family", "is_first"), [("base_rate", True), ("logistic", False), (None, False)])
def test_gates_champion_is_base_rate_version_is_first_model(client: Any, family: str | None, is_first: bool) -> None:
    """A champion whose recipe cannot be read counts as a model, and stops no evaluation."""
    champion = register_version(client, without="" if family else RECIPE_FILE)
    if family:
        run = client.get_model_version(MODEL_NAME, champion).run_id
        recipe = json.loads(Path(client.download_artifacts(run, RECIPE_FILE)).read_text()) | {"family": family}
        client.log_dict(run, recipe, RECIPE_FILE)
    client.set_registered_model_alias(MODEL_NAME, CHAMPION, champion)
    found = next(gate for gate in run_gates(register_version(client)).gates if gate.name == "no slice far worse")
    assert found.detail.startswith("not required of a first model; ") is is_first
    assert (found.verdict == "not applicable") is is_first


def test_gates_inverted_model_fails_the_direction_gate(client: Any) -> None:
    stops = list_failed_gates(run_gates(register_version(client, "inverted")))
    assert "behaviour: direction" in stops


def test_gates_registered_model_other_than_tested_fails(client: Any) -> None:
    import skops.io

    from tests.support.registered_versions import fit_kind

    version = register_version(client)
    source = client.get_model_version(MODEL_NAME, version).source.removeprefix("file://")
    skops.io.dump(fit_kind("noisy"), Path(source) / "model.skops")
    assert "scores as tested" in list_failed_gates(run_gates(version))


def test_gates_forbidden_input_fails(client: Any) -> None:
    assert list_failed_gates(run_gates(register_version(client), forbidden_inputs=["*_amount"])) == {
        "no forbidden input": "total_amount, mean_purchase_amount"
    }


def test_gates_slow_or_large_model_fails(client: Any) -> None:
    version = register_version(client)
    fair = {gate.name: gate.value for gate in run_gates(version).gates}
    for name, limit in (("latency", "max_latency_ms"), ("size", "max_size_mb")):
        assert fair[name] > 0, "measured on the model itself"
        result = run_gates(version, **{limit: fair[name] / 100})  # it costs a hundred times what it may
        assert list(list_failed_gates(result)) == [name]
        assert read_aliases(client) == {}


def test_gates_rolled_back_version_fails(client: Any) -> None:
    version = register_version(client)
    assert run_gates(version).challenger
    RollbackRecord(to="1", when=datetime.now(UTC), who="ann", why="complaints").save(client, version)
    assert list(list_failed_gates(run_gates(version))) == ["not rolled back"]
    assert read_aliases(client) == {}
    assert run_gates(version, max_rollbacks=1).challenger


@pytest.mark.long
class TestRefutedInProduction:
    def refuted(self, client: Any) -> tuple[str, str]:
        """A champion, and a challenger that passed beside it and was then taken back in its canary."""
        champion, version = register_version(client), register_version(client)
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, champion)
        assert run_gates(version).challenger
        now = datetime.now(UTC)
        RolloutRecord(
            step="canary", share=0.05, begun=now, when=now, verdict="breached", champion=champion, gates="k", why="slow"
        ).save(client, version)
        drop_challenger(client, version)
        return champion, version

    @pytest.mark.parametrize("judges", ["the latest", "training"])
    def test_gates_automatic_run_refuted_version_is_not_challenger(self, client: Any, judges: str) -> None:
        from prefect import flow

        from flows.gates import gates

        champion, version = self.refuted(client)
        thresholds = GateSettings(**LENIENT)

        @flow(name="trains")
        def by_training() -> Any:
            return gates(version, thresholds)

        result: Any = gates(thresholds=thresholds) if judges == "the latest" else by_training()
        assert (result.version, list(list_failed_gates(result))) == (version, ["not refuted in production"])
        (detail,) = list_failed_gates(result).values()
        assert "canary of 5.0%" in detail and "slow" in detail
        assert read_aliases(client) == {CHAMPION: champion}

    def test_promote_refuted_version_raises(self, client: Any) -> None:
        from flows.promote import promote

        _, version = self.refuted(client)
        with pytest.raises(PromotionRefusedError, match=r"worse than the champion in its rollout.* \(slow\)"):
            promote(version)

    def test_gates_named_refuted_version_is_evaluated_and_rolled_out_again(self, client: Any) -> None:
        """The runbook's way back; and while that rollout is open, training on the same data does not undo it."""
        from flows.gates import gates

        champion, version = self.refuted(client)
        again = run_gates(version)
        assert (again.computed, again.challenger, list_failed_gates(again)) == (True, True, {})
        pending = find_next_rollout(client, version)
        assert isinstance(pending, PendingRollout) and (pending.version, pending.record) == (version, None)
        now = datetime.now(UTC)
        RolloutRecord(
            step="shadow", share=0, begun=now, when=now, verdict="begun", champion=champion, gates=pending.gates
        ).save(client, version)
        later = gates(thresholds=GateSettings(**LENIENT))
        assert (later.computed, later.challenger) == (False, True)


@pytest.mark.long
def test_gates_parity_mismatch_or_missing_report_fails(registry_shop: tuple[Settings, Any]) -> None:
    settings, client = registry_shop
    version, path = register_version(client), version_files(settings.data) / "parity.json"
    report = json.loads(path.read_text())
    path.write_text(json.dumps(report | {"mismatches": 3}))
    result = run_gates(version)
    assert list(list_failed_gates(result)) == ["parity"]
    assert [gate.value for gate in result.gates if gate.name == "parity"] == [3]
    path.unlink()
    assert "python -m flows.features" in list_failed_gates(run_gates(version))["parity"]
    path.write_text(json.dumps(report | {"definitions": report["definitions"] | {"on_demand": "x"}}))
    assert "on_demand differ" in list_failed_gates(run_gates(version))["parity"]
    path.write_text(json.dumps(report))
    assert run_gates(version).challenger


@pytest.mark.parametrize(
    ("without", "stops"),
    [
        ("evaluation.json", "signal on the test"),
        ("recipe.json", "behaviour: direction"),
        ("lineage.json", "behaviour: invariance"),
        ("test_predictions.parquet", "scores as tested"),
        ("model/model.skops", "size"),
    ],
)
def test_gates_missing_run_file_fails_its_gate(client: Any, without: str, stops: str) -> None:
    stopped = list_failed_gates(run_gates(register_version(client, without=without)))
    assert without.split("/")[-1] in stopped[stops]
    assert read_aliases(client) == {}


def test_gates_verdict_with_error_is_computed_again(client: Any) -> None:
    version = register_version(client, without="evaluation.json")
    assert run_gates(version).computed is True
    run = client.get_model_version(MODEL_NAME, version).run_id
    client.log_text(run, good_evaluation().model_dump_json(), "evaluation.json")
    again = run_gates(version)
    assert (again.computed, list_failed_gates(again)) == (True, {})


def test_gates_unstable_evaluation_fails_the_stability_gate(client: Any) -> None:
    version = register_version(client, evaluation=good_evaluation(instability=make_interval(0.5)))
    assert list(list_failed_gates(run_gates(version))) == ["stability"]
    record = GatesRecord.load(client, version)
    assert record is not None
    assert (record.verdict, record.failed) == ("failed", ["stability"])


def test_gates_champion_changed_during_run_sets_no_challenger(client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.promotion import evidence_collection

    version, other = register_version(client), register_version(client)
    gather = evidence_collection.collect_evidence

    def slowly(*arguments: Any) -> Any:
        client.set_registered_model_alias(MODEL_NAME, CHAMPION, other)
        return gather(*arguments)

    monkeypatch.setattr(evidence_collection, "collect_evidence", slowly)
    result = run_gates(version)
    assert (result.passed, result.challenger) == (True, False)
    assert read_aliases(client) == {CHAMPION: other}


def test_gates_without_version_evaluate_the_latest_and_unknown_raises(client: Any) -> None:
    from flows.gates import gates

    register_version(client)
    latest = register_version(client)
    assert gates(thresholds=GateSettings(**LENIENT)).version == latest
    with pytest.raises(UnknownVersionError, match=f"{MODEL_NAME} has no version 999"):
        gates("999")


def test_gates_command_prints_table_and_exits_1_if_a_gate_fails(
    client: Any, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import sys

    from flows._cli import run_flow
    from flows.gates import _print_and_exit, gates

    register_version(client)
    for options, code, text in (
        ({}, 0, "It is the challenger: `python -m flows.promote"),
        ({"max_size_mb": 1e-6}, 1, "failed size."),
    ):
        monkeypatch.setattr(sys, "argv", ["gates", "--thresholds", json.dumps(LENIENT | options)])
        with pytest.raises(SystemExit) as ended:
            run_flow(gates, show=_print_and_exit)
        assert ended.value.code == code
        assert text in " ".join(capsys.readouterr().out.split())
