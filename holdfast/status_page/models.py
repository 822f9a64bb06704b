"""Champion and challenger of each model, from the registry."""

from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING

from feature_repo.settings import Settings
from holdfast.core.redaction import redact_logins
from holdfast.model_versions.records import GatesRecord, RolloutRecord, TrafficRecord
from holdfast.models.declaration import declared_name, list_models, load_declaration, registered_name
from holdfast.runtime.endpoints import EndpointSettings
from holdfast.status_page.sections import Section, load_section
from holdfast.status_page.status_models import ChallengerStatus, ChampionStatus, MetricInterval, ModelStatus

if TYPE_CHECKING:
    from holdfast.training.mlflow_client import ModelClient

_TEST_METRICS = {"classification": ("roc_auc", "brier", "ece"), "regression": ("deviance", "total", "spearman")}


def load_models(settings: Settings, endpoints: EndpointSettings) -> dict[str, Section[ModelStatus]]:
    """Read the versions of each declared model; the error of one model is in its section only.

    Args:
        settings: Names the registry.
        endpoints: Names the address of MLflow's pages.

    Returns:
        Model to its section.
    """
    return {name: load_section(partial(_load_model, settings, endpoints, name)) for name in list_models()}


def _load_model(settings: Settings, endpoints: EndpointSettings, model: str) -> ModelStatus:
    """Read both aliases of a model from the registry.

    Args:
        settings: Names the registry.
        endpoints: Names the address of MLflow's pages.
        model: Name of the model.

    Returns:
        The versions; both None if no model was trained.
    """
    from holdfast.model_versions.aliases import get_challenger_version
    from holdfast.model_versions.champion_history import read_champion_history
    from holdfast.training.mlflow_client import UnknownVersionError, open_registry

    try:
        client = open_registry(settings, registered_name(model))
    except UnknownVersionError:  # nothing was trained: this is not an error
        return ModelStatus(champion=None, challenger=None)
    history = read_champion_history(client)
    champion, challenger = history.champion, get_challenger_version(client)
    return ModelStatus(
        champion=_champion(client, endpoints, champion, history.started_at(champion)) if champion else None,
        challenger=_challenger(client, endpoints, challenger) if challenger else None,
    )


def _champion(
    client: "ModelClient", endpoints: EndpointSettings, version: str, since: datetime | None
) -> ChampionStatus:
    registered = client.get_model_version(client.model_name, version)
    gates = GatesRecord.from_tags(registered.tags, version)
    return ChampionStatus(
        version=version,
        since=since,
        test_metrics=_test_metrics(client, registered.run_id),
        warnings=gates.warnings if gates else [],
        rollout=_rollout(registered.tags, version),
        page=_url(endpoints, client.model_name, version),
    )


def _challenger(client: "ModelClient", endpoints: EndpointSettings, version: str) -> ChallengerStatus:
    tags = client.get_model_version(client.model_name, version).tags
    traffic = TrafficRecord.from_tags(tags, version)
    until = f", until {traffic.until:%Y-%m-%d %H:%M} UTC" if traffic and traffic.until else ""
    return ChallengerStatus(
        version=version,
        traffic=f"{traffic.summary}{until}" if traffic else "no traffic yet",
        rollout=_rollout(tags, version),
        page=_url(endpoints, client.model_name, version),
    )


def _rollout(tags: dict[str, str], version: str) -> str:
    record = RolloutRecord.from_tags(tags, version)
    return f"{record.summary} ({record.when:%Y-%m-%d %H:%M} UTC)" if record else ""


def _test_metrics(client: "ModelClient", run_id: str | None) -> list[MetricInterval]:
    """Read the test metrics that the run has."""
    from holdfast.training.evaluation_report import METRIC_LABELS
    from holdfast.training.regression.scores import SPEND_METRIC_LABELS

    values = client.get_run(run_id).data.metrics if run_id else {}
    kind, labels = load_declaration(declared_name(client.model_name)).kind, METRIC_LABELS | SPEND_METRIC_LABELS
    names = {metric: f"test.model.{metric}" for metric in _TEST_METRICS[kind]}
    return [
        MetricInterval(
            metric=labels[metric],
            value=values[name],
            low=values.get(f"{name}.low", values[name]),
            high=values.get(f"{name}.high", values[name]),
        )
        for metric, name in names.items()
        if name in values
    ]


def _url(endpoints: EndpointSettings, model_name: str, version: str) -> str:
    return f"{redact_logins(endpoints.mlflow_url).rstrip('/')}/#/models/{model_name}/versions/{version}"
