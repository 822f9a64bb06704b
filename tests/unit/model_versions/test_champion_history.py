"""Tests of the champion history on records of versions."""

from datetime import UTC, datetime, timedelta

from holdfast.model_versions.champion_history import ChampionHistory
from holdfast.model_versions.records import PromotionRecord, RollbackRecord

NOON = datetime(2024, 7, 1, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)


def promotion(previous: str | None, hours: int) -> PromotionRecord:
    return PromotionRecord(
        previous=previous, when=NOON + hours * HOUR, who="auto", why="better", mode="auto", gates="key"
    )


def rollback(to: str, hours: int) -> RollbackRecord:
    return RollbackRecord(to=to, when=NOON + hours * HOUR, who="ann", why="worse")


def history(champion: str | None, *rollbacks: RollbackRecord) -> ChampionHistory:
    """Version 1, then version 2 an hour later, whose rollbacks are given."""
    promotions = {"1": [promotion(None, 0)], "2": [promotion("1", 1)]}
    return ChampionHistory(champion, promotions, {"1": [], "2": list(rollbacks)}, {"1"})


def test_was_champion_counts_records_and_named_predecessors() -> None:
    found = ChampionHistory("3", {"2": [promotion("1", 1)]}, {}, {"1"})
    assert [found.was_champion(version) for version in "1234"] == [True, True, True, False]


def test_previous_is_of_latest_promotion() -> None:
    found = ChampionHistory("2", {"2": [promotion(None, 0), promotion("1", 1)]}, {}, {"1"})
    assert (found.previous("2"), found.previous("1")) == ("1", None)


def test_rollback_starts_the_previous_champion_again() -> None:
    found = history("1", rollback("1", 2))
    assert found.started_at("1") == NOON + 2 * HOUR
    assert [name for name, _ in found.list_returns_to("1")] == ["2"]
    assert (found.is_rolled_back("2"), found.is_rolled_back("1")) == (True, False)


def test_is_rolled_back_later_promotion_ends_it() -> None:
    found = history("2", rollback("1", 2))
    found.promotions["2"].append(promotion("1", 3))
    assert not found.is_rolled_back("2")
    assert found.started_at("2") == NOON + 3 * HOUR


def test_started_at_version_without_record_is_none() -> None:
    assert history("2").started_at("3") is None
