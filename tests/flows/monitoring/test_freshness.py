"""Whether what is served is of today: by the online store's own state, and by the newest batch scores."""

import sqlite3
from datetime import datetime, timedelta

import pyarrow
import pyarrow.parquet as pq
import pytest

from feature_repo.model_contract import ServedModel
from feature_repo.settings import Settings
from flows.feature_store.online import features_lock, forget_online_state
from flows.monitoring.freshness import ONLINE, online_freshness, scores_freshness
from flows.monitoring.metrics_table import write_metrics
from flows.monitoring.settings import DataRules
from flows.monitoring.window import Window
from flows.scoring.kept import about_scores
from flows.scoring.scores import scores_path
from tests.flows.small_shop import AS_OF, KNOWN_AT

HOUR = timedelta(hours=1)


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
    rows, findings, notes = online_freshness(open_shop, window(hours))
    assert (rows[0].value, rows[0].limit, rows[0].breached) == (max(hours, 0), 48, severity is not None)
    assert [item.severity for item in findings] == ([severity] if severity else [])
    assert all(item.event == "holdfast.freshness.breached" and told in item.summary for item in findings)
    assert notes == []


def test_a_store_of_no_known_age_is_critical_once_it_had_one(open_shop: Settings) -> None:
    rows, findings, _ = online_freshness(open_shop, window(1))
    forget_online_state(open_shop)  # as a materialisation that was killed leaves it
    assert online_freshness(open_shop, window(2))[1] == []  # as far as monitoring knows, there never was one
    write_metrics(open_shop, "data", AS_OF, AS_OF + HOUR, rows)
    with features_lock(open_shop):
        assert online_freshness(open_shop, window(2)) == (
            [], [], ["The online store is being filled: its age is not judged."]
        )  # fmt: skip
    rows, findings, notes = online_freshness(open_shop, window(2))
    assert [(item.severity, item.subject) for item in findings] == [("critical", ONLINE)]
    assert rows[0].breached and notes == []


def test_a_store_that_lost_what_it_was_filled_with_is_critical(open_shop: Settings) -> None:
    with sqlite3.connect(open_shop.feast / "online_store.db") as database:
        for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
            database.execute(f"DELETE FROM {table}")
    rows, (finding,), _ = online_freshness(open_shop, window(1))
    assert (finding.event, finding.severity, finding.subject) == ("holdfast.freshness.breached", "critical", ONLINE)
    assert "does not hold 150 of a sample" in finding.summary
    assert rows[0].breached
    (open_shop.feast / "online_store.db").unlink()
    assert "cannot be read: OperationalError" in online_freshness(open_shop, window(1))[1][0].summary


def test_before_the_first_materialisation_it_says_so(shop: Settings) -> None:
    rows, findings, notes = online_freshness(shop, window(1))
    assert (rows, findings) == ([], [])
    assert "python -m flows.features" in notes[0]


def test_scores_are_missed_once_there_were_some(shop: Settings) -> None:
    rules = DataRules()
    assert scores_freshness(shop, window(100), rules) == ([], [], [])
    for moment in (AS_OF, AS_OF + 72 * HOUR):  # of what comes after the window, it knows nothing
        _scored(shop, moment)
    assert scores_freshness(shop, window(36), rules)[1] == []
    rows, findings, _ = scores_freshness(shop, window(37), rules)
    assert (rows[0].value, rows[0].breached) == (37, True)
    assert findings[0].summary == "The newest batch scores are of 2024-07-01 00:00 UTC, 37 hours old; the limit is 36."


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
    table = pyarrow.table({"customer_id": ["c1"]}).replace_schema_metadata(about_scores(contract, moment, KNOWN_AT))
    settings.scores.mkdir(exist_ok=True)
    pq.write_table(table, scores_path(settings.scores, moment))
