"""The training key: the same for the same training, another for any other."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta

import pytest

from feature_repo.settings import Settings
from flows.training import lineage
from flows.training.lineage import Lineage, lineage_of
from flows.training.settings import TrainingSettings
from tests.feature_repo.oracle import MICROSECOND
from tests.flows.small_shop import ARRIVALS, AS_OF, KNOWN_AT, shop_folder

PRINTS = {"labels": "a", "transformations": "b"}


def _lineage(known_at: datetime = KNOWN_AT, as_of: datetime = AS_OF, **settings: float) -> Lineage:
    return lineage_of(Settings(data=shop_folder()), TrainingSettings(**settings), PRINTS, as_of, known_at)  # type: ignore[arg-type]


def test_it_names_the_batches_that_were_known() -> None:
    assert len(_lineage().batches) == 3
    assert _lineage(ARRIVALS[1][1]).batches == _lineage().batches[:2]
    assert _lineage(ARRIVALS[1][1] - MICROSECOND).batches == _lineage().batches[:1]
    assert len(_lineage(as_of=datetime(2024, 6, 1, tzinfo=UTC)).batches) == 2  # the third has only later events


def test_what_cannot_change_the_model_does_not_change_the_key() -> None:
    base = _lineage()
    assert _lineage().key == base.key
    assert _lineage(KNOWN_AT + timedelta(days=900)).key == base.key
    assert replace(base, git_commit="another").key == base.key


OTHER = {
    "as_of": AS_OF + timedelta(days=1),
    "batches": ["another"],
    "fingerprint": {"labels": "a", "transformations": "c"},
    "settings": TrainingSettings(seed=1).model_dump(),
    "horizon_days": 91,
    "activity_days": 181,
    "training_code": "another",
    "lock": "another",
    "python": "3.99",
}


def test_every_other_field_is_in_the_key() -> None:
    assert OTHER.keys() == {field.name for field in fields(Lineage)} - {"git_commit", "known_at"}


@pytest.mark.parametrize("name", OTHER)
def test_a_change_changes_the_key(name: str) -> None:
    base = _lineage()
    assert replace(base, **{name: OTHER[name]}).key != base.key


@pytest.mark.parametrize("name", TrainingSettings.model_fields)
def test_every_setting_of_training_counts(name: str) -> None:
    value = TrainingSettings.model_dump(TrainingSettings())[name]
    assert _lineage(**{name: value / 2 if name == "threshold" else value + 1}).key != _lineage().key


def test_outside_a_checkout_the_commit_is_unknown(monkeypatch: pytest.MonkeyPatch, tmp_path: object) -> None:
    commit = lineage._git_commit().split(" ")[0]
    assert len(commit) == 40 or commit == "unknown"
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", "/")
    monkeypatch.setattr(lineage, "ROOT", tmp_path)
    assert lineage._git_commit() == "unknown"
    monkeypatch.setenv("PATH", "")
    assert lineage._git_commit() == "unknown"


@pytest.mark.parametrize("values", [{"threshold": 0}, {"threshold": 1}, {"test_cutoffs": 0}, {"noise_z": -1}])
def test_settings_that_make_no_sense_are_refused(values: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=next(iter(values))):
        TrainingSettings(**values)  # type: ignore[arg-type]
