"""Traffic of the challenger: shadow, canary or off. Running services follow the tag of the version."""

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from feature_repo.settings import Settings
from holdfast.core.errors import TrafficError
from holdfast.core.identity import Person
from holdfast.feature_store.parity import load_parity
from holdfast.model_versions.aliases import (
    get_challenger_version,
    get_champion_version,
    get_version,
    promotion_lock,
)
from holdfast.model_versions.definitions_in_use import find_definitions
from holdfast.model_versions.evidence import Unavailable, compute_or_unavailable
from holdfast.model_versions.records import TrafficRecord
from holdfast.models.contract import CHALLENGER, CHAMPION
from holdfast.models.registered_version import MAX_SHARE, NotServableError, RegisteredVersion, Traffic
from holdfast.training.mlflow_client import ModelClient

_Mode = Literal["shadow", "canary", "off"]
_FIRST_SHARE = 0.05


@dataclass(frozen=True)
class TrafficChange:
    """Traffic of a version after a change.

    Attributes:
        version: Version number; None without a challenger.
        changed: False if the version had this traffic already.
    """

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
        texts = {"shadow": "scores in shadow", "canary": f"serves the requests{share}", "off": "gets no traffic"}
        return f"Version {self.version} {texts[self.traffic.mode]}{'' if self.changed else ', as before'}."


def build_traffic(mode: _Mode, share: float | None) -> Traffic:
    """Build the traffic of a mode.

    Args:
        mode: shadow, canary or off.
        share: Share of the customers for a canary, 0 to 1; 5% when None.

    Returns:
        The traffic.

    Raises:
        TrafficError: The share is out of range, or the mode takes none.
    """
    if mode != "canary":
        if share is not None:
            raise TrafficError(f"A share is for a canary; {mode} takes none. Nothing was changed.")
        return Traffic(mode=mode)
    share = _FIRST_SHARE if share is None else share
    if not 0 < share <= MAX_SHARE:
        raise TrafficError(
            f"A canary gets a share of the customers above 0 and at most {MAX_SHARE}, not {share}. Nothing was changed."
        )
    return Traffic(mode=mode, share=share)


def set_traffic(
    client: ModelClient, version: str | None, traffic: Traffic, who: Person, now: datetime
) -> TrafficChange:
    """Set the traffic of the challenger; "off" is always possible. The caller holds the promotion lock.

    Args:
        client: MLflow's client.
        version: Version number; the challenger when None.
        traffic: The traffic.
        who: Person or component that sets the traffic.
        now: Time of the change, UTC.

    Returns:
        The traffic of the version, and if it is new. Without a challenger, "off" changes nothing.

    Raises:
        TrafficError: The version is not the challenger, or cannot be served beside the champion.
        NotServableError: The version, or the champion, is not as training registers versions.
        UnknownVersionError: There is no such version.
    """
    number = version or get_challenger_version(client)
    if number is None and traffic.mode == "off":
        return TrafficChange(None, traffic, changed=False)
    if number is None:
        raise TrafficError(
            f"{client.model_name} has no {CHALLENGER}. `python -m flows.gates` evaluates the latest version; one "
            f"that passes is the {CHALLENGER}."
        )
    tried = RegisteredVersion.from_mlflow(get_version(client, number))
    if traffic.mode != "off":
        _require_fit(client, tried)
    if _as_before(tried, traffic):
        return TrafficChange(tried.number, traffic, changed=False)
    record = TrafficRecord(
        mode=traffic.mode, share=traffic.share, when=now, who=who.name, proof=who.proof, until=traffic.until
    )
    record.save(client, tried.number)
    return TrafficChange(tried.number, traffic, changed=True)


def extend_lease(client: ModelClient, settings: Settings, version: str, traffic: Traffic) -> bool:
    """Extend the lease of the traffic of a version, without an event.

    Args:
        client: MLflow's client.
        settings: Settings with the promotion lock.
        version: Version number.
        traffic: The expected traffic, with the new end of the lease.

    Returns:
        False if the version no longer has this traffic.
    """
    with promotion_lock(settings):
        record = TrafficRecord.load(client, version)
        had = record is not None and (record.mode, record.share) == (traffic.mode, traffic.share)
        if record is None or not had or record.until is None or get_challenger_version(client) != version:
            return False
        record.model_copy(update={"until": traffic.until}).write_tag(client, version)
        return True


def _require_fit(client: ModelClient, tried: RegisteredVersion) -> None:
    """Refuse a version that services would refuse, as far as tags and aliases show."""
    challenger, champion = get_challenger_version(client), get_champion_version(client)
    about = f"{client.model_name} version {tried.number}"
    if champion is None or champion == tried.number:
        why = f"there is no {CHAMPION} yet" if champion is None else f"it is the {CHAMPION} itself"
        raise TrafficError(f"{about} cannot get traffic beside a {CHAMPION}: {why}. Nothing was changed.")
    if challenger != tried.number:
        is_now = f"version {challenger} is" if challenger else "no version is"
        raise TrafficError(
            f"{about} is not the {CHALLENGER}; {is_now}. `python -m flows.gates --version {tried.number}` makes it "
            "the one if it passes. Nothing was changed."
        )
    for version in (tried, RegisteredVersion.from_mlflow(get_version(client, champion))):
        version.contract()  # refused if training did not make it


def require_features(client: ModelClient, settings: Settings, version: str) -> None:
    """Check that a service can read the features of a challenger.

    Args:
        client: MLflow's client.
        settings: Settings with the data folder.
        version: Version number.

    Raises:
        TrafficError: The version of its feature definitions has no online values, or wrong ones.
        UnknownVersionError: There is no such version.
    """
    definitions = find_definitions(client, version)
    if definitions is None:
        return  # not made by flows.train: refused with that reason
    parity = compute_or_unavailable(lambda: load_parity(settings, definitions))
    if isinstance(parity, Unavailable) or parity.mismatches:
        problem = parity.reason if isinstance(parity, Unavailable) else f"{parity.mismatches} online values are wrong."
        raise TrafficError(
            f"{client.model_name} version {version} reads version {definitions} of the feature definitions, which a "
            f"service cannot serve now. {problem} Nothing was changed."
        )


def _as_before(version: RegisteredVersion, traffic: Traffic) -> bool:
    try:
        return version.traffic() == traffic
    except NotServableError:
        return False
