"""Selection of served versions: named versions are served if possible, otherwise the current ones stay."""

import gc
import time
import weakref
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest

from holdfast.core.definition_hashes import definitions_version
from holdfast.models.contract import SERVED_MODEL_TAG, ServedModel
from holdfast.models.loaded_model import LoadedModel
from holdfast.models.registered_version import TRAFFIC_TAG, RegisteredVersion, RegistryUnavailableError
from services.errors import NotReadyError
from services.models.loader import load_served_model
from services.models.model_selector import ModelSelector, NamedVersions
from tests.support.registry import DEFINITIONS, build_contract, fit_classifier, serialize_model

OTHER = DEFINITIONS | {"on_demand": "other"}


class Shop:
    """A registry with model files, the definitions that can be read, and a selector."""

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.downloads: list[str] = []
        self.readable: list[dict[str, str]] | None = [DEFINITIONS]
        self.wrong_inputs: list[str] | None = None
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.selector = ModelSelector(self.download, self.require, clock=lambda: self.now)

    def with_baked(self, version: RegisteredVersion) -> LoadedModel:
        """Make a version the model in the bento."""
        model = load_served_model(version.contract(), self.files[version.number])
        self.selector = ModelSelector(self.download, self.require, model)
        return model

    def version(self, number: str, traffic: str = "", **changed: Any) -> RegisteredVersion:
        """Create a version that can be served, with changes of its contract."""
        content = serialize_model(model := fit_classifier(int(number)))
        self.files[number] = content
        tags = {SERVED_MODEL_TAG: build_contract(model, content, **changed).model_dump_json()}
        return RegisteredVersion(number, tags | ({TRAFFIC_TAG: traffic} if traffic else {}))

    def download(self, contract: ServedModel) -> bytes:
        self.downloads.append(contract.model_version)
        if contract.model_version not in self.files:
            raise RegistryUnavailableError(f"Version {contract.model_version} cannot be downloaded: removed")
        return self.files[contract.model_version]

    def require(self, contract: ServedModel) -> None:
        if self.readable is None:
            raise NotReadyError("The feature store cannot be read now.")
        if contract.definitions not in map(definitions_version, self.readable):
            raise NotReadyError(f"Model version {contract.model_version} was trained on other definitions.")
        if contract.inputs == self.wrong_inputs:
            raise NotReadyError("inputs differ")

    def reconcile(self, champion: RegisteredVersion | None, challenger: RegisteredVersion | None = None) -> None:
        """Reconcile twice; the second call must change nothing."""
        named = NamedVersions(champion, challenger)
        self.selector.reconcile(named)
        models = self.selector.models
        self.selector.reconcile(named)
        assert self.selector.models is models

    @property
    def serving(self) -> tuple[str | None, str | None, str | None, float]:
        """Return champion, challenger, mode and share."""
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
    def test_reconcile_new_champion_is_served(self, shop: Shop) -> None:
        for number in ("1", "2", "1"):
            shop.reconcile(shop.version(number))
            assert shop.serving[0] == number
        assert shop.downloads == ["1", "2", "1"]
        assert shop.problems == {}

    def test_reconcile_champion_equal_to_bento_model_is_not_downloaded(self, shop: Shop) -> None:
        baked = shop.with_baked(version := shop.version("1"))
        shop.reconcile(version)
        assert shop.selector.models is not None
        assert shop.selector.models.champion is baked
        assert shop.selector.is_from_bento
        shop.reconcile(shop.version("2"))
        assert not shop.selector.is_from_bento
        assert shop.downloads == ["2"]

    def test_reconcile_same_version_with_other_contract_is_downloaded(self, shop: Shop) -> None:
        shop.with_baked(shop.version("1"))
        shop.reconcile(shop.version("1", threshold=0.7))
        assert shop.downloads == ["1"]
        assert not shop.selector.is_from_bento

    def test_reconcile_without_alias_retains_champion(self, shop: Shop) -> None:
        shop.reconcile(None)
        assert shop.serving[0] is None
        shop.reconcile(shop.version("1"))
        shop.reconcile(None)
        assert shop.serving[0] == "1"

    def test_reconcile_promoted_challenger_is_not_downloaded_again(self, shop: Shop) -> None:
        one, two = shop.version("1"), shop.version("2", '{"mode": "shadow"}')
        shop.reconcile(one, two)
        assert shop.serving == ("1", "2", "shadow", 0.0)
        shop.reconcile(two)
        assert shop.serving == ("2", None, None, 0.0)
        assert shop.downloads == ["1", "2"]


class TestUnservable:
    @pytest.mark.parametrize("role", ["champion", "challenger"])
    def test_reconcile_bad_file_is_downloaded_and_logged_once(
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

    def test_reconcile_version_with_both_aliases_is_downloaded_once(self, shop: Shop) -> None:
        shop.reconcile(shop.version("1"))
        bad = shop.version("2", '{"mode": "shadow"}')
        shop.files["2"] = b"other"
        shop.reconcile(bad, bad)
        assert (shop.serving[0], shop.downloads) == ("1", ["1", "2"])

    def test_reconcile_bad_file_is_retried_after_a_minute_or_another_version(
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

    def test_reconcile_missing_file_is_retried_each_time(
        self, shop: Shop, service_log: pytest.LogCaptureFixture
    ) -> None:
        shop.reconcile(shop.version("1"))
        late = shop.version("2")
        content = shop.files.pop("2")
        shop.reconcile(late)
        assert (shop.serving[0], shop.problems) == ("1", {"2": "Version 2 cannot be downloaded: removed"})
        assert shop.selector.problems["2"].is_unavailable
        shop.files["2"] = content
        shop.reconcile(late)
        assert (shop.serving[0], shop.problems) == ("2", {})
        assert service_log.text.count("cannot be downloaded") == 1

    def test_reconcile_invalid_tag_is_not_downloaded(self, shop: Shop) -> None:
        shop.reconcile(shop.version("1"))
        shop.reconcile(RegisteredVersion("2", {SERVED_MODEL_TAG: "no JSON"}))
        assert "not a model contract" in shop.problems["2"]
        assert shop.downloads == ["1"]


class TestChallenger:
    def test_challenger_gets_traffic_of_its_tag(self, shop: Shop) -> None:
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
    def test_challenger_lease_ends_unless_renewed(self, shop: Shop, given: str) -> None:
        """A lease ends even if the registry does not change or cannot be read."""
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

    def test_challenger_with_invalid_tag_gets_no_traffic(self, shop: Shop) -> None:
        shop.reconcile(shop.version("1"), shop.version("2", '{"mode": "canary", "share": 0.9}'))
        assert shop.serving == ("1", None, None, 0.0)
        assert "holdfast.traffic" in shop.problems["2"]

    def test_challenger_with_readable_definitions_of_its_own_is_served(self, shop: Shop) -> None:
        shop.readable = [DEFINITIONS, OTHER]
        shop.reconcile(shop.version("1"), shop.version("2", '{"mode": "shadow"}', fingerprint=OTHER))
        assert (shop.serving, shop.problems) == (("1", "2", "shadow", 0.0), {})
        assert shop.selector.definitions == {definitions_version(DEFINITIONS), definitions_version(OTHER)}

    def test_challenger_with_unreadable_definitions_gets_no_traffic(
        self, shop: Shop, service_log: pytest.LogCaptureFixture
    ) -> None:
        one, other = shop.version("1"), shop.version("2", '{"mode": "shadow"}', fingerprint=OTHER)
        shop.reconcile(one, other)
        assert shop.serving == ("1", None, None, 0.0)
        assert shop.downloads == ["1"]
        assert shop.problems == {"2": "Model version 2 was trained on other definitions."}
        assert service_log.text.count("Version 2 is named by the registry, but not served") == 1
        shop.readable = [DEFINITIONS, OTHER]
        shop.reconcile(one, other)
        assert (shop.serving, shop.problems) == (("1", "2", "shadow", 0.0), {})
        shop.readable = [DEFINITIONS]
        shop.reconcile(one, other)
        assert shop.serving == ("1", None, None, 0.0)

    def test_challenger_with_other_label_is_served(self, shop: Shop) -> None:
        label = DEFINITIONS | {"labels": "other"}
        shop.reconcile(shop.version("1"), shop.version("2", '{"mode": "shadow"}', fingerprint=label))
        assert (shop.serving, shop.problems) == (("1", "2", "shadow", 0.0), {})
        assert len(shop.selector.definitions) == 1

    def test_challenger_with_other_inputs_of_the_same_definitions_is_checked(self, shop: Shop) -> None:
        shop.wrong_inputs = ["purchases", "silence", "gap"]
        other = shop.version("3", '{"mode": "shadow"}', inputs=shop.wrong_inputs)
        shop.reconcile(shop.version("1"), other)
        assert shop.serving == ("1", None, None, 0.0)
        assert "inputs differ" in shop.problems["3"]


class TestDefinitions:
    def test_champion_with_other_definitions_waits_for_them(
        self, shop: Shop, service_log: pytest.LogCaptureFixture
    ) -> None:
        shop.reconcile(shop.version("1"))
        new = shop.version("2", fingerprint=OTHER)
        shop.reconcile(new)
        assert (shop.serving[0], shop.downloads) == ("1", ["1"])
        assert shop.problems == {"2": "Model version 2 was trained on other definitions."}
        assert service_log.text.count("other definitions") == 1
        shop.readable = [OTHER]
        shop.reconcile(new)
        assert (shop.serving[0], shop.problems) == ("2", {})

    def test_champion_with_changed_definitions_is_served(self, shop: Shop) -> None:
        shop.reconcile(shop.version("1"))
        shop.readable = [OTHER]
        shop.reconcile(shop.version("2", fingerprint=OTHER))
        assert (shop.serving[0], shop.problems) == ("2", {})

    def test_champion_named_is_served_if_no_model_matches(self, shop: Shop) -> None:
        """A version that was rolled back before the feature store existed must not be served afterwards."""
        shop.with_baked(shop.version("1"))
        shop.readable = None
        back = shop.version("2")
        shop.reconcile(back)
        assert shop.serving[0] == "2"
        shop.readable = [DEFINITIONS]
        shop.reconcile(back)
        assert (shop.serving[0], shop.problems) == ("2", {})

    def test_previous_champion_returns_if_only_it_matches(self, shop: Shop) -> None:
        """The new version is named while the store cannot be read."""
        shop.reconcile(shop.version("1"))
        shop.readable = None
        new = shop.version("2", fingerprint=OTHER)
        shop.reconcile(new)
        assert shop.serving[0] == "2"
        newest = shop.version("3", fingerprint=OTHER)
        shop.reconcile(newest)
        shop.readable = [DEFINITIONS]
        shop.reconcile(newest)
        assert shop.serving[0] == "1"
        assert list(shop.problems) == ["3"]
        shop.readable = [OTHER]
        shop.reconcile(newest)
        assert (shop.serving[0], shop.problems) == ("3", {})

    def test_champion_in_service_is_not_checked_again(self, shop: Shop) -> None:
        """Each request checks whether the champion still matches."""
        shop.reconcile(one := shop.version("1"))
        shop.readable = [OTHER]
        shop.reconcile(one)
        assert (shop.serving[0], shop.problems) == ("1", {})


def test_replaced_models_are_freed_at_once(shop: Shop) -> None:
    """Models are freed by reference counting, as the service rarely collects garbage."""
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
        shop.readable = None
        shop.reconcile(bad)
        shop.readable = [DEFINITIONS]
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
