"""The model card of the trained version: in its run, as a Prefect artifact, and the same when written again."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from feature_repo.settings import Settings
from flows.model_card import model_card
from holdfast.models.contract import MODEL_NAME
from tests.support.shop_fixtures import Trained
from tests.support.small_shop import AS_OF, use_data_folder


@pytest.fixture
def copied(trained: Trained, tmp_path: Path) -> Iterator[Settings]:
    """This process at work on a copy of the registry."""
    data = tmp_path / "data"
    (data / "mlflow").mkdir(parents=True)
    shutil.copytree(trained.data / "batches", data / "batches")
    shutil.copy(trained.data / "mlflow" / "mlflow.db", data / "mlflow" / "mlflow.db")
    with use_data_folder(data) as settings:
        yield settings


def _artifacts(key: str) -> list[Any]:
    from prefect.client.orchestration import get_client
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterKey

    with get_client(sync_client=True) as client:
        return client.read_artifacts(artifact_filter=ArtifactFilter(key=ArtifactFilterKey(any_=[key])))


def test_model_card_is_saved_in_run_and_artifact(flows_in_process: None, trained: Trained, copied: Settings) -> None:
    from holdfast.training.mlflow_client import open_registry

    result = model_card(trained.result.model_version)
    assert (result.version, result.run_id) == (trained.result.model_version, trained.result.run_id)
    client, evaluation = open_registry(copied), trained.result.evaluation
    markdown, html = (Path(client.download_artifacts(result.run_id, name)).read_text() for name in result.files)
    assert markdown.startswith(f"# {MODEL_NAME} version {result.version}\n")
    assert f"| **Holdfast** | {evaluation.metrics['model']['roc_auc']} |" in markdown
    assert all(f"| {month.cutoff:%Y-%m} | {month.rows:,} |" in markdown for month in evaluation.months)
    assert "passed" in markdown.split("## Gates")[1] or "failed" in markdown.split("## Gates")[1]
    assert markdown.count("](data:image/png;base64,") == html.count('src="data:image/png;base64,') == 5
    assert len(markdown) < 400_000
    stored = [item.data for item in _artifacts("model-card")]
    assert markdown in stored


def test_build_model_card_is_stable_until_promotion(flows_in_process: None, trained: Trained, copied: Settings) -> None:
    from holdfast.model_versions.aliases import set_champion
    from holdfast.model_versions.records import PromotionRecord
    from holdfast.reporting.model_card import build_model_card as written
    from holdfast.training.mlflow_client import open_registry

    client, version = open_registry(copied), trained.result.model_version
    first = written(client, copied, version)
    assert written(client, copied, version) == first
    assert "Not approved yet" in first.markdown
    PromotionRecord(previous=None, when=AS_OF, who="Ada", why="it is better", mode="manual", gates="k").save(
        client, version
    )
    set_champion(client, version)
    then = written(client, copied, "champion")
    assert "**Approved, claimed by Ada on 2024-07-01 00:00 UTC: it is better**" in then.markdown
    assert "| champion: in service |" in then.markdown


def test_build_model_card_run_without_evaluation_raises(trained: Trained, copied: Settings) -> None:
    from holdfast.reporting.model_card import NoEvaluationError
    from holdfast.reporting.model_card import build_model_card as written
    from holdfast.training.mlflow_client import open_registry

    client = open_registry(copied)
    lineage = Path(client.download_artifacts(trained.result.run_id, "lineage.json")).read_text()
    run = client.create_run(client.get_run(trained.result.run_id).info.experiment_id)
    client.log_text(run.info.run_id, lineage, "lineage.json")
    bare = str(client.create_model_version(MODEL_NAME, source="nowhere", run_id=run.info.run_id).version)
    with pytest.raises(NoEvaluationError, match=f"version {bare}, MLflow run .* Train again"):
        written(client, copied, bare)
