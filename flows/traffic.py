"""Traffic: share of the requests that the challenger scores. `python -m flows.traffic canary --share 0.05`."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from prefect import flow

from feature_repo.settings import Settings
from flows import configure
from flows._artifacts import publish_text
from flows._cli import run_flow
from flows._tasks import open_model_registry, task
from flows.model_card import refresh_model_cards
from holdfast.core.identity import Person
from holdfast.models.declaration import CHURN
from holdfast.models.registered_version import Traffic
from holdfast.runtime.callers import identify_caller

if TYPE_CHECKING:
    from holdfast.promotion.challenger_traffic import TrafficChange


@task(name="set traffic")
def set_traffic_task(
    settings: Settings, model: str, version: str | None, traffic: Traffic, who: Person
) -> "TrafficChange":
    """Record the traffic on the version."""
    from holdfast.model_versions.aliases import get_challenger_version, promotion_lock
    from holdfast.promotion.challenger_traffic import require_features, set_traffic

    client = open_model_registry(settings, model)
    challenger = version or get_challenger_version(client)
    if challenger and traffic.mode != "off":
        require_features(client, settings, challenger)
    with promotion_lock(settings):
        change = set_traffic(client, version, traffic, who, datetime.now(UTC))
    publish_text(change.summary(), key="traffic", description=f"{client.model_name}: challenger traffic")
    return change


@flow(name="traffic", flow_run_name="traffic: {mode}", persist_result=False)
def traffic(
    mode: Literal["shadow", "canary", "off"],
    version: str | None = None,
    share: float | None = None,
    who: str | None = None,
    model: str = CHURN,
) -> "TrafficChange":
    """Set the requests that the challenger scores; running services follow within seconds.

    shadow: every request; its scores are logged, not returned. canary: the requests of a fixed share of the customers.
    off: no request.

    Args:
        mode: shadow, canary or off.
        version: The challenger's version number; the challenger when left out.
        share: Share of the customers for a canary, above 0 and at most 0.5; 0.05 when left out.
        who: Who sets the traffic, recorded as claimed; the user of this machine when left out.
        model: The model, as declared in feature_repo/models.
    """
    from holdfast.promotion.challenger_traffic import build_traffic

    settings = configure()
    change = set_traffic_task(settings, model, version, build_traffic(mode, share), identify_caller(who))
    if change.changed and change.version:
        refresh_model_cards(settings, change.version, model=model)
    return change


if __name__ == "__main__":
    run_flow(traffic)
