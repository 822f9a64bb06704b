"""Retirement of the version of the feature definitions that a training run uses."""

import shutil
from pathlib import Path
from typing import Any

import pytest

from holdfast.feature_store.definition_versions import list_versions
from holdfast.feature_store.materialization import features_lock
from holdfast.feature_store.missing_versions import RetiredVersionError
from holdfast.feature_store.version_retirement import retire_version
from holdfast.models.contract import MODEL_NAME
from holdfast.training import registration
from tests.support.shop_fixtures import QUICK, Trained
from tests.support.small_shop import AS_OF, KNOWN_AT, use_data_folder


@pytest.mark.parametrize(
    "step",
    ["holdfast.training.dataset.join_features", pytest.param("log_skops_model", marks=pytest.mark.long)],
    ids=["at the join", "after the test"],
)
def test_retirement_during_a_training_registers_no_model(
    flows_in_process: None, trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    from flows.train import train
    from holdfast.training.mlflow_client import open_tracking

    with use_data_folder(Path(shutil.copytree(trained.data, tmp_path / "data"))) as settings:
        (version,) = list_versions(settings)
        client = open_tracking(settings)
        before = {item.version for item in client.search_model_versions(f"name = '{MODEL_NAME}'")}
        target = step if "." in step else f"{registration.__name__}.{step}"
        module, _, name = target.rpartition(".")
        original: Any = getattr(__import__(module, fromlist=["_"]), name)

        def retired(*arguments: Any, **options: Any) -> Any:
            with features_lock(settings):
                retire_version(settings, version, "a mistake")
            return original(*arguments, **options)

        monkeypatch.setattr(target, retired)
        with pytest.raises(RetiredVersionError, match=rf"Version {version} .*a mistake.*python -m flows\.features"):
            train(AS_OF, KNOWN_AT, QUICK.model_copy(update={"seed": 5}), definitions=version)
        assert {item.version for item in client.search_model_versions(f"name = '{MODEL_NAME}'")} == before
        assert list_versions(settings) == []
        runs = client.search_runs([item.experiment_id for item in client.search_experiments()], max_results=500)
        assert "RUNNING" not in {run.info.status for run in runs}
