"""`python -m holdfast lineage` on the trained shop, for versions and batches."""

import json
import shutil
import sys
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest

from feature_repo.settings import Settings
from holdfast.models.contract import CHAMPION, MODEL_NAME
from holdfast.models.fingerprint import fingerprint
from tests.support.labels import purchase_label
from tests.support.shop_fixtures import Trained
from tests.support.small_shop import AS_OF, KNOWN_AT, use_data_folder

pytestmark = pytest.mark.long

Command = Callable[..., tuple[int, str, str]]


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Iterator[Settings]:
    """Point this process to a copy of the shop's batches and registry, which a test may change."""
    data = tmp_path / "data"
    (data / "mlflow").mkdir(parents=True)
    shutil.copytree(trained.data / "batches", data / "batches")
    shutil.copy(trained.data / "mlflow" / "mlflow.db", data / "mlflow" / "mlflow.db")
    with use_data_folder(data, MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR="false") as settings:
        yield settings


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """Run the command in this process; returns exit code, standard output and standard error."""
    from holdfast.__main__ import main

    def run(*options: str) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["holdfast", "lineage", *options])
        with pytest.raises(SystemExit) as ended:
            main()
        return int(ended.value.code or 0), *capsys.readouterr()

    return run


def _batches(data: Path) -> list[str]:
    return [
        item["batch_id"]
        for item in sorted(
            (json.loads(path.read_text()) for path in data.glob("batches/*/batch.json")),
            key=lambda item: item["ingested_at"],
        )
    ]


@pytest.mark.long
def test_lineage_version_shows_its_full_lineage(trained: Trained, copied: Settings, command: Command) -> None:
    code, printed, _ = command(trained.result.model_version)
    assert code == 0
    evaluation = trained.result.evaluation
    for part in (
        f"{MODEL_NAME} version {trained.result.model_version}",
        *[f"batch {batch_id}" for batch_id in _batches(trained.data)],
        f"known at {KNOWN_AT:%Y-%m-%d %H:%M} UTC, outcomes up to {AS_OF:%Y-%m-%d %H:%M} UTC",
        f"MLflow run {trained.result.run_id}",
        f"ROC-AUC {evaluation.metrics['model']['roc_auc']}",
        evaluation.chosen,
        "seed            0",
        "search.trials=2",
    ):
        assert part in printed, part


def test_lineage_json_has_all_records(trained: Trained, copied: Settings, command: Command) -> None:
    from holdfast.feast_stores.open_store import open_store
    from holdfast.models.declaration import load_declaration
    from holdfast.training.lineage import build_lineage
    from tests.support.shop_fixtures import QUICK

    code, printed, _ = command(trained.result.model_version, "--json")
    document = json.loads(printed)
    assert code == 0
    with use_data_folder(trained.data) as settings:
        training = QUICK.with_candidates(load_declaration("churn").candidates)
        expected = build_lineage(settings, training, fingerprint(open_store(), purchase_label()), AS_OF, KNOWN_AT)
    assert document["lineage"]["batches"] == expected.batches == _batches(trained.data)
    for name in ("fingerprint", "training_code", "lock", "python", "horizon_days", "activity_days"):
        assert document["lineage"][name] == getattr(expected, name)
    assert document["lineage"]["settings"] == json.loads(json.dumps(expected.settings))
    assert document["lineage"]["git_commit"]
    assert document["arithmetic"] == json.loads(json.dumps(expected.arithmetic))
    assert document["recipe"]["seed"] == 0
    assert document["run_id"] == trained.result.run_id
    assert [item["manifest"]["rows_added"] > 0 for item in document["batches"]] == [True] * 3


def test_lineage_champion_shows_its_promotion(trained: Trained, copied: Settings, command: Command) -> None:
    from holdfast.model_versions.aliases import set_champion
    from holdfast.model_versions.records import PromotionRecord
    from holdfast.training.mlflow_client import open_registry

    version, client = trained.result.model_version, open_registry(copied)
    code, _, error = command(CHAMPION)
    assert code == 1
    assert f"{MODEL_NAME} has no champion" in error
    PromotionRecord(previous=None, when=AS_OF, who="Ada [A]", why="it is better", mode="manual", gates="k").save(
        client, version
    )
    set_champion(client, version)
    code, printed, _ = command(CHAMPION)
    assert code == 0
    assert f"{MODEL_NAME} version {version}  champion" in printed
    assert f"{AS_OF:%Y-%m-%d %H:%M} UTC  champion. Approved, claimed by Ada [A]: it is better" in printed


def test_lineage_version_shows_only_completed_events(trained: Trained, copied: Settings, command: Command) -> None:
    from holdfast.model_versions.records import ApprovalRecord, PromotionRecord
    from holdfast.training.mlflow_client import open_registry

    version, client = trained.result.model_version, open_registry(copied)
    events = json.loads(command(version, "--json")[1])["events"]  # of other tests on the same shop
    for run, until in (("a", AS_OF), ("b", AS_OF + timedelta(hours=3))):
        ApprovalRecord(status="waiting", since=until - timedelta(hours=1), until=until, flow_run=run, gates="k").save(
            client, version
        )
    PromotionRecord(previous=None, when=AS_OF, who="Ada", why="killed", mode="manual", gates="k").write_tag(
        client, version
    )
    code, printed, _ = command(version)
    assert code == 0
    assert printed.count("approval requested, until") == 2
    assert printed.count("timed out: no answer in time") == 2
    assert "killed" not in printed
    document = json.loads(command(version, "--json")[1])
    assert (document["approval"]["status"], document["promotion"]) == ("timed out", None)
    assert document["events"][: len(events)] == events
    assert len(document["events"]) == len(events) + 2


def test_lineage_batch_shows_every_version(trained: Trained, copied: Settings, command: Command) -> None:
    from holdfast.model_versions.aliases import list_versions
    from holdfast.training.mlflow_client import open_registry

    for batch_id in _batches(trained.data):
        for name in (batch_id, batch_id[:6]):
            code, printed, _ = command("--batch", name)
            assert code == 0
            assert printed.startswith(f"batch {batch_id}")
            assert f"{MODEL_NAME} version {trained.result.model_version}" in printed
    document = json.loads(command("--batch", _batches(trained.data)[0], "--json")[1])
    assert len(document["versions"]) + len(document["unreadable"]) == len(list_versions(open_registry(copied)))


def test_lineage_batch_missing_on_disk_is_marked(trained: Trained, copied: Settings, command: Command) -> None:
    removed = _batches(trained.data)[1]
    shutil.rmtree(copied.batches / removed)
    code, printed, _ = command(trained.result.model_version)
    assert code == 0
    assert f"batch {removed}  no longer on disk" in printed
    code, printed, _ = command("--batch", removed)
    assert code == 0
    assert printed.startswith(f"batch {removed}  no longer on disk")
    assert f"{MODEL_NAME} version {trained.result.model_version}" in printed


def test_lineage_version_without_record_is_an_error_and_hides_no_other(
    trained: Trained, copied: Settings, command: Command
) -> None:
    from holdfast.training.mlflow_client import open_registry

    client = open_registry(copied)
    experiment = client.get_run(trained.result.run_id).info.experiment_id
    run = client.create_run(experiment)
    bare = str(client.create_model_version(MODEL_NAME, source="nowhere", run_id=run.info.run_id).version)
    code, printed, error = command(bare)
    assert (code, printed) == (1, "")
    assert f"version {bare}, MLflow run {run.info.run_id} has no lineage.json" in error
    client.log_text(run.info.run_id, '{"as_of": 1}', "lineage.json")
    assert "lineage.json is invalid" in command(bare)[2]
    code, printed, _ = command("--batch", _batches(trained.data)[0])
    assert code == 0
    assert f"version {trained.result.model_version}" in printed
    assert f"version {bare}: lineage unavailable" in printed


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["99"], f"{MODEL_NAME} has no version 99"),
        (["nonsense"], f"{MODEL_NAME} has no version nonsense"),
        (["--batch", "zz"], "No batch 'zz' in "),
        (["--batch", ""], "No batch '' in "),
    ],
)
def test_lineage_unknown_name_is_an_error_in_one_line(
    copied: Settings, command: Command, options: list[str], message: str
) -> None:
    code, printed, error = command(*options)
    assert (code, printed) == (1, "")
    assert message in error
    assert len(error.strip().splitlines()) == 1


def test_lineage_ambiguous_batch_id_is_an_error(copied: Settings, command: Command) -> None:
    from holdfast.ingestion.batches import list_batches

    batch = list_batches(copied)[0]
    for name in ("ffff0001", "ffff0002"):
        folder = copied.batches / name
        folder.mkdir()
        path = copied.batches / batch.batch_id / "batch.json"
        (folder / "batch.json").write_text(path.read_text().replace(batch.batch_id, name))
    code, _, error = command("--batch", "ffff")
    assert code == 1
    assert "2 batch ids begin with ffff: ffff0001, ffff0002" in error
    code, printed, _ = command("--batch", "ffff0001")
    assert code == 0
    assert "no model version was trained on it" in printed


def test_lineage_of_replaced_batch_names_the_correction_and_its_versions(
    trained: Trained, copied: Settings, command: Command, tmp_path: Path
) -> None:
    from holdfast.lineage.batch_history import describe_affected_versions
    from tests.support.ingest_pipeline import run_ingest

    source, mapping = tmp_path / "corrected.csv", tmp_path / "mapping.yaml"
    source.write_text("id,when,amount\nc1,2024-05-01,5\n")
    mapping.write_text("columns: {customer_id: id, event_timestamp: when, amount: amount}\n")
    replaced = _batches(trained.data)[0]
    correction = run_ingest(copied, source, mapping, replace=(replaced,), force=True)
    for option in ([trained.result.model_version], ["--batch", replaced]):
        code, printed, _ = command(*option)
        assert code == 0
        assert f"replaced by {correction.batch_id} (corrected.csv)" in printed
    assert f"replaces {replaced}" in command("--batch", str(correction.batch_id))[1]
    note = describe_affected_versions(copied, correction.replaces)
    assert f"trained on the replaced rows: holdfast-churn version {trained.result.model_version}" in note
    assert "python -m flows.train" in note


@pytest.mark.parametrize("options", [[], ["1", "--batch", "ab"]])
def test_lineage_neither_or_both_arguments_exits_2(command: Command, options: list[str]) -> None:
    code, _, error = command(*options)
    assert code == 2
    assert "give either a version or --batch" in error


def test_lineage_without_models_names_the_train_command(data_dir: Path, command: Command) -> None:
    code, _, error = command("1")
    assert code == 1
    assert "python -m flows.train" in error
    assert not data_dir.exists()  # reading creates nothing
