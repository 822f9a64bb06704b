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
        self.selector = ModelSelector(self.download, self.require, clock=lambda: self.now)

    def with_baked(self, version: RegisteredVersion) -> LoadedModel:
        """This version came with the bento."""
        model = load_model(version.contract(), self.files[version.number])
        self.selector = ModelSelector(self.download, self.require, model)
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

    def reconcile(self, champion: RegisteredVersion | None, challenger: RegisteredVersion | None = None) -> None:
        """Two looks, as the second must change nothing."""
        named = NamedVersions(champion, challenger)
        self.selector.reconcile(named)
        models = self.selector.models
        self.selector.reconcile(named)
        assert self.selector.models is models

    @property
    def serving(self) -> tuple[str | None, str | None, str | None, float]:
        """Champion, challenger, mode and share."""
        models = self.selector.models
        if models is None:
            return None, None, None, 0.0
        challenger = models.challenger.contract.model_version if models.challenger else None
        return models.champion.contract.model_version, challenger, models.mode, models.share

    @property
    def problems(self) -> dict[str, str]:
        return {version: problem.reason for version, problem in self.selector.problems.items()}


@pytest.fixture
def shop() -> Shop:
    return Shop()


class TestChampion:
    def test_it_serves_and_another_follows_it(self, shop: Shop) -> None:
        for number in ("1", "2", "1"):
            shop.reconcile(shop.version(number))
            assert shop.serving[0] == number
        assert shop.downloads == ["1", "2", "1"]
        assert shop.problems == {}

    def test_the_bentos_is_not_downloaded_when_it_is_the_champion(self, shop: Shop) -> None:
        baked = shop.with_baked(version := shop.version("1"))
        shop.reconcile(version)
        assert shop.selector.models is not None
        assert shop.selector.models.champion is baked
        assert shop.selector.is_from_bento
        shop.reconcile(shop.version("2"))
        assert not shop.selector.is_from_bento
        assert shop.downloads == ["2"]

    def test_a_bentos_of_the_same_number_from_another_registry_is_another(self, shop: Shop) -> None:
        shop.with_baked(shop.version("1"))
        shop.reconcile(shop.version("1", threshold=0.7))
        assert shop.downloads == ["1"]
        assert not shop.selector.is_from_bento

    def test_without_an_alias_the_last_goes_on(self, shop: Shop) -> None:
        shop.reconcile(None)
        assert shop.serving[0] is None
        shop.reconcile(shop.version("1"))
        shop.reconcile(None)
        assert shop.serving[0] == "1"

    def test_a_challenger_that_is_promoted_is_not_downloaded_again(self, shop: Shop) -> None:
        one, two = shop.version("1"), shop.version("2", '{"mode": "shadow"}')
        shop.reconcile(one, two)
        assert shop.serving == ("1", "2", "shadow", 0.0)
        shop.reconcile(two)
        assert shop.serving == ("2", None, None, 0.0)
        assert shop.downloads == ["1", "2"]


class TestRefused:
    @pytest.mark.parametrize("role", ["champion", "challenger"])
    def test_a_bad_file_is_downloaded_once_and_told_once(
        self, shop: Shop, role: str, service_log: pytest.LogCaptureFixture
    ) -> None:
        good, bad = shop.version("1"), shop.version("2", '{"mode": "shadow"}')
        shop.files["2"] = b"other"
        shop.reconcile(good)
        named = {"champion": (bad, None), "challenger": (good, bad)}[role]
        for _ in range(5):
            shop.reconcile(*named)
        assert shop.serving == ("1", None, None, 0.0)
        assert shop.downloads == ["1", "2"]
        assert list(shop.problems) == ["2"] and "SHA-256" in shop.problems["2"]
        assert not shop.selector.problems["2"].is_unavailable
        assert service_log.text.count("Version 2 is named by the registry, but not served") == 1

    def test_one_version_as_both_is_downloaded_once(self, shop: Shop) -> None:
        shop.reconcile(shop.version("1"))
        bad = shop.version("2", '{"mode": "shadow"}')
        shop.files["2"] = b"other"
        shop.reconcile(bad, bad)
        assert (shop.serving[0], shop.downloads) == ("1", ["1", "2"])

    def test_it_is_looked_at_again_after_a_while_or_when_another_was_named_meanwhile(
        self, shop: Shop, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        good, bad = shop.version("1"), shop.version("2")
        content = shop.files["2"]
        shop.files["2"] = b"other"
        shop.reconcile(bad)
        shop.reconcile(good)
        assert shop.problems == {}
        shop.reconcile(bad)
        assert shop.downloads == ["2", "1", "2"]
        shop.files["2"] = content
        shop.reconcile(bad)
        assert shop.serving[0] == "1"
        later = SimpleNamespace(monotonic=lambda: float("inf"), time=time.time)
        monkeypatch.setattr("services.models.model_selector.time", later)
        shop.reconcile(bad)
        assert shop.serving[0] == "2"
        assert shop.problems == {}

    def test_a_file_that_is_not_there_is_tried_again_at_each_look(
        self, shop: Shop, service_log: pytest.LogCaptureFixture
    ) -> None:
        shop.reconcile(shop.version("1"))
        late = shop.version("2")
        content = shop.files.pop("2")
        shop.reconcile(late)
        assert (shop.serving[0], shop.problems) == ("1", {"2": "Version 2 cannot be downloaded: gone"})
        assert shop.selector.problems["2"].is_unavailable
        shop.files["2"] = content
        shop.reconcile(late)
        assert (shop.serving[0], shop.problems) == ("2", {})
        assert service_log.text.count("cannot be downloaded") == 1

    def test_what_is_wrong_with_a_tag_is_not_asked_of_the_store(self, shop: Shop) -> None:
        shop.reconcile(shop.version("1"))
        shop.reconcile(RegisteredVersion("2", {SERVED_MODEL_TAG: "no JSON"}))
        assert "no model contract" in shop.problems["2"]
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
            shop.reconcile(one, RegisteredVersion("2", dict(shop.version("2", traffic).tags)))
            assert shop.serving == serving
        assert shop.problems == {}

    @pytest.mark.parametrize("given", ['"shadow"', '"canary", "share": 0.25'])
    def test_what_it_has_for_a_time_ends_by_itself_unless_renewed(self, shop: Shop, given: str) -> None:
        """The registry may say the same for ever, or not answer any more: whoever watched may be gone."""
        one = shop.version("1")

        def sent(until: datetime) -> RegisteredVersion:
            return shop.version("2", f'{{"mode": {given}, "until": "{until.isoformat()}"}}')

        end = shop.now + timedelta(seconds=60)
        shop.reconcile(one, first := sent(end))
        assert shop.serving[:2] == ("1", "2")
        shop.now = end - timedelta(seconds=1)
        shop.reconcile(one, renewed := sent(end + timedelta(seconds=60)))
        models = shop.selector.models
        shop.now = end
        shop.reconcile(one, renewed)
        assert shop.selector.models is models, "nothing changes for a request"
        shop.reconcile(one, first)
        assert shop.serving == ("1", None, None, 0.0)
        shop.reconcile(one, renewed)
        assert shop.serving[:2] == ("1", "2")
        shop.now = end + timedelta(seconds=60)
        shop.reconcile(one, renewed)
        assert shop.serving == ("1", None, None, 0.0)
        assert shop.problems == {}, "it is no fault of the version"

    def test_a_tag_that_cannot_be_understood_gets_it_nothing(self, shop: Shop) -> None:
        shop.reconcile(shop.version("1"), shop.version("2", '{"mode": "canary", "share": 0.9}'))
        assert shop.serving == ("1", None, None, 0.0)
        assert "holdfast.traffic" in shop.problems["2"]

    def test_of_other_definitions_than_the_champion_it_gets_nothing(self, shop: Shop) -> None:
        """One row of features is read for both."""
        one, other = shop.version("1"), shop.version("2", '{"mode": "shadow"}', fingerprint=OTHER)
        shop.reconcile(one, other)
        assert shop.serving == ("1", None, None, 0.0)
        assert shop.downloads == ["1"]
        assert "version 1, beside which it would serve: on_demand differ" in shop.problems["2"]
        other = shop.version("3", '{"mode": "shadow"}', inputs=["purchases", "silence", "gap"])
        shop.reconcile(one, other)
        assert "inputs differ" in shop.problems["3"]


class TestDefinitions:
    def test_a_champion_of_others_waits_until_they_are_in_use(
        self, shop: Shop, service_log: pytest.LogCaptureFixture
    ) -> None:
        shop.reconcile(shop.version("1"))
        new = shop.version("2", fingerprint=OTHER)
        shop.reconcile(new)
        assert (shop.serving[0], shop.downloads) == ("1", ["1"])
        assert shop.problems == {"2": "Model version 2 was trained on other definitions."}
        assert service_log.text.count("other definitions") == 1
        shop.in_use = OTHER
        shop.reconcile(new)
        assert (shop.serving[0], shop.problems) == ("2", {})

    def test_where_they_changed_already_the_new_champion_takes_over(self, shop: Shop) -> None:
        shop.reconcile(shop.version("1"))
        shop.in_use = OTHER
        shop.reconcile(shop.version("2", fingerprint=OTHER))
        assert (shop.serving[0], shop.problems) == ("2", {})

    def test_where_nobody_fits_the_registrys_word_holds(self, shop: Shop) -> None:
        """A bento starts before its feature store: what was rolled back must not serve once that is there."""
        shop.with_baked(shop.version("1"))
        shop.in_use = None
        back = shop.version("2")
        shop.reconcile(back)
        assert shop.serving[0] == "2"
        shop.in_use = DEFINITIONS
        shop.reconcile(back)
        assert (shop.serving[0], shop.problems) == ("2", {})

    def test_who_served_before_comes_back_if_it_fits_and_the_new_one_does_not(self, shop: Shop) -> None:
        """The new one was named at a moment when the store could not be read."""
        shop.reconcile(shop.version("1"))
        shop.in_use = None
        new = shop.version("2", fingerprint=OTHER)
        shop.reconcile(new)
        assert shop.serving[0] == "2"
        newest = shop.version("3", fingerprint=OTHER)
        shop.reconcile(newest)
        shop.in_use = DEFINITIONS
        shop.reconcile(newest)
        assert shop.serving[0] == "1"
        assert list(shop.problems) == ["3"]
        shop.in_use = OTHER
        shop.reconcile(newest)
        assert (shop.serving[0], shop.problems) == ("3", {})

    def test_a_champion_in_service_is_not_asked_about_again(self, shop: Shop) -> None:
        """Whether it still fits, every request asks."""
        shop.reconcile(one := shop.version("1"))
        shop.in_use = OTHER
        shop.reconcile(one)
        assert (shop.serving[0], shop.problems) == ("1", {})


def test_who_no_longer_serves_is_freed_at_once(shop: Shop) -> None:
    """By counting references: the service's garbage collector seldom looks."""
    baked = weakref.ref(shop.with_baked(shop.version("1")))
    bad = shop.version("9", fingerprint=OTHER)
    damaged = shop.version("8", '{"mode": "shadow"}')
    shop.files["8"] = b"other"
    gc.collect()
    gc.disable()
    try:
        shop.reconcile(two := shop.version("2"))
        assert baked() is None
        assert shop.selector.models is not None
        second = weakref.ref(shop.selector.models.champion)
        for _ in range(3):
            shop.reconcile(bad, damaged)
            shop.reconcile(two, damaged)
            shop.reconcile(damaged, bad)
        shop.in_use = None
        shop.reconcile(bad)
        shop.in_use = DEFINITIONS
        shop.reconcile(shop.version("3"), damaged)
        assert second() is None
        third = weakref.ref(shop.selector.models.champion)
        shop.reconcile(shop.version("4"), damaged)
        assert third() is None
        assert list(shop.problems) == ["8"]
        shop.reconcile(shop.version("4"), shop.version("5", '{"mode": "shadow"}'))
        fifth = weakref.ref(shop.selector.models.challenger)
        shop.reconcile(shop.version("6"))
        assert fifth() is None
    finally:
        gc.enable()
