"""Champion and challenger, from the registry."""

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from feature_repo.settings import Settings
from holdfast.models.contract import MODEL_NAME
from holdfast.runtime.endpoints import EndpointSettings
from holdfast.status_page.schemas import ChallengerStatus, ChampionStatus, ModelStatus, TestMetric
from holdfast.status_page.sections import strip_credentials
from holdfast.training.evaluation_report import METRIC_LABELS

if TYPE_CHECKING:
    from mlflow import MlflowClient

_PROMISED = ("roc_auc", "brier", "ece")


def load_models(settings: Settings, places: EndpointSettings) -> ModelStatus:
    """As the registry tells it now."""
    from holdfast.model_versions.aliases import UnknownVersionError, get_challenger_version, open_registry
    from holdfast.model_versions.champion_history import read_champion_history

    try:
        client = open_registry(settings)
    except UnknownVersionError:  # nothing was trained: that is no fault
        return ModelStatus(champion=None, challenger=None)
    known = read_champion_history(client)
    return ModelStatus(
        champion=_champion(client, places, known.champion, known.started_at) if known.champion else None,
        challenger=_challenger(client, places, get_challenger_version(client)),
    )


def _champion(
    client: "MlflowClient", places: EndpointSettings, version: str, since: Callable[[str], datetime | None]
) -> ChampionStatus:
    return ChampionStatus(
        version=version,
        since=since(version),
        promised=_promised(client, version),
        rollout=_rollout(client.get_model_version(MODEL_NAME, version).tags, version),
        page=_page(places, version),
    )


def _challenger(client: "MlflowClient", places: EndpointSettings, version: str | None) -> ChallengerStatus | None:
    from holdfast.model_versions.records import TrafficRecord

    if version is None:
        return None
    tags = client.get_model_version(MODEL_NAME, version).tags
    traffic = TrafficRecord.from_tags(tags, version)
    until = f", until {traffic.until:%Y-%m-%d %H:%M} UTC" if traffic and traffic.until else ""
    return ChallengerStatus(
        version=version,
        traffic=f"{traffic.summary}{until}" if traffic else "not tried out",
        rollout=_rollout(tags, version),
        page=_page(places, version),
    )


def _rollout(tags: dict[str, str], version: str) -> str:
    from holdfast.model_versions.records import RolloutRecord

    record = RolloutRecord.from_tags(tags, version)
    return f"{record.summary} ({record.when:%Y-%m-%d %H:%M} UTC)" if record else ""


def _promised(client: "MlflowClient", version: str) -> list[TestMetric]:
    """What its test found, of the metrics that its run has."""
    run = client.get_model_version(MODEL_NAME, version).run_id
    found = client.get_run(run).data.metrics if run else {}
    names = {metric: f"test.model.{metric}" for metric in _PROMISED if f"test.model.{metric}" in found}
    return [
        TestMetric(
            metric=METRIC_LABELS[metric],
            value=found[name],
            low=found.get(f"{name}.low", found[name]),
            high=found.get(f"{name}.high", found[name]),
        )
        for metric, name in names.items()
    ]


def _page(places: EndpointSettings, version: str) -> str:
    return f"{strip_credentials(places.mlflow_url).rstrip('/')}/#/models/{MODEL_NAME}/versions/{version}"
