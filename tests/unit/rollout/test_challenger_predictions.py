"""Tests of reading the predictions of a version since the start of a step."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.names import ENTITY_KEY
from feature_repo.settings import Settings
from feature_repo.timestamps import DAY_US
from holdfast.core.prediction_log import iter_predictions, log_schema
from holdfast.models.contract import MODEL_NAME, ServedModel
from holdfast.models.label import RECENCY_FEATURE
from holdfast.rollout.challenger_predictions import ChallengerPredictions, IncrementalPredictions, _find_mismatch
from services.prediction_log.arrow_records import to_record
from services.prediction_log.files import PredictionFiles
from tests.support.prediction_batches import NOON_US, make_batch, write_log

CONTRACT = ServedModel(
    model_name=MODEL_NAME, model_version="2", feature_service="f", inputs=["recency", "gap"], reference=[0.0, 0.0],
    threshold=0.4, horizon_days=90, activity_days=180, fingerprint={}, model_sha256="",
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path)


def _read(
    settings: Settings, route: str = "canary", minutes: float = 0, contract: ServedModel = CONTRACT
) -> ChallengerPredictions:
    since = datetime.fromtimestamp(NOON_US / 1e6, UTC) + timedelta(minutes=minutes)
    return IncrementalPredictions(settings, "2", route, contract, since).read()


def test_read_mixed_log_returns_latest_own_prediction_per_customer(settings: Settings) -> None:
    at = {"version": "2", "route": "canary"}
    write_log(
        settings.predictions,
        make_batch("abc", **at),
        make_batch("ab", **at, answered_at_us=NOON_US + 60_000_000, predictions=np.array([0.9, 0.8])),
        make_batch("abc", **at, answered_at_us=NOON_US - 1),
        make_batch("abc", version="2", route="shadow"),
        make_batch("abc", version="1"),
        make_batch("x", **at, answered_at_us=NOON_US + DAY_US),
    )
    found = _read(settings)
    assert found.requests == found.active_requests == 6, "without a recency input all customers are active"
    assert sorted(found.values.tolist()) == [0.0, 0.8, 0.9, 1.0]
    assert found.x.shape == (4, 2)
    assert found.input_mismatch is None
    assert _read(settings, "shadow").requests == 3
    assert _read(settings, minutes=1).requests == 3
    nothing = _read(settings, "champion")
    assert (nothing.requests, nothing.x.shape, nothing.values.shape) == (0, (0, 2), (0,))


def _own_rows(settings: Settings, since: datetime) -> pd.DataFrame:
    """Read the canary's rows of version 2 in the order of time, with pandas alone."""
    empty = pd.DataFrame(columns=["version", "route", "answered_at", *COLUMNS])
    rows = pd.concat([empty, *(table.to_pandas() for table in iter_predictions(settings.predictions, since))])
    own = rows[(rows["version"] == "2") & (rows["route"] == "canary") & (rows["answered_at"] >= since)]
    return own.sort_values("answered_at", kind="stable").astype(dict.fromkeys(COLUMNS[1:], float))


COLUMNS = [ENTITY_KEY, "churn_probability", RECENCY_FEATURE, "gap"]
CHOICES = st.tuples(
    st.sampled_from(["1", "2", "3"]), st.sampled_from(["canary", "champion"]), st.integers(1, 5), st.booleans()
)


@hypothesis.settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(CHOICES, max_size=4), min_size=1, max_size=5), st.booleans())
def test_read_growing_log_equals_read_of_whole_log(reads: list[list[Any]], alike: bool) -> None:
    """Files grow; unless ``alike``, some inputs differ between versions for the same sources."""
    with tempfile.TemporaryDirectory() as folder:
        settings, at = Settings(data=Path(folder)), NOON_US
        contract = CONTRACT.model_copy(update={"inputs": [RECENCY_FEATURE, "gap"]})
        since = datetime.fromtimestamp(NOON_US / 1e6, UTC) + timedelta(microseconds=2)
        incremental = IncrementalPredictions(settings, "2", "canary", contract, since)
        files = PredictionFiles(settings.predictions, 2**20, lambda: NOON_US)
        for read in reads:
            for version, route, n, odd in read:
                at += 1
                x = np.array([[100.0 * row, -0.0 if version == "2" else 0.0] for row in range(n)])
                x[0, 1] = np.nan
                x[:, 1] += 0 if alike or not odd else 1
                batch = make_batch(
                    "abcde"[:n], version=version, route=route, answered_at_us=at, inputs=x,
                    input_names=contract.inputs, predictions=np.full(n, (at % 97) / 97),
                )  # fmt: skip
                files.append(batch.key, to_record([batch], log_schema(batch.key)))
            found = incremental.read()
            own = _own_rows(settings, since)
            assert (found.requests, found.active_requests) == (len(own), int((own[RECENCY_FEATURE] <= 180).sum()))
            assert found.input_mismatch == _find_mismatch(settings, "2", "canary", contract, since)
            latest = own.drop_duplicates(ENTITY_KEY, keep="last").sort_values(RECENCY_FEATURE)
            order = np.argsort(found.x[:, 0])
            np.testing.assert_array_equal(found.values[order], latest["churn_probability"])
            np.testing.assert_array_equal(found.x[order], latest[contract.inputs])
            np.testing.assert_array_equal(found.active[order], latest[RECENCY_FEATURE] <= 180)
        files.close()


def test_read_growing_file_skips_rows_read_before(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    at: Any = {"version": "2", "route": "canary"}
    since = datetime.fromtimestamp(NOON_US / 1e6, UTC)
    incremental = IncrementalPredictions(settings, "2", "canary", CONTRACT, since)
    write_log(settings.predictions, make_batch("abc", **at))
    found = incremental.read()
    assert found.requests == 3
    assert incremental.read() is found
    (file,) = settings.predictions.rglob("*.arrows")
    whole = file.read_bytes()
    write_log(settings.predictions / "more", make_batch("abcd", **at, answered_at_us=NOON_US + 1))
    (more,) = (settings.predictions / "more").rglob("*.arrows")
    schema = log_schema(make_batch("a", **at).key).serialize().size
    record = more.read_bytes()[schema:]
    file.write_bytes(bytes(len(whole)) + record[:-40])  # zeros in the part that was read before
    assert incremental.read() is found, "an incomplete record is ignored"
    file.write_bytes(bytes(len(whole)) + record)
    found = incremental.read()
    assert (found.requests, sorted(found.values)) == (7, [0.0, 1 / 3, 2 / 3, 1.0])


def test_read_long_or_unknown_recency_counts_customer_as_inactive(settings: Settings) -> None:
    contract = CONTRACT.model_copy(update={"inputs": [RECENCY_FEATURE, "gap"]})
    inputs = np.array([[180.0, 1.0], [181.0, 1.0], [np.nan, 1.0]])
    at: Any = {"version": "2", "route": "canary", "input_names": contract.inputs}
    write_log(
        settings.predictions,
        make_batch("abc", **at, inputs=inputs),
        make_batch("ab", **at, inputs=inputs[:2], answered_at_us=NOON_US + 1),
    )
    found = _read(settings, contract=contract)
    assert (found.requests, found.active_requests) == (5, 2)
    assert found.active[np.argsort(found.x[:, 0])].tolist() == [True, False, False]


def test_read_different_inputs_of_two_versions_names_customer(settings: Settings) -> None:
    inputs = np.array([[1.0, np.nan], [2.0, 5.0]])
    other = np.array([[1.0, np.nan], [2.0, 5.0 + 1e-12]])
    write_log(settings.predictions, make_batch("ab", version="2", route="shadow", inputs=inputs))
    write_log(settings.predictions, make_batch("ab", inputs=inputs))
    assert _read(settings, "shadow").input_mismatch is None
    later = {"answered_at_us": NOON_US + 5}
    write_log(settings.predictions, make_batch("ab", inputs=other, timestamps_us=np.full((2, 2), NOON_US), **later))
    assert _read(settings, "shadow").input_mismatch is None, "from other stored features"
    write_log(settings.predictions, make_batch("ab", inputs=other, as_of_us=np.full(2, NOON_US), **later))
    assert _read(settings, "shadow").input_mismatch is None, "for another as_of"
    write_log(settings.predictions / "other", make_batch("ab", inputs=other, **later))
    (file,) = (settings.predictions / "other").rglob("*.arrows")
    file.rename(settings.predictions / "2024-03-01" / "other.arrows")
    assert "gap of customer cb was 5.0" in str(_read(settings, "shadow").input_mismatch)


@pytest.mark.parametrize(("definitions", "is_compared"), [(CONTRACT.definitions, True), ("other", False)])
def test_read_compares_inputs_of_the_same_definitions_only(
    settings: Settings, definitions: str, is_compared: bool
) -> None:
    """Another version of the definitions may give another value for the same name, at the same times."""
    other = np.array([[0.0, 1.0], [2.0, 9.0]])
    own = make_batch("ab", version="2", route="shadow", definitions=CONTRACT.definitions)
    write_log(settings.predictions, own, make_batch("ab", version="1", definitions=definitions, inputs=other))
    assert (_read(settings, "shadow").input_mismatch is not None) == is_compared
