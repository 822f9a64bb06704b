"""Refusals of the label not_renewed: no ends of subscriptions, or definitions without the input that it needs."""

from datetime import datetime, timedelta
from pathlib import Path

import pytest

from feature_repo.settings import Settings
from holdfast.models.contract import MissingFeatureError
from holdfast.models.label import LabelTerms
from holdfast.training.dataset import build_training_set, find_labeled_cutoffs
from holdfast.training.history import read_history
from holdfast.training.label_extent import NoSubscriptionsError, read_label_extent
from holdfast.training.settings import TrainingSettings
from tests.support import subscription_shop
from tests.support.ingest_pipeline import run_ingest
from tests.support.labels import renewal_label
from tests.support.small_shop import AS_OF, KNOWN_AT, copy_shop, register_definitions, use_data_folder


def _ingest(settings: Settings, *sources: tuple[str, str]) -> datetime:
    """Store sources in their order; returns the arrival of the last one."""
    arrival = subscription_shop.LAST
    for source, mapping in sources:
        arrival += timedelta(hours=1)
        run_ingest(settings, Path(source), Path(mapping), arrival)
    return arrival


def test_label_without_subscriptions_is_refused_before_any_work(tmp_path: Path) -> None:
    with use_data_folder(copy_shop(tmp_path), HOLDFAST_LABEL="not_renewed") as settings:
        message = (
            r"no attribute subscription_end before 2024-07-01 had arrived.*kind: attributes.*HOLDFAST_LABEL=no_purchase"
        )
        with pytest.raises(NoSubscriptionsError, match=message):
            read_history(settings, AS_OF, KNOWN_AT)
        with pytest.raises(NoSubscriptionsError, match=message):
            find_labeled_cutoffs(settings, AS_OF, KNOWN_AT, 30)


def test_cutoffs_of_a_model_follow_its_own_label(tmp_path: Path) -> None:
    """The spend needs neither subscriptions nor the grace after their end."""
    with use_data_folder(copy_shop(tmp_path), HOLDFAST_LABEL="not_renewed", HOLDFAST_GRACE_DAYS="60") as settings:
        spend = find_labeled_cutoffs(settings, AS_OF, KNOWN_AT, 30, LabelTerms.of(settings, "spend"))
    purchases = find_labeled_cutoffs(settings, AS_OF, KNOWN_AT, 30, LabelTerms("no_purchase", settings.horizon_days))
    assert spend == purchases
    split = spend.split(TrainingSettings())
    assert split.test[0] - split.development[-1] < timedelta(days=settings.horizon_days + 31)


def test_definitions_of_another_label_are_refused(tmp_path: Path) -> None:
    """The features were built with the default label, the training uses the other one."""
    (subscriptions, rules), (payments, mapping) = subscription_shop.write_sources(tmp_path)
    with use_data_folder(tmp_path / "data") as settings:
        arrival = _ingest(settings, (subscriptions, rules), (payments, mapping))
        version, cutoff = register_definitions(), subscription_shop.AS_OF - timedelta(days=91)
        message = r"no days_to_subscription_end, which with the label not_renewed.*HOLDFAST_LABEL"
        with pytest.raises(MissingFeatureError, match=message):
            build_training_set(settings, version, [cutoff], subscription_shop.AS_OF, arrival, label=renewal_label())


def test_data_end_where_the_first_export_ends(tmp_path: Path) -> None:
    """An export of before May has no renewals of June."""
    (subscriptions, rules), (payments, mapping) = subscription_shop.write_sources(tmp_path)
    lines = Path(subscriptions).read_text().splitlines()
    Path(subscriptions).write_text(
        "\n".join([lines[0], *(line for line in lines[1:] if line.split(",")[1] < "2024-05")])
    )
    with use_data_folder(tmp_path / "data", **subscription_shop.VARIABLES) as settings:
        arrival = _ingest(settings, (payments, mapping), (subscriptions, rules))
        extent = read_label_extent(settings, renewal_label(), arrival, subscription_shop.AS_OF)
        assert extent is not None
        assert f"{extent.end:%Y-%m-%d}" == "2024-05-01"
        cutoffs = find_labeled_cutoffs(settings, subscription_shop.AS_OF, arrival, 30).used
        assert f"{cutoffs[-1]:%Y-%m-%d}" == "2024-03-01"
