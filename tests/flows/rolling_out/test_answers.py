"""What the prediction log holds of a version since a step began."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from feature_repo.model_contract import RECENCY, ServedModel
from feature_repo.prediction_log import DAY_US
from feature_repo.settings import Settings
from flows.rolling_out.answers import read_answers
from tests.services.predictions import NOON_US, batch_of, write

CONTRACT = ServedModel(
    model_name="m", model_version="2", feature_service="f", inputs=["recency", "gap"], reference=[0.0, 0.0],
    threshold=0.4, horizon_days=90, activity_days=180, fingerprint={}, model_sha256="",
)  # fmt: skip


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data=tmp_path)


def _answers(settings: Settings, route: str = "canary", minutes: float = 0, contract: ServedModel = CONTRACT) -> Any:
    from datetime import UTC, datetime

    since = datetime.fromtimestamp(NOON_US / 1e6, UTC) + timedelta(minutes=minutes)
    return read_answers(settings, "2", route, contract, since)


def test_only_its_own_since_then_and_of_each_customer_the_latest(settings: Settings) -> None:
    at = {"version": "2", "route": "canary"}
    write(
        settings.predictions,
        batch_of("abc", **at),
        batch_of("ab", **at, answered_at_us=NOON_US + 60_000_000, probabilities=np.array([0.9, 0.8])),
        batch_of("abc", **at, answered_at_us=NOON_US - 1),
        batch_of("abc", version="2", route="shadow"),
        batch_of("abc", version="1"),
        batch_of("x", **at, answered_at_us=NOON_US + DAY_US),
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


def test_who_has_not_bought_for_long_is_no_active_customer(settings: Settings) -> None:
    contract = CONTRACT.model_copy(update={"inputs": [RECENCY, "gap"]})
    inputs = np.array([[180.0, 1.0], [181.0, 1.0], [np.nan, 1.0]])
    at: Any = {"version": "2", "route": "canary", "input_names": contract.inputs}
    write(
        settings.predictions,
        batch_of("abc", **at, inputs=inputs),
        batch_of("ab", **at, inputs=inputs[:2], answered_at_us=NOON_US + 1),
    )
    found = _answers(settings, contract=contract)
    assert (found.requests, found.judged) == (5, 3)
    assert found.active[np.argsort(found.x[:, 0])].tolist() == [True, False, True]


def test_two_versions_that_were_given_different_inputs_are_named(settings: Settings) -> None:
    inputs = np.array([[1.0, np.nan], [2.0, 5.0]])
    other = np.array([[1.0, np.nan], [2.0, 5.0 + 1e-12]])
    write(settings.predictions, batch_of("ab", version="2", route="shadow", inputs=inputs))
    write(settings.predictions, batch_of("ab", inputs=inputs))
    assert _answers(settings, "shadow").differing == ""
    later = {"answered_at_us": NOON_US + 5}
    write(settings.predictions, batch_of("ab", inputs=other, timestamps_us=np.full((2, 2), NOON_US), **later))
    assert _answers(settings, "shadow").differing == "", "made of other stored features"
    write(settings.predictions, batch_of("ab", inputs=other, as_of_us=np.full(2, NOON_US), **later))
    assert _answers(settings, "shadow").differing == "", "for another moment"
    write(settings.predictions / "other", batch_of("ab", inputs=other, **later))
    (file,) = (settings.predictions / "other").rglob("*.arrows")
    file.rename(settings.predictions / "2024-03-01" / "other.arrows")
    assert "gap of customer cb was 5.0" in _answers(settings, "shadow").differing
