"""Terminal trees of versions and batches."""

import io
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from rich.console import Console
from rich.tree import Tree

from holdfast.lineage.batch_history import BatchHistory, DerivedVersion
from holdfast.lineage.version_history import UsedBatch
from holdfast.reporting.lineage_tree import build_batch_tree, build_version_tree
from tests.support import version_histories
from tests.support.version_histories import BATCH, HISTORY, LINEAGE, NOON, history


def _render(tree: Tree) -> str:
    text = io.StringIO()
    Console(file=text, width=600, highlight=False).print(tree)
    return text.getvalue()


def test_version_tree_has_every_part() -> None:
    printed = _render(build_version_tree(HISTORY))
    for part in (
        "holdfast-churn version 3  challenger  registered 2024-07-01 11:55 UTC",
        "logistic C=0.0123",
        "calibration     sigmoid",
        "threshold       0.6667",
        "seed            7",
        "search.trials=10",
        "value.offer_cost=2",
        "slices=tenure_days,purchase_days,total_amount",
        "horizon_days=90 activity_days=180",
        "known at 2024-07-01 12:00 UTC, outcomes up to 2024-07-01 00:00 UTC",
        "batch b1c2d3e4  shop.csv, 90 rows, 2023-01-01 to 2024-06-30, arrived 2024-07-01 12:00 UTC",
        "development     2023-01-01 to 2023-05-01 (5)",
        "validated on 2023-05-01 to 2023-05-01 (1)",
        "test            2023-09-01 to 2023-10-01 (2)",
        "transformations aaaaaaaaaaaa",
        "git commit           c5e4c58859c66a8d10d2fa8e4df9d15e6221348a",
        "training code        c0dec0dec0de",
        "lock                 10cc10cc10cc",
        "Python               3.11.7",
        "numeric environment  OpenBLAS Haswell, numpy X86_V3",
        "MLflow run d79385b24b2f4a19",
        "ROC-AUC 0.712 (0.692 to 0.732) on 4,000 rows of 2,000 customers",
        "gates           passed, 2024-07-01 12:00 UTC",
        "2024-07-01 11:55 UTC  registered",
    ):
        assert part in printed, part


@pytest.mark.parametrize(
    ("changed", "part"),
    [
        ({"batches": [UsedBatch("b1c2d3e4", None)]}, "batch b1c2d3e4  no longer on disk"),
        ({"recipe": None}, "trained before recipes were recorded"),
        ({"gates": None, "report": None}, "gates           not evaluated yet"),
        ({"evaluation": None}, "MLflow run"),
        ({"recipe": version_histories.RECIPE.model_copy(update={"folds": ()})}, "validated on none"),
        ({"lineage": replace(LINEAGE, settings={"slices": []})}, "slices=none"),
    ],
)
def test_version_tree_names_missing_records(changed: dict[str, Any], part: str) -> None:
    assert part in _render(build_version_tree(history(**changed)))


def test_version_tree_lists_the_latest_batches_and_counts_the_others() -> None:
    batches = [UsedBatch(f"b{n}", BATCH if n else None) for n in range(14)]
    printed = _render(build_version_tree(history(batches=batches)))
    assert "4 earlier batches, 270 rows, 1 no longer on disk (--json lists all)" in printed
    assert "batch b3 " not in printed
    assert "batch b4  shop.csv" in printed
    assert "batch b13  shop.csv" in printed


@pytest.mark.parametrize("name", ["shop[eu].csv", "x[/eu].csv", "[bold]y.csv"])
def test_file_name_is_not_parsed_as_markup(name: str) -> None:
    batch = UsedBatch("b1", replace(BATCH, source=name))
    assert name in _render(build_version_tree(history(batches=[batch])))
    assert name in _render(build_batch_tree(BatchHistory(batch, [], {})))


def test_batch_tree_names_replaced_batches_and_the_correction() -> None:
    batch = UsedBatch("b2", replace(BATCH, replaces=("b1",)), replace(BATCH, batch_id="b3", source="fixed.csv"))
    printed = _render(build_batch_tree(BatchHistory(batch, [], {})))
    assert ", replaces b1, replaced by b3 (fixed.csv) on " in printed


def test_batch_tree_lists_every_version() -> None:
    versions = [
        DerivedVersion("holdfast-churn", "1", [], NOON, NOON, NOON, "logistic C=1; test period ROC-AUC 0.7. It won."),
        DerivedVersion("holdfast-spend", "4", ["champion"], NOON + timedelta(days=1), NOON, NOON, ""),
    ]
    printed = _render(
        build_batch_tree(
            BatchHistory(UsedBatch("b1", BATCH), versions, {"holdfast-churn version 2": "The run is removed."})
        )
    )
    lines = printed.splitlines()
    assert lines[0].startswith("batch b1  shop.csv, 90 rows")
    assert "version 1  registered 2024-07-01 12:00 UTC, outcomes up to 2024-07-01 12:00 UTC" in lines[1]
    assert "logistic C=1; test period ROC-AUC 0.7" in lines[2]
    assert "It won" not in printed
    assert "holdfast-spend version 4  champion" in printed
    assert "version 2: lineage unavailable  The run is removed." in printed
    assert "no model version was trained on it" in _render(
        build_batch_tree(BatchHistory(UsedBatch("b1", None), [], {}))
    )
