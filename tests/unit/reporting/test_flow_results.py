"""Summaries of flow results."""

from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.models.contract import MODEL_NAME
from holdfast.reporting.flow_results import TrainResult
from holdfast.training.evaluation_report import Evaluation, Interval
from tests.support.small_shop import AS_OF


@pytest.mark.parametrize(
    ("trained", "failed", "role", "wanted"),
    [
        (
            True,
            [],
            "challenger",
            ["Version 7 is registered", "is the challenger", "`python -m flows.promote --version 7`"],
        ),
        (False, ["roc_auc", "value"], "", ["Version 7 exists already", "failed roc_auc, value", "flows.gates"]),
        (False, ["latency"], "champion", ["failed latency now, but stays the champion. Details: `", " --dry-run`"]),
        (False, [], "champion", ["passed every gate and is the champion already"]),
        (True, [], "", ["passed every gate, but the champion has changed", "flows.gates --version 7"]),
    ],
)
def test_train_result_summary_each_role_names_next_command(
    trained: bool, failed: list[str], role: str, wanted: list[str]
) -> None:
    roc_auc = Interval(value=0.781, low=0.77, high=0.79)
    evaluation = Evaluation.model_construct(
        chosen="logistic regression", metrics={"model": {"roc_auc": roc_auc}}, rows=12345, cutoffs=[AS_OF]
    )
    gates: Any = SimpleNamespace(failed=failed, challenger=role == "challenger")
    text = TrainResult(MODEL_NAME, "7", "run", trained, 100, evaluation, gates, role == "champion").summary()
    assert text.count("\n") == 1
    for part in ("logistic regression", "0.781 (0.770 to 0.790)", "12,345 test rows", *wanted):
        assert part in text
