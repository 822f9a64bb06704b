"""Freshness checks of the online store, the batch scores and the champion."""

import sqlite3
from datetime import datetime, timedelta

import pyarrow
import pyarrow.parquet as pq
import pytest

from feature_repo.settings import Settings
from holdfast.batch_scoring.score_store import score_metadata
from holdfast.batch_scoring.scores_table import scores_path
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.materialization import delete_online_state, features_lock
from holdfast.feature_store.version_retirement import retire_version
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME, ServedModel
from holdfast.models.fingerprint import fingerprint
from holdfast.monitoring.data_quality.view import run_data_quality_view
from holdfast.monitoring.freshness import ONLINE, check_batch_scores, check_champions, check_online_store
from holdfast.monitoring.metrics_store import write_metrics
from holdfast.monitoring.result import CheckResult
from holdfast.monitoring.settings import DataQualityRules, MonitorSettings
from holdfast.monitoring.window import Window
from tests.support.definition_versions import (
    change_window,
    materialize_version,
    online_file,
    only_version,
    register_changed,
)
from tests.support.labels import purchase_label
from tests.support.registry import Registry, make_registry
from tests.support.small_shop import AS_OF, KNOWN_AT

HOUR = timedelta(hours=1)
DAY = 24 * HOUR


def window(hours: float) -> Window:
    end = AS_OF + hours * HOUR
    return Window(end - 24 * HOUR, end, end)


@pytest.mark.parametrize(
    ("hours", "severity", "text"),
    [
        (-5, None, ""),
        (0, None, ""),
        (48, None, ""),
        (49, "warning", "49 hours old, beyond 48: the service flags its predictions as stale"),
        (721, "critical", "721 hours old, beyond 720: the service refuses predictions"),
    ],
)
def test_check_online_store_age_beyond_limit_has_finding(
    open_shop: Settings, hours: float, severity: str | None, text: str
) -> None:
    result = check_online_store(open_shop, window(hours))
    (row,) = result.metrics
    assert (row.value, row.limit, row.breached) == (max(hours, 0), 48, severity is not None)
    assert [item.severity for item in result.findings] == ([severity] if severity else [])
    assert all(item.event == "holdfast.freshness.breached" and text in item.summary for item in result.findings)
    assert result.notes == []


def test_check_online_store_unknown_age_after_known_age_is_critical(open_shop: Settings) -> None:
    rows = check_online_store(open_shop, window(1)).metrics
    delete_online_state(open_shop, only_version(open_shop.data))  # as a killed materialization does
    assert check_online_store(open_shop, window(2)).findings == []  # no earlier run knew an age
    write_metrics(open_shop, "data", AS_OF, AS_OF + HOUR, rows)
    with features_lock(open_shop):
        being_filled = CheckResult(notes=["The online store is being filled: its age is not checked."])
        assert check_online_store(open_shop, window(2)) == being_filled
    result = check_online_store(open_shop, window(2))
    assert [(item.severity, item.subject) for item in result.findings] == [("critical", ONLINE)]
    assert result.metrics[0].breached and result.notes == []


def test_check_online_store_lost_rows_are_critical(open_shop: Settings) -> None:
    with sqlite3.connect(online_file(open_shop.data)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            database.execute(f"DELETE FROM {table}")
    result = check_online_store(open_shop, window(1))
    (finding,) = result.findings
    assert (finding.event, finding.severity, finding.subject) == ("holdfast.freshness.breached", "critical", ONLINE)
    assert "does not hold 150 of a sample" in finding.summary
    assert result.metrics[0].breached
    online_file(open_shop.data).unlink()
    assert "cannot be read: OperationalError" in check_online_store(open_shop, window(1)).findings[0].summary


def register_alias(registry: Registry, alias: str, definitions: str) -> None:
    """Register a model on a version of the feature definitions, and set its alias."""
    parts = fingerprint(open_store(definitions=definitions), purchase_label())
    registry.set_alias(alias, registry.register_model(fingerprint=parts))


def test_check_online_store_checks_each_version_that_a_served_model_needs(
    open_shop: Settings, registry: Registry
) -> None:
    """The champion's features are a day old; those of other definitions are two days older."""
    first, second = only_version(open_shop.data), register_changed(change_window)
    materialize_version(open_shop, second, AS_OF - 2 * DAY, KNOWN_AT)
    register_alias(registry, CHAMPION, first)
    now = window(25)
    assert (check_online_store(open_shop, now).metrics[0].value, check_online_store(open_shop, now).findings) == (
        25,
        [],
    )
    register_alias(registry, CHALLENGER, second)
    result = check_online_store(open_shop, now)
    (finding,) = result.findings
    text = f"Version {second} of the feature definitions: The online store holds features of 2024-06-29 00:00 UTC, 73"
    assert finding.summary.startswith(text) and first not in finding.summary
    assert (finding.subject, finding.severity, finding.payload["definitions"]) == (ONLINE, "warning", second)
    (row,) = result.metrics
    assert (row.value, row.breached) == (73, True)

    both = check_online_store(open_shop, window(721)).findings[0].summary
    assert both.index(first) < both.index(second), "the champion's features are named first"
    with sqlite3.connect(online_file(open_shop.data, first)) as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            database.execute(f"DELETE FROM {table}")
    (finding,) = check_online_store(open_shop, now).findings
    assert (finding.severity, finding.payload) == ("critical", {})
    assert finding.summary.index(f"Version {first} of the feature definitions: The online store does not hold") == 0
    assert text in finding.summary


def test_check_online_store_retired_definitions_of_the_champion_are_critical(
    open_shop: Settings, registry: Registry
) -> None:
    version = only_version(open_shop.data)
    register_alias(registry, CHAMPION, version)
    retire_version(open_shop, version, "by mistake")
    result = check_online_store(open_shop, window(1))
    (finding,) = result.findings
    assert (finding.severity, finding.subject, result.metrics[0].breached) == ("critical", ONLINE, True)
    assert f"Version {version} of the feature definitions was retired at" in finding.summary
    assert "because: by mistake." in finding.summary


def test_check_online_store_without_registry_checks_all_versions(open_shop: Settings) -> None:
    second = register_changed(change_window)
    unreachable = open_shop.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{open_shop.data / 'broken.db'}"})
    (open_shop.data / "broken.db").write_bytes(b"no database" * 1000)
    for settings in (open_shop, unreachable):
        result = check_online_store(settings, window(1))
        assert result.notes == [
            f"Version {second} of the feature definitions: The online store was never materialized: run "
            "`python -m flows.features`."
        ]
        assert (result.metrics[0].value, result.findings) == (1, [])


def test_check_online_store_never_materialized_has_note(shop: Settings) -> None:
    result = check_online_store(shop, window(1))
    assert (result.metrics, result.findings) == ([], [])
    assert "python -m flows.features" in result.notes[0]


def test_check_batch_scores_stale_scores_have_finding(shop: Settings) -> None:
    rules = DataQualityRules()
    assert check_batch_scores(shop, window(100), rules) == CheckResult()
    for time in (AS_OF, AS_OF + 72 * HOUR):  # the second one is after the windows
        _write_scores(shop, time)
    assert check_batch_scores(shop, window(36), rules).findings == []
    result = check_batch_scores(shop, window(37), rules)
    assert (result.metrics[0].value, result.metrics[0].breached) == (37, True)
    assert (
        result.findings[0].summary
        == "The newest batch scores are of 2024-07-01 00:00 UTC, 37 hours old; the limit is 36."
    )


@pytest.fixture
def registry(shop: Settings) -> Registry:
    """Create the shop's registry, without versions."""
    return make_registry(shop.mlflow)


def _register(registry: Registry, as_of: datetime) -> str:
    version = registry.register_model()
    registry.client.set_model_version_tag(MODEL_NAME, version, "holdfast.as_of", as_of.isoformat())
    return version


@pytest.mark.parametrize(
    ("days", "breached"), [(-3, False), (0, False), (61, False), (100, False), (101, True), (400, True)]
)
def test_check_champion_age_counts_from_training_as_of(
    shop: Settings, registry: Registry, days: int, breached: bool
) -> None:
    registry.set_alias(CHAMPION, _register(registry, AS_OF))
    result = check_champions(shop, window(24 * days), DataQualityRules())
    assert [(row.metric, row.subject, row.version, row.value, row.limit, row.breached) for row in result.metrics] == [
        ("age_days", "champion", "1", max(days, 0), 100, breached)
    ]
    assert [(item.event, item.severity, item.subject) for item in result.findings] == [
        ("holdfast.freshness.breached", "warning", "champion")
    ] * breached
    assert result.notes == []


def test_check_champion_stale_has_finding_until_promotion(shop: Settings, registry: Registry) -> None:
    rules = DataQualityRules(max_champion_age_days=30)
    registry.set_alias(CHAMPION, _register(registry, AS_OF - 31 * DAY))
    (finding,) = check_champions(shop, window(0), rules).findings
    assert "version 1, was trained as of 2024-05-31, 31 days ago; the limit is 30" in finding.summary
    assert (finding.payload["version"], finding.payload["age_days"]) == ("1", 31)
    registry.set_alias(CHALLENGER, _register(registry, AS_OF))
    assert len(check_champions(shop, window(0), rules).findings) == 1, "a challenger does not replace the champion"
    registry.set_alias(CHAMPION, "2")
    assert check_champions(shop, window(0), rules).findings == []


def test_check_champion_without_champion_is_empty(shop: Settings, request: pytest.FixtureRequest) -> None:
    assert check_champions(shop, window(0), DataQualityRules()) == CheckResult(), "no version was ever registered"
    request.getfixturevalue("registry").register_model()
    assert check_champions(shop, window(0), DataQualityRules()) == CheckResult()


def test_check_champion_unknown_age_or_unreachable_registry_has_note(shop: Settings, registry: Registry) -> None:
    registry.set_alias(CHAMPION, registry.register_model())
    result = check_champions(shop, window(0), DataQualityRules())
    assert (result.metrics, result.findings) == ([], [])
    assert "version 1 was not registered by training" in result.notes[0]
    broken = shop.data / "broken.db"
    broken.write_bytes(b"no database" * 1000)
    broken_registry = shop.model_copy(update={"mlflow_tracking_uri": f"sqlite:///{broken}"})
    result = check_champions(broken_registry, window(0), DataQualityRules())
    assert (result.metrics, result.findings) == ([], [])
    assert "The age of the champion is unknown" in result.notes[0]


def test_data_quality_view_stale_champion_has_finding(shop: Settings, registry: Registry) -> None:
    registry.set_alias(CHAMPION, _register(registry, AS_OF - 101 * DAY))
    found = run_data_quality_view(shop, window(0), MonitorSettings())
    (finding,) = (item for item in found.findings if item.subject == CHAMPION)
    assert (finding.event, finding.payload["age_days"]) == ("holdfast.freshness.breached", 101)
    assert {"what": "champion: age, days", "now": "101", "before": "limit 100", "p-value": "", "state": "wrong"} in [
        *found.table
    ]


def _write_scores(settings: Settings, as_of: datetime) -> None:
    contract = ServedModel(
        model_name="m",
        model_version="1",
        feature_service="s",
        inputs=["a"],
        reference=[None],
        threshold=0.5,
        horizon_days=90,
        activity_days=180,
        fingerprint={},
        model_sha256="0",
    )
    table = pyarrow.table({"customer_id": ["c1"]}).replace_schema_metadata(score_metadata(contract, as_of, KNOWN_AT))
    settings.scores.mkdir(exist_ok=True)
    pq.write_table(table, scores_path(settings.scores, as_of))
