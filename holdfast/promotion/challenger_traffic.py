"""Says what the challenger gets to score beside the champion. Running services take it up by themselves."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from mlflow import MlflowClient

from feature_repo.settings import Settings
from holdfast.core.errors import TrafficError
from holdfast.model_versions.aliases import get_challenger_version, get_champion_version, get_version, promotion_lock
from holdfast.model_versions.records import TrafficRecord
from holdfast.models.contract import CHALLENGER, CHAMPION, MODEL_NAME
from holdfast.models.registered_version import MAX_SHARE, NotServableError, RegisteredVersion, Traffic

Mode = Literal["shadow", "canary", "off"]
FIRST_SHARE = 0.05


@dataclass(frozen=True)
class TrafficChange:
    """What a version gets now, and whether that is new. Without a version there is no challenger to take it from."""

    version: str | None
    traffic: Traffic
    changed: bool

    def summary(self) -> str:
        """Describe the traffic of the challenger in one line.

        Returns:
            The line.
        """
        if self.version is None:
            return "There is no challenger: the champion scores all requests, as before."
        share = f" of {self.traffic.share:.1%} of the customers" if self.traffic.mode == "canary" else ""
        texts = {"shadow": "scores in shadow", "canary": f"answers the requests{share}", "off": "gets no traffic"}
        return f"Version {self.version} {texts[self.traffic.mode]}{'' if self.changed else ', as before'}."


def build_traffic(mode: Mode, share: float | None) -> Traffic:
    """The traffic that was asked for; a canary begins with 5% of the customers.

    Raises:
        TrafficError: There is no such thing.
    """
    if mode != "canary":
        if share is not None:
            raise TrafficError(f"A share is for a canary; {mode} takes none. Nothing was changed.")
        return Traffic(mode=mode)
    share = FIRST_SHARE if share is None else share
    if not 0 < share <= MAX_SHARE:
        raise TrafficError(
            f"A canary gets a share of the customers above 0 and at most {MAX_SHARE}, not {share}. Nothing was changed."
        )
    return Traffic(mode=mode, share=share)


def set_traffic(
    client: MlflowClient, settings: Settings, version: str | None, traffic: Traffic, who: str, now: datetime
) -> TrafficChange:
    """Record on ``version``, the challenger when left out, what it gets from now on. Off is always possible.

    Raises:
        TrafficError: It is not the challenger, or cannot serve beside the champion.
        NotServableError: It, or the champion, is not as training registers it.
        UnknownVersionError: There is no such version.
    """
    with promotion_lock(settings):
        return set_traffic_locked(client, version, traffic, who, now)


def set_traffic_locked(
    client: MlflowClient, version: str | None, traffic: Traffic, who: str, now: datetime
) -> TrafficChange:
    """The same for whoever holds the promotion lock: what they have seen under it still holds when it is written."""
    number = version or get_challenger_version(client)
    if number is None and traffic.mode == "off":
        return TrafficChange(None, traffic, changed=False)
    if number is None:
        raise TrafficError(
            f"{MODEL_NAME} has no {CHALLENGER} to try out. `python -m flows.gates` judges the latest version; one "
            f"that passes is the {CHALLENGER}."
        )
    registered = get_version(client, number)
    tried = RegisteredVersion(str(registered.version), registered.tags)
    if traffic.mode != "off":
        _require_fit(client, tried)
    if _as_before(tried, traffic):
        return TrafficChange(tried.number, traffic, changed=False)
    record = TrafficRecord(mode=traffic.mode, share=traffic.share, when=now, who=who, until=traffic.until)
    record.save(client, tried.number)
    return TrafficChange(tried.number, traffic, changed=True)


def extend_lease(client: MlflowClient, settings: Settings, version: str, traffic: Traffic) -> bool:
    """Let ``version`` have what it has for longer; whether it still had it. Nothing is told: it is no news."""
    with promotion_lock(settings):
        record = TrafficRecord.load(client, version)
        had = record is not None and (record.mode, record.share) == (traffic.mode, traffic.share)
        if record is None or not had or record.until is None or get_challenger_version(client) != version:
            return False
        record.model_copy(update={"until": traffic.until}).write_tag(client, version)
        return True


def _require_fit(client: MlflowClient, tried: RegisteredVersion) -> None:
    """Refuse what services would refuse, as far as it can be told here."""
    challenger, champion = get_challenger_version(client), get_champion_version(client)
    about = f"{MODEL_NAME} version {tried.number}"
    if champion is None or champion == tried.number:
        why = f"there is no {CHAMPION} yet" if champion is None else f"it is the {CHAMPION} itself"
        raise TrafficError(f"{about} has no {CHAMPION} to be tried out beside: {why}. Nothing was changed.")
    if challenger != tried.number:
        is_now = f"version {challenger} is" if challenger else "no version is"
        raise TrafficError(
            f"{about} is not the {CHALLENGER}; {is_now}. `python -m flows.gates --version {tried.number}` makes it "
            "the one if it passes. Nothing was changed."
        )
    beside = RegisteredVersion(champion, get_version(client, champion).tags)
    if parts := tried.contract().differing_definitions(beside.contract()):
        raise TrafficError(
            f"{about} was trained on other definitions than the {CHAMPION}, version {champion}: {', '.join(parts)} "
            "differ. One service cannot serve both. Nothing was changed."
        )


def _as_before(version: RegisteredVersion, traffic: Traffic) -> bool:
    try:
        return version.traffic() == traffic
    except NotServableError:
        return False
