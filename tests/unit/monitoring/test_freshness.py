"""Whether what is served is of today: by the online store's own state, the newest batch scores, the champion's age."""

import sqlite3
from datetime import datetime, timedelta
from pathlib import Path

import pyarrow
import pyarrow.parquet as pq
import pytest

from feature_repo.settings import Settings
from holdfast.batch_scoring.score_store import score_metadata
from holdfast.batch_scoring.scores_table import scores_path
from holdfast.feature_store.materialization import delete_online_state, features_lock
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME, ServedModel
from holdfast.monitoring.data_quality.view import run_data_view
from holdfast.monitoring.freshness import ONLINE, check_batch_scores, check_champion, check_online_store
from holdfast.monitoring.metrics_store import write_metrics
from holdfast.monitoring.settings import DataRules, MonitorSettings
from holdfast.monitoring.window import Window
from tests.support.registry import Registry, make_registry
from tests.support.small_shop import AS_OF, KNOWN_AT

HOUR = timedelta(hours=1)
DAY = 24 * HOUR


def window(hours: float) -> Window:
    return Window.ending(AS_OF + hours * HOUR, 1, AS_OF + hours * HOUR)


@pytest.mark.parametrize(
    ("hours", "severity", "told"),
    [
        (-5, None, ""),
        (0, None, ""),
        (48, None, ""),
        (49, "warning", "49 hours old, beyond 48: the service flags its answers"),
        (721, "critical", "721 hours old, beyond 720: the service refuses them"),
    ],
)
def test_the_online_store_ages(open_shop: Settings, hours: float, severity: str | None, told: str) -> None:
    rows, findings, notes = check_online_store(open_shop, window(hours))
    assert (rows[0].value, rows[0].limit, rows[0].breached) == (max(hours, 0), 48, severity is not None)
    assert [item.severity for item in findings] == ([severity] if severity else [])
    assert all(item.event == "holdfast.freshness.breached" and told in item.summary for item in findings)
    assert notes == []


def test_a_store_of_no_known_age_is_critical_once_it_had_one(open_shop: Settings) -> None:
    rows, findings, _ = check_online_store(open_shop, window(1))
    delete_online_state(open_shop)  # as a materialisation that was killed leaves it
    assert check_online_store(open_shop, window(2))[1] == []  # as far as monitoring knows, there never was one
    write_metrics(open_shop, "data", AS_OF, AS_OF + HOUR, rows)
    with features_lock(open_shop):
        assert check_online_store(open_shop, window(2)) == (
            [], [], ["The online store is being filled: its age is not judged."]
        )  # fmt: skip
    rows, findings, notes = check_online_store(open_shop, window(2))
    assert [(item.severity, item.subject) for item in findings] == [("critical", ONLINE)]
    assert rows[0].breached and notes == []


def test_a_store_that_lost_what_it_was_filled_with_is_critical(open_shop: Settings) -> None:
    with sqlite3.connect(open_shop.feast / "online_store.db") as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            database.execute(f"DELETE FROM {table}")
    rows, (finding,), _ = check_online_store(open_shop, window(1))
    assert (finding.event, finding.severity, finding.subject) == ("holdfast.freshness.breached", "critical", ONLINE)
    assert "does not hold 150 of a sample" in finding.summary
    assert rows[0].breached
    (open_shop.feast / "online_store.db").unlink()
    assert "cannot be read: OperationalError" in check_online_store(open_shop, window(1))[1][0].summary


def test_before_the_first_materialisation_it_says_so(shop: Settings) -> None:
    rows, findings, notes = check_online_store(shop, window(1))
    assert (rows, findings) == ([], [])
    assert "python -m flows.features" in notes[0]


def test_scores_are_missed_once_there_were_some(shop: Settings) -> None:
    rules = DataRules()
    assert check_batch_scores(shop, window(100), rules) == ([], [], [])
    for moment in (AS_OF, AS_OF + 72 * HOUR):  # of what comes after the window, it knows nothing
        _scored(shop, moment)
    assert check_batch_scores(shop, window(36), rules)[1] == []
    rows, findings, _ = check_batch_scores(shop, window(37), rules)
    assert (rows[0].value, rows[0].breached) == (37, True)
    assert findings[0].summary == "The newest batch scores are of 2024-07-01 00:00 UTC, 37 hours old; the limit is 36."


@pytest.fixture
def registry(shop: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """The shop's; nothing in it."""
    made = make_registry(tmp_path / "registry")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", made.uri)
    return made


def _trained(registry: Registry, as_of: datetime) -> str:
    version = registry.register_model()
    registry.client.set_model_version_tag(MODEL_NAME, version, "holdfast.as_of", as_of.isoformat())
    return version


@pytest.mark.parametrize(
    ("days", "breached"), [(-3, False), (0, False), (61, False), (100, False), (101, True), (400, True)]
)
def test_the_champion_ages_from_the_moment_it_was_trained_as_of(
    shop: Settings, registry: Registry, days: int, breached: bool
) -> None:
    registry.set_alias(CHAMPION, _trained(registry, AS_OF))
    rows, findings, notes = check_champion(shop, window(24 * days), DataRules())
    assert [(row.metric, row.subject, row.version, row.value, row.limit, row.breached) for row in rows] == [
        ("age_days", "champion", "1", max(days, 0), 100, breached)
    ]
    assert [(item.event, item.severity, item.subject) for item in findings] == [
        ("holdfast.freshness.breached", "warning", "champion")
    ] * breached
    assert notes == []


def test_a_stale_champion_is_told_with_its_age_until_another_follows(shop: Settings, registry: Registry) -> None:
    rules = DataRules(max_champion_age_days=30)
    registry.set_alias(CHAMPION, _trained(registry, AS_OF - 31 * DAY))
    _, (finding,), _ = check_champion(shop, window(0), rules)
    assert "version 1, was trained as of 2024-05-31, 31 days ago; the limit is 30" in finding.summary
    assert (finding.payload["version"], finding.payload["age_days"]) == ("1", 31)
    registry.set_alias(CHALLENGER, _trained(registry, AS_OF))
    assert len(check_champion(shop, window(0), rules)[1]) == 1, "who only waits serves nobody"
    registry.set_alias(CHAMPION, "2")
    assert check_champion(shop, window(0), rules)[1] == []


def test_of_no_champion_nothing_is_said(shop: Settings, request: pytest.FixtureRequest) -> None:
    assert check_champion(shop, window(0), DataRules()) == ([], [], []), "nothing was ever registered"
    request.getfixturevalue("registry").register_model()
    assert check_champion(shop, window(0), DataRules()) == ([], [], [])


def test_a_champion_of_no_known_age_and_a_registry_that_is_away_are_noted(
    shop: Settings, registry: Registry, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry.set_alias(CHAMPION, registry.register_model())
    rows, findings, notes = check_champion(shop, window(0), DataRules())
    assert (rows, findings) == ([], [])
    assert "version 1, was not registered by training" in notes[0]
    broken = shop.data / "broken.db"
    broken.write_bytes(b"no database" * 1000)
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{broken}")
    rows, findings, notes = check_champion(shop, window(0), DataRules())
    assert (rows, findings) == ([], [])
    assert "The age of the champion is not known" in notes[0]


def test_the_data_view_tells_a_stale_champion(shop: Settings, registry: Registry) -> None:
    registry.set_alias(CHAMPION, _trained(registry, AS_OF - 101 * DAY))
    found = run_data_view(shop, window(0), MonitorSettings())
    (finding,) = (item for item in found.findings if item.event == "holdfast.freshness.breached")
    assert (finding.subject, finding.payload["age_days"]) == ("champion", 101)
    assert {"what": "champion: age, days", "now": "101", "before": "limit 100", "p-value": "", "state": "wrong"} in [
        *found.table
    ]


def _scored(settings: Settings, moment: datetime) -> None:
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
    table = pyarrow.table({"customer_id": ["c1"]}).replace_schema_metadata(score_metadata(contract, moment, KNOWN_AT))
    settings.scores.mkdir(exist_ok=True)
    pq.write_table(table, scores_path(settings.scores, moment))
