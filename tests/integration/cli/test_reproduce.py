"""`python -m holdfast reproduce`: the trained shop's version, made again from its lineage."""

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


@dataclass(frozen=True)
class Ended:
    """What the command left: its exit code, what it printed, what the clean process gave it."""

    code: int
    printed: str
    outcome: Any
    left_out: str


@pytest.fixture(scope="module")
def recorded(trained: Trained) -> Any:
    """What training recorded of the version."""
    from holdfast.lineage.reproduction import load_recorded_version
    from holdfast.model_versions.aliases import open_registry

    with use_data_folder(trained.data) as settings:
        return load_recorded_version(open_registry(settings), trained.result.model_version)


def _copy(trained: Trained, folder: Path) -> Path:
    """The shop's batches and registry, without its snapshots and Feast's registry: they are made again."""
    data = copy_shop(folder)
    (data / "mlflow").mkdir()
    shutil.copy(trained.data / "mlflow" / "mlflow.db", data / "mlflow" / "mlflow.db")
    return data


def _one_more(data: Path, amount: float, arrival: datetime) -> str:
    """Ingest a batch of one purchase; returns its id."""
    before = set((data / "batches").iterdir())
    ingest(data, [transactions()[0]._replace(amount=amount)], arrival)
    return (set((data / "batches").iterdir()) - before).pop().name


def _content(data: Path) -> dict[str, str]:
    files = [path for path in sorted(data.rglob("*")) if path.is_file()]
    return {str(path.relative_to(data)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


@pytest.fixture(scope="module")
def ended(trained: Trained, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Ended]:
    """The command, once, under settings that are not those of the training and beside batches that are not of it."""
    from holdfast.__main__ import main
    from holdfast.lineage import reproduction

    data = _copy(trained, tmp_path_factory.mktemp("reproduce"))
    late = KNOWN_AT + timedelta(days=1)
    left_out = _one_more(data, 1.25, late)
    manifest = data / "batches" / left_out / "batch.json"
    said = MANIFEST.validate_json(manifest.read_bytes())
    manifest.write_bytes(MANIFEST.dump_json(replace(said, ingested_at=KNOWN_AT)))  # as if it had been there
    _one_more(data, 2.5, late + timedelta(days=1))
    before, outcomes, retrain_isolated = _content(data), [], reproduction.retrain_isolated

    def kept(*arguments: Any) -> Any:
        outcomes.append(retrain_isolated(*arguments))
        return outcomes[0]

    with pytest.MonkeyPatch.context() as patch, use_data_folder(data, HOLDFAST_HORIZON_DAYS="30"):
        import rich.console

        patch.setattr(reproduction, "retrain_isolated", kept)
        patch.setattr(sys, "argv", ["holdfast", "reproduce", trained.result.model_version])
        printed: list[str] = []
        patch.setattr(rich.console.Console, "print", lambda _, text, **options: printed.append(str(text)))
        with pytest.raises(SystemExit) as done:
            main()
    assert _content(data) == before, "reproducing changed the data folder or the registry"
    yield Ended(int(done.value.code or 0), "\n".join(printed), outcomes[0], left_out)


class TestMadeAgain:
    def test_the_predictions_are_the_same_to_the_last_bit(self, ended: Ended, recorded: Any) -> None:
        assert ended.code == 0, ended.output
        assert f"all {len(recorded.scores):,} test predictions" in ended.output
        made = ended.outcome.made.scores
        assert made["model"].tolist() == recorded.scores["model"].tolist()
        assert made["churned"].tolist() == recorded.scores["churned"].tolist()
        assert ended.outcome.made.digests == recorded.recipe.digests

    def test_it_was_made_from_the_batches_and_settings_of_its_lineage(self, ended: Ended, recorded: Any) -> None:
        present = ended.outcome.present
        for name in ("batches", "fingerprint", "horizon_days", "activity_days", "lock", "training_code", "python"):
            assert getattr(present, name) == getattr(recorded.lineage, name), name

    def test_a_batch_that_could_have_been_used_but_was_not_is_named(self, ended: Ended) -> None:
        assert f"left out: {ended.left_out}, on disk but not of its lineage" in ended.output


class TestPlanted:
    """Something is changed on one side; the report names it, the first cause first."""

    def _where(self, recorded: Any, outcome: Any) -> list[str]:
        from holdfast.lineage.reproduction import compare

        result = compare(recorded, outcome, [])
        assert not result.identical
        return [item.where for item in result.differences]

    def test_another_parameter(self, ended: Ended, recorded: Any, dataset: Dataset) -> None:
        from holdfast.training.fitting import fit_recipe, predict_churn

        def scores(recipe: Any) -> list[float]:
            test = dataset.data.at_cutoffs(recipe.test)
            return list(predict_churn(fit_recipe(recipe, dataset.data), test.x))

        outcome, recipe = ended.outcome, recorded.recipe
        name = sorted(recipe.params)[0]
        other = recipe.model_copy(update={"params": recipe.params | {name: recipe.params[name] * 2}})
        assert scores(recipe) == recorded.scores["model"].tolist()
        made = replace(outcome.made, scores=outcome.made.scores.assign(model=scores(other)))
        assert self._where(recorded, replace(outcome, made=made))[-1] == "predictions"

    def test_another_amount_in_a_batch(self, recorded: Any, tmp_path: Path) -> None:
        def dearer(table: pa.Table) -> pa.Table:
            amounts = table["amount"].to_pylist()
            return table.set_column(
                table.schema.get_field_index("amount"),
                table.schema.field("amount"),
                pa.array([amounts[0] + 0.01, *amounts[1:]], table.schema.field("amount").type),
            )

        found = self._with_batch(recorded, tmp_path, dearer)
        assert "rows" not in found
        assert "labels" not in found
        assert found[0] == "inputs"
        assert found[-1] == "predictions"

    def test_another_outcome_in_a_batch(self, recorded: Any, tmp_path: Path) -> None:
        """The last purchases are lost: those customers churned, and before that nothing is another."""
        found = self._with_batch(recorded, tmp_path, lambda table: table.slice(0, 0), batch=-1)
        assert found == ["labels", "test labels"]

    def _with_batch(self, recorded: Any, folder: Path, change: Any, batch: int = 0) -> list[str]:
        from holdfast.lineage.isolated_retraining import RetrainingOutcome
        from holdfast.lineage.retrain_worker import current_lineage, retrain
        from holdfast.training.numeric_environment import current_numeric_environment

        data = copy_shop(folder)
        path = data / "batches" / recorded.lineage.batches[batch] / "transactions.parquet"
        pq.write_table(change(pq.read_table(path)), path)
        with use_data_folder(data) as settings:
            current_lineage(settings, recorded.lineage)  # applies the definitions
            made = retrain(settings, recorded.lineage, recorded.recipe, lambda doing: None)
        return self._where(recorded, RetrainingOutcome(recorded.lineage, current_numeric_environment(), made))


class TestNotMade:
    def test_other_definitions_are_found_before_anything_is_built(self, recorded: Any, tmp_path: Path) -> None:
        from holdfast.lineage import isolated_retraining, retrain_worker

        other = replace(recorded.lineage, fingerprint=recorded.lineage.fingerprint | {"on_demand": "another"})
        (tmp_path / retrain_worker.RECORDED_FILE).write_bytes(LINEAGE.dump_json(other))
        (tmp_path / "recipe.json").write_text(recorded.recipe.model_dump_json())
        with use_data_folder(copy_shop(tmp_path)) as settings:
            retrain_worker.main(tmp_path)
            assert not settings.snapshots.exists()
        outcome = isolated_retraining._read(tmp_path)
        assert outcome.made is None
        assert outcome.present.fingerprint == recorded.lineage.fingerprint

    def test_a_missing_batch_is_found_before_anything_is_started(
        self, recorded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from holdfast.lineage import reproduction

        data, gone = copy_shop(tmp_path), recorded.lineage.batches[1]
        shutil.rmtree(data / "batches" / gone)
        monkeypatch.delattr(reproduction, "retrain_isolated")
        result = reproduction.reproduce(Settings(data=data), recorded, lambda doing: None)
        assert not result.identical
        assert [item.where for item in result.differences] == ["batches"]
        assert gone in result.differences[0].what

    def test_data_that_give_no_training_set_say_why(self, recorded: Any, tmp_path: Path) -> None:
        from holdfast.lineage import isolated_retraining, retrain_worker

        early = recorded.recipe.model_copy(update={"development": (AS_OF - timedelta(days=4000),)})
        (tmp_path / retrain_worker.RECORDED_FILE).write_bytes(LINEAGE.dump_json(recorded.lineage))
        (tmp_path / "recipe.json").write_text(early.model_dump_json())
        with use_data_folder(copy_shop(tmp_path)):
            retrain_worker.main(tmp_path)
        outcome = isolated_retraining._read(tmp_path)
        assert outcome.made is None
        assert "had arrived by" in outcome.refusal

    def test_a_process_that_dies_is_an_error_with_its_last_words(
        self, recorded: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        from holdfast.lineage import isolated_retraining

        fake = tmp_path / "python"
        fake.write_text("#!/bin/sh\necho working\necho 'no memory left' >&2\nexit 3\n")
        fake.chmod(0o755)
        monkeypatch.setattr(isolated_retraining.sys, "executable", str(fake))
        said: list[str] = []
        with pytest.raises(isolated_retraining.ReproductionError, match=r"ended with code 3:\nno memory left"):
            isolated_retraining.retrain_isolated(
                Settings(data=tmp_path), recorded.lineage, recorded.recipe, None, said.append
            )
        assert said == ["working"]

    def test_a_version_without_a_recipe_cannot_be_made(self, trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
        from holdfast.lineage import reproduction
        from holdfast.model_versions.aliases import open_registry

        read = reproduction.read_files
        monkeypatch.setattr(reproduction, "read_files", lambda client, run, names: read(client, run, names[:1]))
        with (
            use_data_folder(trained.data) as settings,
            pytest.raises(reproduction.ReproductionError, match=r"no recipe\.json and no test_predictions\.parquet"),
        ):
            reproduction.load_recorded_version(open_registry(settings), trained.result.model_version)
