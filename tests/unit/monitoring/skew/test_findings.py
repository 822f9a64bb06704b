"""Open skew findings: they stop a promotion, never a rollback."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from feature_repo.settings import Settings
from holdfast.core.errors import PromotionRefusedError
from holdfast.models.contract import CHAMPION, MODEL_NAME
from holdfast.monitoring.metrics_store import MetricRow, write_metrics
from holdfast.monitoring.skew.findings import describe_open_skew
from tests.support.registered_versions import read_aliases, record_passed_gates, register_version

DAY = datetime(2024, 7, 1, tzinfo=UTC)


def write_window(settings: Settings, days: int, *rows: MetricRow) -> None:
    end = DAY + timedelta(days=days)
    write_metrics(settings, "skew", end - timedelta(days=1), end, rows)


def skew_row(subject: str = "recency_days") -> MetricRow:
    return MetricRow("values_different", subject, 7, 300, limit=0, breached=True)


FINE = MetricRow("values_different", "recency_days", 0, 300, limit=0)
NOTHING = MetricRow("values_compared", "all", 0, 0)


def test_describe_open_skew_uses_latest_window_with_rows(shop: Settings) -> None:
    assert describe_open_skew(shop) is None
    write_window(shop, 0, NOTHING)
    assert describe_open_skew(shop) is None
    write_window(shop, 1, FINE, skew_row("frequency"), skew_row("recency_days"))
    text = (
        "the features served differ from those recomputed (frequency, recency_days; window up to 2024-07-02 00:00 UTC)"
    )
    assert describe_open_skew(shop) == text
    write_window(shop, 2, NOTHING)
    assert describe_open_skew(shop) == text, "a window without predictions closes nothing"
    write_window(shop, 3, FINE)
    assert describe_open_skew(shop) is None


def test_promote_with_open_skew_is_refused_with_hint(registry_shop: tuple[Settings, Any]) -> None:
    from flows.promote import promote

    settings, client = registry_shop
    version = register_version(client)
    record_passed_gates(client, version, None)
    write_window(settings, 0, skew_row())
    with pytest.raises(PromotionRefusedError, match=r"\(recency_days; window up to 2024-07-01") as refused:
        promote(version)
    assert "There is still no champion." in str(refused.value)
    assert "docs/runbook.md#holdfast-skew-detected" in str(refused.value)
    assert "python -m flows.monitor --views skew" in str(refused.value)
    assert read_aliases(client) == {}
    write_window(settings, 1, FINE)
    assert promote(version).moved


def test_rollback_with_open_skew_is_allowed(registry_shop: tuple[Settings, Any]) -> None:
    from flows.promote import promote
    from flows.rollback import rollback

    settings, client = registry_shop
    first = register_version(client)
    record_passed_gates(client, first, None)
    promote(first)
    second = register_version(client)
    record_passed_gates(client, second, first)
    promote(second)
    write_window(settings, 0, skew_row())
    assert promote(second).moved is False, "the champion itself is not refused"
    assert rollback(reason="complaints").version == first
    assert client.get_model_version_by_alias(MODEL_NAME, CHAMPION).version == int(first)
