"""Terms of labels, and the rule for active customers."""

import numpy as np
import pytest

from feature_repo.errors import SettingsError
from feature_repo.settings import Settings
from holdfast.models.label import RECENCY_FEATURE, SUBSCRIPTION_FEATURE, LabelTerms


def test_terms_of_settings_leave_out_what_the_label_does_not_use() -> None:
    settings = Settings(horizon_days=60, activity_days=120, grace_days=10)
    assert LabelTerms.of(settings) == LabelTerms("no_purchase", 60, 120, 0)
    assert LabelTerms.of(settings.model_copy(update={"label": "not_renewed"})).grace_days == 10


@pytest.mark.parametrize(
    ("terms", "outcome_days", "feature", "active", "others"),
    [
        (LabelTerms(), 90, RECENCY_FEATURE, [0.0, 180.0], [180.5, np.nan]),
        (LabelTerms("not_renewed", 30, 180, 14), 44, SUBSCRIPTION_FEATURE, [1e-6, 30.0], [0.0, -1.0, 30.1, np.nan]),
    ],
)
def test_outcomes_and_active_customers_follow_the_label(
    terms: LabelTerms, outcome_days: int, feature: str, active: list[float], others: list[float]
) -> None:
    assert terms.outcome_days == outcome_days
    assert terms.activity.feature == feature
    assert terms.activity.mask([*active, *others]).tolist() == [True] * len(active) + [False] * len(others)


def test_descriptions_name_the_days_of_the_label() -> None:
    purchase, subscription = LabelTerms(), LabelTerms("not_renewed", 30, 180, 14)
    assert purchase.describe_churn() == "no purchase in the 90 days after a cut-off"
    assert purchase.describe_customers("May 1") == "with a purchase in the 180 days before May 1"
    assert subscription.describe_churn() == "no renewal of the subscription within 14 days of its end"
    assert subscription.describe_customers() == "with a subscription that ends in the 30 days after a cut-off"


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("GRACE_DAYS", "-1", r"HOLDFAST_GRACE_DAYS is '-1'; it must be a whole number of at least 0"),
        ("LABEL", "churn", r"HOLDFAST_LABEL is 'churn'; it must be 'no_purchase' or 'not_renewed'"),
    ],
)
def test_settings_refuse_wrong_terms(monkeypatch: pytest.MonkeyPatch, name: str, value: str, message: str) -> None:
    monkeypatch.setenv(f"HOLDFAST_{name}", value)
    with pytest.raises(SettingsError, match=message):
        Settings.from_environment()
