"""`python -m holdfast reproduce` on the trained shop's version."""

import hashlib
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from feature_repo.settings import Settings
from holdfast.ingestion.batches import MANIFEST
from holdfast.training.lineage import LINEAGE
from tests.support.shop_fixtures import Dataset, Trained
from tests.support.small_shop import AS_OF, KNOWN_AT, copy_shop, ingest, transactions, use_data_folder

pytestmark = pytest.mark.long


@dataclass(frozen=True)
class CommandResult:
    """Exit code, output, outcome of the clean process, and the batch that is not used."""

    code: int
    printed: str
    outcome: Any
    unused_batch: str


@pytest.fixture(scope="module")
def recorded(trained: Trained) -> Any:
    """Load the records of the version."""
    from holdfast.lineage.reproduction import load_recorded_version
    from holdfast.training.mlflow_client import open_registry

    with use_data_folder(trained.data) as settings:
        return load_recorded_version(open_registry(settings), trained.result.model_version)


def _copy(trained: Trained, folder: Path) -> Path:
    """Copy the shop's batches and registry, without its snapshots and Feast's registry."""
    data = copy_shop(folder)
    (data / "mlflow").mkdir()
    shutil.copy(trained.data / "mlflow" / "mlflow.db", data / "mlflow" / "mlflow.db")
    return data


def _add_batch(data: Path, amount: float, arrival: datetime) -> str:
    """Ingest a batch of one purchase and return its id."""
    before = set((data / "batches").iterdir())
    ingest(data, [transactions()[0]._replace(amount=amount)], arrival)
    return (set((data / "batches").iterdir()) - before).pop().name


def _content(data: Path) -> dict[str, str]:
    files = [path for path in sorted(data.rglob("*")) if path.is_file()]
    return {str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def result(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[CommandResult]:
    """Run the command once, with other settings than the training and with additional batches."""
    from holdfast.__main__ import main
    from holdfast.lineage import reproduction

    data = _copy(trained, tmp_path_factory.mktemp("reproduce"))
    late = KNOWN_AT + timedelta(days=1)
    unused = _add_batch(data, 1.25, late)
    manifest = data / "batches" / unused / "batch.json"
    stored = MANIFEST.validate_json(manifest.read_bytes())
    manifest.write_bytes(MANIFEST.dump_json(replace(stored, ingested_at=KNOWN_AT)))  # as if it had arrived in time
    _add_batch(data, 2.5, late + timedelta(days=1))
    before, outcomes, retrain_isolated = _content(data), [], reproduction.retrain_isolated

    def recording(*arguments: Any) -> Any:
        outcomes.append(retrain_isolated(*arguments))
        return outcomes[0]

    with pytest.MonkeyPatch.context() as patch, use_data_folder(data, HOLDFAST_HORIZON_DAYS="30"):
        import rich.console

        patch.setattr(reproduction, "retrain_isolated", recording)
        patch.setattr(sys, "argv", ["holdfast", "reproduce", trained.result.model_version])
        printed: list[str] = []
        patch.setattr(rich.console.Console, "print", lambda _, text, **options: printed.append(str(text)))
        with pytest.raises(SystemExit) as done:
            main()
    assert _content(data) == before, "reproducing changed the data folder or the registry"
    yield CommandResult(int(done.value.code or 0), "\n".join(printed), outcomes[0], unused)


class TestIdentical:
    def test_reproduce_predictions_are_bit_identical(self, result: CommandResult, recorded: Any) -> None:
        assert result.code == 0, result.printed
        assert f"all {len(recorded.scores):,} test predictions" in result.printed
        scores = result.outcome.model.scores
        for model in ("model", "served"):
            assert scores[model].tolist() == recorded.scores[model].tolist()
        assert (scores["model"] != scores["served"]).any()
        assert scores["churned"].tolist() == recorded.scores["churned"].tolist()
        assert result.outcome.model.digests == recorded.recipe.digests

    def test_reproduce_uses_batches_and_settings_of_the_lineage(self, result: CommandResult, recorded: Any) -> None:
        current = result.outcome.current
        for name in ("batches", "fingerprint", "horizon_days", "activity_days", "lock", "training_code", "python"):
            assert getattr(current, name) == getattr(recorded.lineage, name), name

    def test_reproduce_unused_batch_is_named(self, result: CommandResult) -> None:
        assert f"not used: {result.unused_batch}, on disk but not part of the lineage" in result.printed


class TestChanged:
    """One side is changed; the report names the change, first cause first."""

    def _parts(self, recorded: Any, outcome: Any) -> list[str]:
        from holdfast.lineage.reproduction import compare_with_records

        reproduction = compare_with_records(recorded, outcome, [])
        assert not reproduction.identical
        return [item.part for item in reproduction.differences]

    def test_reproduce_other_parameter_changes_predictions(
        self, result: CommandResult, recorded: Any, dataset: Dataset
    ) -> None:
        from holdfast.training.fitting import fit_recipe, predict_churn

        def scores(recipe: Any) -> list[float]:
            test = dataset.data.at_cutoffs(recipe.test)
            return list(predict_churn(fit_recipe(recipe, dataset.data), test.x))

        outcome, recipe = result.outcome, recorded.recipe
        other = recipe.model_copy(update={"family": "logistic", "params": {"C": 0.5}})
        assert scores(recipe) == recorded.scores["model"].tolist()
        model = replace(outcome.model, scores=outcome.model.scores.assign(model=scores(other)))
        assert self._parts(recorded, replace(outcome, model=model))[-1] == "predictions"

    def test_reproduce_other_amount_changes_inputs(self, recorded: Any, tmp_path: Path) -> None:
        def raise_amount(table: pa.Table) -> pa.Table:
            amounts = table["amount"].to_pylist()
            return table.set_column(
                table.schema.get_field_index("amount"),
                table.schema.field("amount"),
                pa.array([amounts[0] + 0.01, *amounts[1:]], table.schema.field("amount").type),
            )

        found = self._with_batch(recorded, tmp_path, raise_amount)
        assert "rows" not in found
        assert "labels" not in found
        assert found[0] == "inputs"
        if recorded.recipe.family in ("logistic", "boosting"):  # purchase models do not read amounts
            assert found[-2:] == ["predictions", "predictions of the shipped model"]

    def test_reproduce_lost_purchases_change_labels_only(self, recorded: Any, tmp_path: Path) -> None:
        """Without the last purchases these customers churned; all inputs are the same, and so is the tested model.

        Purchase models learn from no label, so their refit is the same, too.
        """
        found = self._with_batch(recorded, tmp_path, lambda table: table.slice(0, 0), batch=-1)
        learns_labels = recorded.recipe.family in ("logistic", "boosting")
        assert found == ["labels", "test labels", *["predictions of the shipped model"] * learns_labels]

    def _with_batch(self, recorded: Any, folder: Path, change: Any, batch: int = 0) -> list[str]:
        from holdfast.lineage.isolated_retraining import RetrainingOutcome
        from holdfast.lineage.retrain_worker import current_lineage, retrain_recipe

        data = copy_shop(folder)
        path = data / "batches" / recorded.lineage.batches[batch] / "transactions.parquet"
        pq.write_table(change(pq.read_table(path)), path)
        with use_data_folder(data) as settings:
            current_lineage(settings, recorded.lineage)  # applies the definitions
            model = retrain_recipe(settings, recorded.lineage, recorded.recipe, lambda progress: None)
        return self._parts(recorded, RetrainingOutcome(recorded.lineage, model))


class TestNotReproduced:
    def test_reproduce_other_definitions_stop_before_features_are_built(self, recorded: Any, tmp_path: Path) -> None:
        from holdfast.lineage import isolated_retraining, retrain_worker

        other = replace(recorded.lineage, fingerprint=recorded.lineage.fingerprint | {"on_demand": "another"})
        (tmp_path / retrain_worker.RECORDED_FILE).write_bytes(LINEAGE.dump_json(other))
        (tmp_path / "recipe.json").write_text(recorded.recipe.model_dump_json())
        with use_data_folder(copy_shop(tmp_path)) as settings:
            retrain_worker.main(tmp_path)
            assert not settings.snapshots.exists()
        outcome = isolated_retraining._read_outcome(tmp_path)
        assert outcome.model is None
        assert outcome.current.fingerprint == recorded.lineage.fingerprint

    def test_reproduce_missing_batch_stops_before_the_process_starts(
        self, recorded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from holdfast.lineage import reproduction

        data, missing = copy_shop(tmp_path), recorded.lineage.batches[1]
        shutil.rmtree(data / "batches" / missing)
        monkeypatch.delattr(reproduction, "retrain_isolated")
        reproduced = reproduction.reproduce_version(Settings(data=data), recorded, lambda progress: None)
        assert not reproduced.identical
        assert [item.part for item in reproduced.differences] == ["batches"]
        assert missing in reproduced.differences[0].detail

    def test_reproduce_data_without_training_set_have_the_reason(self, recorded: Any, tmp_path: Path) -> None:
        from holdfast.lineage import isolated_retraining, retrain_worker

        early = recorded.recipe.model_copy(update={"development": (AS_OF - timedelta(days=4000),)})
        (tmp_path / retrain_worker.RECORDED_FILE).write_bytes(LINEAGE.dump_json(recorded.lineage))
        (tmp_path / "recipe.json").write_text(early.model_dump_json())
        with use_data_folder(copy_shop(tmp_path)):
            retrain_worker.main(tmp_path)
        outcome = isolated_retraining._read_outcome(tmp_path)
        assert outcome.model is None
        assert "had arrived by" in outcome.error

    def test_reproduce_failed_process_is_an_error_with_the_end_of_its_log(
        self, recorded: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        from holdfast.lineage import isolated_retraining

        fake = tmp_path / "python"
        fake.write_text("#!/bin/sh\necho working\necho 'no memory left' >&2\nexit 3\n")
        fake.chmod(0o755)
        monkeypatch.setattr(isolated_retraining.sys, "executable", str(fake))
        lines: list[str] = []
        with pytest.raises(isolated_retraining.ReproductionError, match=r"ended with code 3\..*\nno memory left"):
            isolated_retraining.retrain_isolated(
                Settings(data=tmp_path), recorded.lineage, recorded.recipe, lines.append
            )
        assert lines == ["working"]

    def test_reproduce_version_without_recipe_is_an_error(
        self, trained: Trained, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from holdfast.lineage import reproduction
        from holdfast.training.mlflow_client import open_registry

        read = reproduction.read_files
        monkeypatch.setattr(reproduction, "read_files", lambda client, run, names: read(client, run, names[:1]))
        with (
            use_data_folder(trained.data) as settings,
            pytest.raises(reproduction.ReproductionError, match=r"no recipe\.json and no test_predictions\.parquet"),
        ):
            reproduction.load_recorded_version(open_registry(settings), trained.result.model_version)
