"""Whom the registry names serves, unless that cannot be; then who served goes on."""

import gc
import time
import weakref
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.models.contract import SERVED_MODEL_TAG, ServedModel
from holdfast.models.loaded_model import LoadedModel
from holdfast.models.registered_version import TRAFFIC_TAG, RegisteredVersion, RegistryUnavailableError
from services.errors import NotReadyError
from services.models.loader import load_model
from services.models.model_selector import ModelSelector, NamedVersions
from tests.support.registry import DEFINITIONS, build_contract, fit_classifier, serialize_model

OTHER = DEFINITIONS | {"on_demand": "other"}


class Shop:
    """Versions and their files, the definitions in use, and whoever serves."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.downloads: list[str] = []
        self.in_use: dict[str, str] | None = DEFINITIONS
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.succession = ModelSelector(self.download, self.require, clock=lambda: self.now)

    def with_baked(self, version: RegisteredVersion) -> LoadedModel:
        """This version came with the bento."""
        model = load_model(version.contract(), self.files[version.number])
        self.succession = ModelSelector(self.download, self.require, model)
        return model

    def version(self, number: str, traffic: str = "", **changed: Any) -> RegisteredVersion:
        """A version that can be served, but for what is changed in its contract."""
        content = serialize_model(model := fit_classifier(int(number)))
        self.files[number] = content
        tags = {SERVED_MODEL_TAG: build_contract(model, content, **changed).model_dump_json()}
        return RegisteredVersion(number, tags | ({TRAFFIC_TAG: traffic} if traffic else {}))

    def download(self, contract: ServedModel) -> bytes:
        self.downloads.append(contract.model_version)
        if contract.model_version not in self.files:
            raise RegistryUnavailableError(f"Version {contract.model_version} cannot be downloaded: gone")
        return self.files[contract.model_version]

    def require(self, contract: ServedModel) -> None:
        if self.in_use is None:
            raise NotReadyError("The feature store cannot be read now.")
        if contract.fingerprint != self.in_use:
            raise NotReadyError(f"Model version {contract.model_version} was trained on other definitions.")

    def follow(self, champion: RegisteredVersion | None, challenger: RegisteredVersion | None = None) -> None:
        """Two looks, as the second must change nothing."""
        named = NamedVersions(champion, challenger)
        self.succession.follow(named)
        lineup = self.succession.lineup
        self.succession.follow(named)
        assert self.succession.lineup is lineup

    @property
    def serving(self) -> tuple[str | None, str | None, str | None, float]:
        """Champion, challenger, mode and share."""
        lineup = self.succession.lineup
        if lineup is None:
            return None, None, None, 0.0
        challenger = lineup.challenger.contract.model_version if lineup.challenger else None
        return lineup.champion.contract.model_version, challenger, lineup.mode, lineup.share

    @property
    def refused(self) -> dict[str, str]:
        return {version: refusal.reason for version, refusal in self.succession.refused.items()}


@pytest.fixture
def shop() -> Shop:
    return Shop()


class TestChampion:
    def test_it_serves_and_another_follows_it(self, shop: Shop) -> None:
        for number in ("1", "2", "1"):
            shop.follow(shop.version(number))
            assert shop.serving[0] == number
        assert shop.downloads == ["1", "2", "1"]
        assert shop.refused == {}

    def test_the_bentos_is_not_downloaded_when_it_is_the_champion(self, shop: Shop) -> None:
        baked = shop.with_baked(version := shop.version("1"))
        shop.follow(version)
        assert shop.succession.lineup is not None
        assert shop.succession.lineup.champion is baked
        assert shop.succession.is_from_bento
        shop.follow(shop.version("2"))
        assert not shop.succession.is_from_bento
        assert shop.downloads == ["2"]

    def test_a_bentos_of_the_same_number_from_another_registry_is_another(self, shop: Shop) -> None:
        shop.with_baked(shop.version("1"))
        shop.follow(shop.version("1", threshold=0.7))
        assert shop.downloads == ["1"]
        assert not shop.succession.is_from_bento

    def test_without_an_alias_the_last_goes_on(self, shop: Shop) -> None:
        shop.follow(None)
        assert shop.serving[0] is None
        shop.follow(shop.version("1"))
        shop.follow(None)
        assert shop.serving[0] == "1"

    def test_a_challenger_that_is_promoted_is_not_downloaded_again(self, shop: Shop) -> None:
        one, two = shop.version("1"), shop.version("2", '{"mode": "shadow"}')
        shop.follow(one, two)
        assert shop.serving == ("1", "2", "shadow", 0.0)
        shop.follow(two)
        assert shop.serving == ("2", None, None, 0.0)
        assert shop.downloads == ["1", "2"]


class TestRefused:
    @pytest.mark.parametrize("role", ["champion", "challenger"])
    def test_a_bad_file_is_downloaded_once_and_told_once(
        self, shop: Shop, role: str, service_log: pytest.LogCaptureFixture
    ) -> None:
        good, bad = shop.version("1"), shop.version("2", '{"mode": "shadow"}')
        shop.files["2"] = b"other"
        shop.follow(good)
        named = {"champion": (bad, None), "challenger": (good, bad)}[role]
        for _ in range(5):
            shop.follow(*named)
        assert shop.serving == ("1", None, None, 0.0)
        assert shop.downloads == ["1", "2"]
        assert list(shop.refused) == ["2"] and "SHA-256" in shop.refused["2"]
        assert not shop.succession.refused["2"].is_away
        assert service_log.text.count("Version 2 is named by the registry, but not served") == 1

    def test_one_version_as_both_is_downloaded_once(self, shop: Shop) -> None:
        shop.follow(shop.version("1"))
        bad = shop.version("2", '{"mode": "shadow"}')
        shop.files["2"] = b"other"
        shop.follow(bad, bad)
        assert (shop.serving[0], shop.downloads) == ("1", ["1", "2"])

    def test_it_is_looked_at_again_after_a_while_or_when_another_was_named_meanwhile(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        good, bad = shop.version("1"), shop.version("2")
        content = shop.files["2"]
        shop.files["2"] = b"other"
        shop.follow(bad)
        shop.follow(good)
        assert shop.refused == {}
        shop.follow(bad)
        assert shop.downloads == ["2", "1", "2"]
        shop.files["2"] = content
        shop.follow(bad)
        assert shop.serving[0] == "1"
        later = SimpleNamespace(monotonic=lambda: float("inf"), time=time.time)
        monkeypatch.setattr("services.models.model_selector.time", later)
        shop.follow(bad)
        assert shop.serving[0] == "2"
        assert shop.refused == {}

    def test_a_file_that_is_not_there_is_tried_again_at_each_look(
        self, shop: Shop, service_log: pytest.LogCaptureFixture
    ) -> None:
        shop.follow(shop.version("1"))
        late = shop.version("2")
        content = shop.files.pop("2")
        shop.follow(late)
        assert (shop.serving[0], shop.refused) == ("1", {"2": "Version 2 cannot be downloaded: gone"})
        assert shop.succession.refused["2"].is_away
        shop.files["2"] = content
        shop.follow(late)
        assert (shop.serving[0], shop.refused) == ("2", {})
        assert service_log.text.count("cannot be downloaded") == 1

    def test_what_is_wrong_with_a_tag_is_not_asked_of_the_store(self, shop: Shop) -> None:
        shop.follow(shop.version("1"))
        shop.follow(RegisteredVersion("2", {SERVED_MODEL_TAG: "no JSON"}))
        assert "no model contract" in shop.refused["2"]
        assert shop.downloads == ["1"]


class TestChallenger:
    def test_it_gets_what_its_tag_says(self, shop: Shop) -> None:
        one = shop.version("1")
        for traffic, serving in (
            ("", ("1", None, None, 0.0)),
            ('{"mode": "shadow"}', ("1", "2", "shadow", 0.0)),
            ('{"mode": "canary", "share": 0.05}', ("1", "2", "canary", 0.05)),
            ('{"mode": "canary", "share": 0.25}', ("1", "2", "canary", 0.25)),
            ('{"mode": "off"}', ("1", None, None, 0.0)),
        ):
            shop.follow(one, RegisteredVersion("2", dict(shop.version("2", traffic).tags)))
            assert shop.serving == serving
        assert shop.refused == {}

    @pytest.mark.parametrize("given", ['"shadow"', '"canary", "share": 0.25'])
    def test_what_it_has_for_a_time_ends_by_itself_unless_renewed(self, shop: Shop, given: str) -> None:
        """The registry may say the same for ever, or not answer any more: whoever watched may be gone."""
        one = shop.version("1")

        def sent(until: datetime) -> RegisteredVersion:
            return shop.version("2", f'{{"mode": {given}, "until": "{until.isoformat()}"}}')

        end = shop.now + timedelta(seconds=60)
        shop.follow(one, first := sent(end))
        assert shop.serving[:2] == ("1", "2")
        shop.now = end - timedelta(seconds=1)
        shop.follow(one, renewed := sent(end + timedelta(seconds=60)))
        lineup = shop.succession.lineup
        shop.now = end
        shop.follow(one, renewed)
        assert shop.succession.lineup is lineup, "nothing changes for a request"
        shop.follow(one, first)
        assert shop.serving == ("1", None, None, 0.0)
        shop.follow(one, renewed)
        assert shop.serving[:2] == ("1", "2")
        shop.now = end + timedelta(seconds=60)
        shop.follow(one, renewed)
        assert shop.serving == ("1", None, None, 0.0)
        assert shop.refused == {}, "it is no fault of the version"

    def test_a_tag_that_cannot_be_understood_gets_it_nothing(self, shop: Shop) -> None:
        shop.follow(shop.version("1"), shop.version("2", '{"mode": "canary", "share": 0.9}'))
        assert shop.serving == ("1", None, None, 0.0)
        assert "holdfast.traffic" in shop.refused["2"]

    def test_of_other_definitions_than_the_champion_it_gets_nothing(self, shop: Shop) -> None:
        """One row of features is read for both."""
        one, other = shop.version("1"), shop.version("2", '{"mode": "shadow"}', fingerprint=OTHER)
        shop.follow(one, other)
        assert shop.serving == ("1", None, None, 0.0)
        assert shop.downloads == ["1"]
        assert "version 1, beside which it would serve: on_demand differ" in shop.refused["2"]
        other = shop.version("3", '{"mode": "shadow"}', inputs=["purchases", "silence", "gap"])
        shop.follow(one, other)
        assert "inputs differ" in shop.refused["3"]


class TestDefinitions:
    def test_a_champion_of_others_waits_until_they_are_in_use(
        self, shop: Shop, service_log: pytest.LogCaptureFixture
    ) -> None:
        shop.follow(shop.version("1"))
        new = shop.version("2", fingerprint=OTHER)
        shop.follow(new)
        assert (shop.serving[0], shop.downloads) == ("1", ["1"])
        assert shop.refused == {"2": "Model version 2 was trained on other definitions."}
        assert service_log.text.count("other definitions") == 1
        shop.in_use = OTHER
        shop.follow(new)
        assert (shop.serving[0], shop.refused) == ("2", {})

    def test_where_they_changed_already_the_new_champion_takes_over(self, shop: Shop) -> None:
        shop.follow(shop.version("1"))
        shop.in_use = OTHER
        shop.follow(shop.version("2", fingerprint=OTHER))
        assert (shop.serving[0], shop.refused) == ("2", {})

    def test_where_nobody_fits_the_registrys_word_holds(self, shop: Shop) -> None:
        """A bento starts before its feature store: what was rolled back must not serve once that is there."""
        shop.with_baked(shop.version("1"))
        shop.in_use = None
        back = shop.version("2")
        shop.follow(back)
        assert shop.serving[0] == "2"
        shop.in_use = DEFINITIONS
        shop.follow(back)
        assert (shop.serving[0], shop.refused) == ("2", {})

    def test_who_served_before_comes_back_if_it_fits_and_the_new_one_does_not(self, shop: Shop) -> None:
        """The new one was named at a moment when the store could not be read."""
        shop.follow(shop.version("1"))
        shop.in_use = None
        new = shop.version("2", fingerprint=OTHER)
        shop.follow(new)
        assert shop.serving[0] == "2"
        newest = shop.version("3", fingerprint=OTHER)
        shop.follow(newest)
        shop.in_use = DEFINITIONS
        shop.follow(newest)
        assert shop.serving[0] == "1"
        assert list(shop.refused) == ["3"]
        shop.in_use = OTHER
        shop.follow(newest)
        assert (shop.serving[0], shop.refused) == ("3", {})

    def test_a_champion_in_service_is_not_asked_about_again(self, shop: Shop) -> None:
        """Whether it still fits, every request asks."""
        shop.follow(one := shop.version("1"))
        shop.in_use = OTHER
        shop.follow(one)
        assert (shop.serving[0], shop.refused) == ("1", {})


def test_who_no_longer_serves_is_freed_at_once(shop: Shop) -> None:
    """By counting references: the service's garbage collector seldom looks."""
    baked = weakref.ref(shop.with_baked(shop.version("1")))
    bad = shop.version("9", fingerprint=OTHER)
    damaged = shop.version("8", '{"mode": "shadow"}')
    shop.files["8"] = b"other"
    gc.collect()
    gc.disable()
    try:
        shop.follow(two := shop.version("2"))
        assert baked() is None
        assert shop.succession.lineup is not None
        second = weakref.ref(shop.succession.lineup.champion)
        for _ in range(3):
            shop.follow(bad, damaged)
            shop.follow(two, damaged)
            shop.follow(damaged, bad)
        shop.in_use = None
        shop.follow(bad)
        shop.in_use = DEFINITIONS
        shop.follow(shop.version("3"), damaged)
        assert second() is None
        third = weakref.ref(shop.succession.lineup.champion)
        shop.follow(shop.version("4"), damaged)
        assert third() is None
        assert list(shop.refused) == ["8"]
        shop.follow(shop.version("4"), shop.version("5", '{"mode": "shadow"}'))
        fifth = weakref.ref(shop.succession.lineup.challenger)
        shop.follow(shop.version("6"))
        assert fifth() is None
    finally:
        gc.enable()
