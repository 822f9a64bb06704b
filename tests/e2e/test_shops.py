"""The library on three generated shops: with signal, without, and too small."""

from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks.bench_shops import QUICK, run_shops
from benchmarks.shops.catalog import Shop
from benchmarks.shops.generators import KINDS
from benchmarks.shops.results import ShopResult

pytestmark = [pytest.mark.long, pytest.mark.xdist_group("shops")]
NAMES = ["bg_nbd", "no_signal", "twenty_customers"]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, ShopResult]:
    """Run each shop at the end of its data."""
    shops = [Shop(name, kind=KINDS[name], seed=1, months_earlier=(0,)) for name in NAMES]
    folder: Path = tmp_path_factory.mktemp("shops")
    found = run_shops(shops, QUICK, folder, jobs=2)
    assert run_shops([replace(shop) for shop in shops], QUICK, folder, jobs=2) == found  # resumed, not repeated
    return {result.shop: result for result in found}


def test_every_run_ends_with_a_result(results: dict[str, ShopResult]) -> None:
    assert {result.shop: result.reason for result in results.values() if result.status == "error"} == {}
    assert list(results) == NAMES


def test_shop_with_signal_is_served(results: dict[str, ShopResult]) -> None:
    result = results["bg_nbd"]
    assert result.has_signal
    assert (result.status, result.reason) == ("served", "passed every gate")
    assert result.wrong_direction == 0
    assert result.scores["model"].brier < result.scores["bg_nbd"].brier + 0.005
    assert result.scores["model"].ece < 0.06


@pytest.mark.parametrize("name", ["no_signal", "twenty_customers"])
def test_shop_without_sure_signal_is_not_served(results: dict[str, ShopResult], name: str) -> None:
    assert results[name].status != "served"
    assert results[name].reason
