"""Every kind of difference is found, named, and told from none."""

from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from holdfast.lineage import differences
from holdfast.lineage.isolated_retraining import RetrainingOutcome
from holdfast.lineage.reproduction import RecordedVersion, Reproduction, compare
from holdfast.lineage.retrain_worker import RetrainedModel
from holdfast.training.numeric_environment import NumericEnvironment
from tests.support.version_histories import BATCH, HASWELL, LINEAGE, RECIPE, scores

FRAME = scores(0.25, 0.75, 0.5)
RECORDED = RecordedVersion("3", LINEAGE, RECIPE, FRAME, HASWELL)
SAME = RetrainingOutcome(LINEAGE, HASWELL, RetrainedModel(RECIPE.digests, FRAME))


def _digests(period: str, **changed: str) -> dict[str, dict[str, str]]:
    return RECIPE.digests | {period: RECIPE.digests[period] | changed}


def _where(result: Reproduction) -> list[str]:
    return [item.where for item in result.differences]


def test_the_same_is_identical() -> None:
    result = compare(RECORDED, SAME, [])
    assert (result.identical, result.differences, result.rows) == (True, [], 3)


@pytest.mark.parametrize(
    ("lineage", "where", "told"),
    [
        ({"training_code": "0123" * 16}, "code", "training code c0dec0dec0de, here 012301230123"),
        ({"lock": "0123" * 16}, "code", "lock 10cc10cc10cc, here 012301230123"),
        ({"python": "3.12.1"}, "code", "Python 3.11.7, here 3.12.1"),
    ],
)
def test_other_code_that_gives_the_same_is_told_and_is_no_failure(lineage: Any, where: str, told: str) -> None:
    result = compare(RECORDED, replace(SAME, present=replace(LINEAGE, **lineage)), [])
    assert result.identical
    assert _where(result) == [where]
    assert told in result.differences[0].what
    assert result.differences[0].advice == "Check out c5e4c58859c6 and run this there."


@pytest.mark.parametrize(
    ("commit", "told"),
    [("unknown", "not recorded"), (f"{'a' * 40} with local changes", "aaaaaaaaaaaa (it was made with uncommitted")],
)
def test_a_commit_that_cannot_be_checked_out_is_said_so(commit: str, told: str) -> None:
    recorded = replace(LINEAGE, git_commit=commit)
    assert told in differences.diff_code(recorded, replace(LINEAGE, python="3"))[0].advice


def test_other_definitions_come_first_and_name_the_part() -> None:
    present = replace(LINEAGE, fingerprint=LINEAGE.fingerprint | {"on_demand": "new", "labels": "new"}, lock="new")
    result = compare(RECORDED, RetrainingOutcome(present, HASWELL, None), [])
    assert not result.identical
    assert _where(result) == ["definitions", "code"]
    assert "labels, on_demand differ from" in result.differences[0].what


def test_a_training_set_that_cannot_be_built_says_why() -> None:
    result = compare(RECORDED, RetrainingOutcome(LINEAGE, HASWELL, None, "total_amount is null in row 7"), ["late"])
    assert not result.identical
    assert _where(result) == ["training set"]
    assert "null in row 7" in result.differences[0].what
    assert result.left_out == ["late"]


@pytest.mark.parametrize(
    ("digests", "where", "told"),
    [
        (_digests("development", rows="x"), "rows", "development"),
        (_digests("test", labels="x"), "labels", "test"),
        (_digests("development", total_amount="x"), "inputs", "1 of 2 differ in development: total_amount"),
        (_digests("test", total_amount="x", purchase_days="y"), "inputs", "2 of 2 differ in test: purchase_days, tot"),
        (_digests("test", new_feature="x"), "inputs", "1 of 2 differ in test: new_feature"),
    ],
)
def test_other_data_are_named_and_are_no_identity(digests: Any, where: str, told: str) -> None:
    result = compare(RECORDED, replace(SAME, made=RetrainedModel(digests, FRAME)), [])
    assert not result.identical
    assert _where(result) == [where]
    assert told in result.differences[0].what


def test_other_rows_say_nothing_of_the_inputs_of_that_period() -> None:
    made = _digests("test", rows="x", labels="x", total_amount="x")
    assert [item.where for item in differences.diff_data(RECIPE.digests, made)] == ["rows", "labels"]


def test_test_rows_and_labels_are_named() -> None:
    assert differences.diff_test_rows(FRAME, FRAME) == []
    told = differences.diff_test_rows(FRAME, FRAME.iloc[1:])
    assert [item.what for item in told] == ["1 recorded rows are missing, the first of customer c0 at 2023-09-01"]
    told = differences.diff_test_rows(FRAME.iloc[:2], FRAME)
    assert [item.what for item in told] == ["1 rows were not recorded, the first of customer c2 at 2023-09-01"]
    told = differences.diff_test_rows(FRAME, scores(0.25, 0.75, 0.5, churned=(False, False, True)))
    assert [item.what for item in told] == ["2 of 3 differ, the first of customer c1 at 2023-09-01"]


class TestPredictions:
    def test_one_bit_is_a_difference(self) -> None:
        bit = float(np.nextafter(0.75, 1))
        told = differences.diff_scores(FRAME, scores(0.25, bit, 0.5))
        assert len(told) == 1
        assert told[0].what == (
            f"1 of 3 differ, by 1.11e-16 at most; the first of customer c1 at 2023-09-01: recorded 0.75, here {bit!r}"
        )

    def test_the_order_of_the_rows_does_not_matter(self) -> None:
        assert differences.diff_scores(FRAME, FRAME.iloc[::-1]) == []

    def test_zero_has_a_sign_and_nan_is_itself(self) -> None:
        assert differences.diff_scores(scores(0.0), scores(-0.0))
        assert differences.diff_scores(scores(np.nan), scores(np.nan)) == []

    def test_with_all_else_equal_the_recipe_or_the_libraries_are_to_blame(self) -> None:
        made = RetrainedModel(RECIPE.digests, scores(0.25, 0.75, 0.4))
        result = compare(RECORDED, replace(SAME, made=made), [])
        assert _where(result) == ["fit", "predictions"]
        assert "the recipe was changed, or the installed libraries" in result.differences[0].what

    def test_where_the_processor_was_not_recorded_it_may_be_to_blame(self) -> None:
        made = RetrainedModel(RECIPE.digests, scores(0.25, 0.75, 0.4))
        result = compare(replace(RECORDED, arithmetic=None), replace(SAME, made=made), [])
        assert "another processor computed it (here OpenBLAS Haswell, numpy X86_V3" in result.differences[0].what

    def test_another_processor_is_named(self) -> None:
        outcome = replace(
            SAME, arithmetic=NumericEnvironment("Nehalem", []), made=RetrainedModel(RECIPE.digests, scores(0, 1, 0.4))
        )
        result = compare(RECORDED, outcome, [])
        assert _where(result)[0] == "arithmetic"
        assert "this processor gave OpenBLAS Nehalem, numpy baseline" in result.differences[0].what


class TestBatches:
    def test_one_that_is_gone_is_named(self) -> None:
        recorded = replace(LINEAGE, batches=["b1c2d3e4", "gone"])
        told = differences.diff_batches(recorded, [BATCH], Path("/data/batches"))
        assert [item.where for item in told] == ["batches"]
        assert told[0].what == "1 of 2 are not in /data/batches any more: gone"
        assert differences.diff_batches(LINEAGE, [BATCH], Path()) == []

    def test_those_that_could_have_been_used_and_were_not_are_named(self) -> None:
        early = replace(BATCH, batch_id="early")
        late = replace(BATCH, batch_id="late", ingested_at=LINEAGE.known_at + timedelta(seconds=1))
        after = replace(BATCH, batch_id="after", first_event=LINEAGE.as_of)
        empty = replace(BATCH, batch_id="empty", first_event=None)
        assert differences.list_extra_batches(LINEAGE, [BATCH, early, late, after, empty]) == ["early"]


def test_recorded_frames_survive_a_file(tmp_path: Path) -> None:
    FRAME.to_parquet(tmp_path / "x.parquet", index=False)
    read = pd.read_parquet(tmp_path / "x.parquet")
    assert differences.diff_test_rows(FRAME, read) + differences.diff_scores(FRAME, read) == []
