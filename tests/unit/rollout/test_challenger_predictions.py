"""What the prediction log holds of a version since a step began."""

import tempfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from feature_repo.settings import Settings
from feature_repo.timestamps import DAY_US
from holdfast.core.prediction_log import log_schema
from holdfast.models.contract import RECENCY_FEATURE, ServedModel
from holdfast.rollout.challenger_predictions import IncrementalPredictions, read_predictions
from services.prediction_log.arrow_records import to_record
from services.prediction_log.files import PredictionFiles
from tests.support.prediction_batches import NOON_US, make_batch, write_log

CONTRACT = ServedModel(
    model_name="m", model_version="2", feature_service="f", inputs=["recency", "gap"], reference=[0.0, 0.0],
    threshold=0.4, horizon_days=90, activity_days=180, fingerprint={}, model_sha256="",
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path)


def _answers(settings: Settings, route: str = "canary", minutes: float = 0, contract: ServedModel = CONTRACT) -> Any:
    since = datetime.fromtimestamp(NOON_US / 1e6, UTC) + timedelta(minutes=minutes)
    return read_predictions(settings, "2", route, contract, since)


def test_only_its_own_since_then_and_of_each_customer_the_latest(settings: Settings) -> None:
    at = {"version": "2", "route": "canary"}
    write_log(
        settings.predictions,
        make_batch("abc", **at),
        make_batch("ab", **at, answered_at_us=NOON_US + 60_000_000, probabilities=np.array([0.9, 0.8])),
        make_batch("abc", **at, answered_at_us=NOON_US - 1),
        make_batch("abc", version="2", route="shadow"),
        make_batch("abc", version="1"),
        make_batch("x", **at, answered_at_us=NOON_US + DAY_US),
    )
    found = _answers(settings)
    assert found.requests == found.judged == 6, "who is active is not known here, so all are"
    assert sorted(found.probabilities.tolist()) == [0.0, 0.8, 0.9, 1.0]
    assert found.x.shape == (4, 2)
    assert found.differing == ""
    assert _answers(settings, "shadow").requests == 3
    assert _answers(settings, minutes=1).requests == 3
    nothing = _answers(settings, "champion")
    assert (nothing.requests, nothing.x.shape, nothing.probabilities.shape) == (0, (0, 2), (0,))


CHOICES = st.tuples(
    st.sampled_from(["1", "2", "3"]), st.sampled_from(["canary", "champion"]), st.integers(1, 5), st.booleans()
)


@hypothesis.settings(max_examples=40, deadline=None)
@given(st.lists(st.lists(CHOICES, max_size=4), min_size=1, max_size=5), st.booleans())
def test_look_after_look_it_is_what_the_whole_log_tells(looks: list[list[Any]], alike: bool) -> None:
    """Of files that grow; some inputs differ between versions for the same moment, where they are not ``alike``."""
    with tempfile.TemporaryDirectory() as folder:
        settings, at = Settings(data=Path(folder)), NOON_US
        contract = CONTRACT.model_copy(update={"inputs": [RECENCY_FEATURE, "gap"]})
        since = datetime.fromtimestamp(NOON_US / 1e6, UTC) + timedelta(microseconds=2)
        growing = IncrementalPredictions(settings, "2", "canary", contract, since)
        files = PredictionFiles(settings.predictions, 2**20, lambda: NOON_US)
        for look in looks:
            for version, route, n, odd in look:
                at += 1
                x = np.array([[100.0 * row, -0.0 if version == "2" else 0.0] for row in range(n)])
                x[0, 1] = np.nan
                x[:, 1] += 0 if alike or not odd else 1
                batch = make_batch(
                    "abcde"[:n], version=version, route=route, answered_at_us=at, inputs=x,
                    input_names=contract.inputs, probabilities=np.full(n, (at % 97) / 97),
                )  # fmt: skip
                files.append(batch.key, to_record([batch], log_schema(batch.key)))
            found, whole = growing.read(), read_predictions(settings, "2", "canary", contract, since)
            assert (found.requests, found.judged) == (whole.requests, whole.judged)
            assert found.differing == whole.differing
            of_found, of_whole = np.argsort(found.x[:, 0]), np.argsort(whole.x[:, 0])
            for mine, theirs in (
                (found.probabilities, whole.probabilities), (found.x, whole.x), (found.active, whole.active)
            ):  # fmt: skip
                np.testing.assert_array_equal(mine[of_found], theirs[of_whole])
        files.close()


def test_what_is_read_once_is_not_read_again(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    at: Any = {"version": "2", "route": "canary"}
    since = datetime.fromtimestamp(NOON_US / 1e6, UTC)
    growing = IncrementalPredictions(settings, "2", "canary", CONTRACT, since)
    write_log(settings.predictions, make_batch("abc", **at))
    found = growing.read()
    assert found.requests == 3
    assert growing.read() is found
    (file,) = settings.predictions.rglob("*.arrows")
    whole = file.read_bytes()
    write_log(settings.predictions / "more", make_batch("abcd", **at, answered_at_us=NOON_US + 1))
    (more,) = (settings.predictions / "more").rglob("*.arrows")
    schema = log_schema(make_batch("a", **at).key).serialize().size
    record = more.read_bytes()[schema:]
    file.write_bytes(bytes(len(whole)) + record[:-40])  # zeros where it was read: they are not looked at
    assert growing.read() is found, "half a record is none"
    file.write_bytes(bytes(len(whole)) + record)
    found = growing.read()
    assert (found.requests, sorted(found.probabilities)) == (7, [0.0, 1 / 3, 2 / 3, 1.0])


def test_who_has_not_bought_for_long_is_no_active_customer(settings: Settings) -> None:
    contract = CONTRACT.model_copy(update={"inputs": [RECENCY_FEATURE, "gap"]})
    inputs = np.array([[180.0, 1.0], [181.0, 1.0], [np.nan, 1.0]])
    at: Any = {"version": "2", "route": "canary", "input_names": contract.inputs}
    write_log(
        settings.predictions,
        make_batch("abc", **at, inputs=inputs),
        make_batch("ab", **at, inputs=inputs[:2], answered_at_us=NOON_US + 1),
    )
    found = _answers(settings, contract=contract)
    assert (found.requests, found.judged) == (5, 3)
    assert found.active[np.argsort(found.x[:, 0])].tolist() == [True, False, True]


def test_two_versions_that_were_given_different_inputs_are_named(settings: Settings) -> None:
    inputs = np.array([[1.0, np.nan], [2.0, 5.0]])
    other = np.array([[1.0, np.nan], [2.0, 5.0 + 1e-12]])
    write_log(settings.predictions, make_batch("ab", version="2", route="shadow", inputs=inputs))
    write_log(settings.predictions, make_batch("ab", inputs=inputs))
    assert _answers(settings, "shadow").differing == ""
    later = {"answered_at_us": NOON_US + 5}
    write_log(settings.predictions, make_batch("ab", inputs=other, timestamps_us=np.full((2, 2), NOON_US), **later))
    assert _answers(settings, "shadow").differing == "", "made of other stored features"
    write_log(settings.predictions, make_batch("ab", inputs=other, as_of_us=np.full(2, NOON_US), **later))
    assert _answers(settings, "shadow").differing == "", "for another moment"
    write_log(settings.predictions / "other", make_batch("ab", inputs=other, **later))
    (file,) = (settings.predictions / "other").rglob("*.arrows")
    file.rename(settings.predictions / "2024-03-01" / "other.arrows")
    assert "gap of customer cb was 5.0" in _answers(settings, "shadow").differing
