"""Tests of the settings of a rollout, the order of its steps, and the step of a resumed rollout."""

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from pydantic import ValidationError

from holdfast.model_versions.records import RolloutRecord
from holdfast.rollout.settings import RolloutSettings
from holdfast.rollout.steps import WATCH, RolloutStep, list_steps, next_step, settings_of

NOW = datetime(2026, 1, 5, tzinfo=UTC)


def _record(step: Any, share: float, verdict: Any, rules: RolloutSettings) -> RolloutRecord:
    return RolloutRecord(
        step=step,
        share=share,
        started_at=NOW,
        when=NOW,
        verdict=verdict,
        champion="1",
        gates="k",
        rules=rules.non_defaults(),
    )


@pytest.mark.parametrize("rules", [RolloutSettings(), RolloutSettings(shadow=False, shares=(0.1, 0.2, 0.5))])
def test_next_step_passed_record_returns_following_step(rules: RolloutSettings) -> None:
    order = list_steps(rules)
    assert order[-1] == WATCH
    assert [step.share for step in order] == sorted(step.share for step in order)
    assert next_step(None, rules) == order[0]
    for step, later in pairwise(order):
        assert next_step(_record(step.name, step.share, "passed", rules), rules) == later
        assert next_step(_record(step.name, step.share, "begun", rules), rules) == step


def test_settings_of_record_returns_rollout_settings() -> None:
    rules = RolloutSettings(shadow=False, shares=(0.1, 0.3), min_requests=7, certainty=0.9)
    record = RolloutRecord.model_validate_json(_record("canary", 0.1, "begun", rules).model_dump_json())
    assert settings_of(record) == rules
    assert RolloutSettings().non_defaults() == {}
    assert next_step(record, settings_of(record)) == RolloutStep("canary", 0.1)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shares": (0.25, 0.05)}, "must grow"),
        ({"shares": (0.05, 0.6)}, r"at most 0\.5"),
        ({"shares": (0.0, 0.1)}, "above 0"),
        ({"shadow": False, "shares": ()}, "needs a step before the promotion"),
        ({"min_request": 5}, "Extra inputs"),
    ],
)
def test_settings_invalid_steps_raise_error(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        RolloutSettings(**wrong)


def test_settings_every_field_has_description() -> None:
    assert [name for name, field in RolloutSettings.model_fields.items() if not field.description] == []
