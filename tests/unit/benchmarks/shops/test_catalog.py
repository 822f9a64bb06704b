"""Shops of the benchmark: those that are present, and a message for each that is not."""

from pathlib import Path

import pandas as pd
import pytest

from benchmarks.shops import catalog
from benchmarks.shops.catalog import Shop, UnknownShopError, list_coin_tosses, list_shops, select_shops
from benchmarks.shops.generators import KINDS


def test_list_shops_has_the_folder_of_the_variable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("b.yaml", "b.csv.gz", "a.yaml", "a.parquet", "without_data.yaml", "without_mapping.csv"):
        (tmp_path / name).touch()
    monkeypatch.setenv(catalog.FOLDER_VARIABLE, str(tmp_path))
    shops, _ = list_shops()
    names = [shop.name for shop in shops]
    assert [name for name in names if name in ("a", "b", "without_data", "without_mapping")] == ["a", "b"]
    assert names[0] == "cdnow"
    assert names[-len(KINDS) :] == list(KINDS)
    assert {shop.name: shop.is_real for shop in shops}["a"]
    assert not any(shop.is_real for shop in shops[-len(KINDS) :])


def test_list_shops_names_what_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(catalog.FOLDER_VARIABLE, str(tmp_path / "absent"))
    with pytest.raises(UnknownShopError, match="absent"):
        list_shops()
    monkeypatch.delenv(catalog.FOLDER_VARIABLE)
    monkeypatch.setattr(catalog, "ROOT", tmp_path / "checkout")
    monkeypatch.setitem(catalog.DATASETS, "absent", catalog.DATASETS["cdnow"])
    monkeypatch.setattr(catalog, "locate_dataset", _not_installed)
    shops, missing = list_shops()
    assert [shop.name for shop in shops] == list(KINDS)
    assert any(message.startswith("cdnow is skipped: not installed") for message in missing)
    assert any("no such folder" in message and catalog.FOLDER_VARIABLE in message for message in missing)


def _not_installed(name: str) -> tuple[Path, Path]:
    raise catalog.IngestError("not installed")


def test_select_shops_of_an_unknown_name_lists_the_known_names() -> None:
    shops = [Shop("a"), Shop("b")]
    assert [shop.name for shop in select_shops(shops, ["b", "a"])] == ["b", "a"]
    assert select_shops(shops, []) == shops
    with pytest.raises(UnknownShopError, match=r"No shop c\. Shops on this machine: a, b\."):
        select_shops(shops, ["a", "c"])


def test_coin_tosses_differ_and_have_one_date(tmp_path: Path) -> None:
    tosses = list_coin_tosses(3)
    assert {toss.months_earlier for toss in tosses} == {(0,)}
    assert len({toss.digest() for toss in tosses}) == 3
    first, second = (pd.read_csv(toss.write_source(tmp_path)[0]) for toss in tosses[:2])
    assert not first.equals(second)


def test_digest_of_a_real_shop_depends_on_data_and_mapping(tmp_path: Path) -> None:
    source, mapping = tmp_path / "a.csv", tmp_path / "a.yaml"
    source.write_text("1")
    mapping.write_text("2")
    before = Shop("a", (source, mapping)).digest()
    assert Shop("a", (source, mapping)).digest() == before
    mapping.write_text("3")
    assert Shop("a", (source, mapping)).digest() != before
