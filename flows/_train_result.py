"""Result of the training flow, read from the registry."""

from typing import TYPE_CHECKING, Any

from feature_repo.settings import Settings
from holdfast.models.declaration import CHURN, registered_name
from holdfast.reporting.flow_results import GatesResult, TrainResult

if TYPE_CHECKING:
    from holdfast.training.mlflow_tracking import TrainedVersion


def build_result(
    settings: Settings, model: str, registered: "TrainedVersion", verdict: GatesResult, trained: bool
) -> TrainResult[Any]:
    """Read the result from the MLflow run, so that new and found versions give the same result.

    Args:
        settings: Settings with the registry.
        model: Name of the model.
        registered: The version and its run.
        verdict: Verdict of its gates.
        trained: Whether this run has trained the version.

    Returns:
        The result.
    """
    from holdfast.model_versions.aliases import get_champion_version
    from holdfast.training.mlflow_client import open_tracking
    from holdfast.training.mlflow_tracking import read_model_evaluation

    client = open_tracking(settings, registered_name(model))
    return TrainResult(
        model_name=client.model_name,
        model_version=registered.version,
        run_id=registered.run_id,
        trained=trained,
        training_rows=int(client.get_run(registered.run_id).data.metrics["training_rows"]),
        evaluation=read_model_evaluation(client, registered.run_id),
        gates=verdict,
        is_champion=get_champion_version(client) == registered.version,
    )


def load_result(settings: Settings, version: str) -> TrainResult:
    """Load the result of a registered version, with the verdict that it was promoted on.

    Args:
        settings: Settings with the registry.
        version: Version number.

    Returns:
        The result; without gates if their report is missing.
    """
    from holdfast.model_versions.aliases import get_version
    from holdfast.model_versions.records import GatesRecord, PromotionRecord
    from holdfast.promotion.gate_report import read_report
    from holdfast.training.mlflow_client import open_registry
    from holdfast.training.mlflow_tracking import TrainedVersion

    client = open_registry(settings)
    promotion, record = PromotionRecord.load(client, version), GatesRecord.load(client, version)
    key = promotion.gates if promotion else record.key if record else ""
    report = read_report(client, version, key)
    verdict = GatesResult(
        version=version,
        champion=report.champion if report else None,
        passed=report is not None and not report.failed,
        challenger=False,
        computed=False,
        gates=report.gates if report else [],
        warnings=report.warnings if report else [],
        model_name=client.model_name,
    )
    registered = TrainedVersion(version, str(get_version(client, version).run_id))
    return build_result(settings, CHURN, registered, verdict, trained=False)
