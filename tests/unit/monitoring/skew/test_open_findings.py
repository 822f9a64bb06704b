"""An open skew, by the metrics table, and that it stops a promotion but never a rollback."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import PromotionRefusedError
from holdfast.models.contract import CHAMPION, MODEL_NAME
from holdfast.monitoring.metrics_store import MetricRow, write_metrics
from holdfast.monitoring.skew.open_findings import describe_open_skew
from tests.support.registered_versions import base_shop, read_aliases, record_passed_gates, register_version

DAY = datetime(2024, 7, 1, tzinfo=UTC)


def looked(settings: Settings, days: int, *rows: MetricRow) -> None:
    end = DAY + timedelta(days=days)
    write_metrics(settings, "skew", end - timedelta(days=1), end, rows)


def skewed(subject: str = "recency_days") -> MetricRow:
    return MetricRow("values_different", subject, 7, 300, limit=0, breached=True)


FINE = MetricRow("values_different", "recency_days", 0, 300, limit=0)
NOTHING = MetricRow("values_compared", "all", 0, 0)


def test_the_latest_look_that_compared_anything_counts(shop: Settings) -> None:
    assert describe_open_skew(shop) is None
    looked(shop, 0, NOTHING)
    assert describe_open_skew(shop) is None
    looked(shop, 1, FINE, skewed("frequency"), skewed("recency_days"))
    told = (
        "the features served differ from those recomputed (frequency, recency_days; window up to 2024-07-02 00:00 UTC)"
    )
    assert describe_open_skew(shop) == told
    looked(shop, 2, NOTHING)
    assert describe_open_skew(shop) == told, "no predictions are no proof that it is mended"
    looked(shop, 3, FINE)
    assert describe_open_skew(shop) is None


def test_it_stops_a_promotion_and_says_what_to_do(registry_shop: tuple[Settings, Any]) -> None:
    from flows.promote import promote

    settings, client = registry_shop
    version = register_version(client)
    record_passed_gates(client, version, None)
    looked(settings, 0, skewed())
    with pytest.raises(PromotionRefusedError, match=r"\(recency_days; window up to 2024-07-01") as refused:
        promote(version)
    assert "There is still no champion." in str(refused.value)
    assert "docs/runbook.md#holdfast-skew-detected" in str(refused.value)
    assert "python -m flows.monitor --views skew" in str(refused.value)
    assert read_aliases(client) == {}
    looked(settings, 1, FINE)
    assert promote(version).moved


@pytest.mark.parametrize("cause", ["changed definition", "stale store"])
@pytest.mark.parametrize("trained_on", ["today's", "other"])
def test_a_version_of_the_changed_definitions_ends_the_skew_that_their_change_made(
    registry_shop: tuple[Settings, Any], cause: str, trained_on: str
) -> None:
    """The service refuses the version of the old ones, so nobody is scored, and no later window would take it back."""
    from flows.promote import promote

    settings, client = registry_shop
    changed: dict[str, Any] = (
        {} if trained_on == "today's" else {"fingerprint": base_shop().fingerprint | {"transformations": "other"}}
    )
    version = register_version(client, **changed)
    record_passed_gates(client, version, None)
    looked(settings, 0, skewed(), MetricRow("mismatches_by_cause", cause, 7, 300, limit=0, breached=True))
    looked(settings, 1, NOTHING)
    if (cause, trained_on) == ("changed definition", "today's"):
        assert promote(version).moved
        return
    with pytest.raises(PromotionRefusedError, match="differ from those recomputed"):
        promote(version)


def test_it_never_stops_a_rollback(registry_shop: tuple[Settings, Any]) -> None:
    from flows.promote import promote
    from flows.rollback import rollback

    settings, client = registry_shop
    first = register_version(client)
    record_passed_gates(client, first, None)
    promote(first)
    second = register_version(client)
    record_passed_gates(client, second, first)
    promote(second)
    looked(settings, 0, skewed())
    assert promote(second).moved is False, "who is the champion already is not refused"
    assert rollback(reason="complaints").version == first
    assert client.get_model_version_by_alias(MODEL_NAME, CHAMPION).version == int(first)
