"""`python -m holdfast inputs` on the trained shop."""

import sys

import pytest

from tests.support.shop_fixtures import Trained
from tests.support.small_shop import use_data_folder

VIEWS = ["customer_purchase_history", "customer_recent_activity", "customer_purchase_rhythm", "customer_request_time"]


@pytest.mark.long
def test_inputs_prints_the_effect_of_each_view(
    trained: Trained, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from holdfast.__main__ import main
    from holdfast.model_versions.candidate import ModelCandidate
    from holdfast.training.mlflow_client import open_registry

    with use_data_folder(trained.data) as settings:
        candidate = ModelCandidate(open_registry(settings), trained.result.model_version)
        rows, tested = candidate.rows_of_training(settings), candidate.test_rows(settings)
        assert rows.at_cutoffs(candidate.recipe.test).digests() == tested.digests()
        monkeypatch.setattr(sys, "argv", ["holdfast", "inputs", candidate.version, "--resamples", "50"])
        with pytest.raises(SystemExit) as ended:
            main()
        uses_history = candidate.recipe.family in ("bg_nbd", "pareto_nbd")
        printed, error = capsys.readouterr()
    if uses_history:
        assert ended.value.code == 1 and "has no inputs of several feature views" in error
        return
    assert not ended.value.code, error
    table = [line for line in printed.splitlines() if line.startswith("customer_")]
    assert {line.split()[0] for line in table} == set(VIEWS)
    assert all(line.rstrip().endswith(("surely better with it", "no sure effect")) for line in table)
