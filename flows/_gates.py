"""Tasks of the gates that depend on the kind of the model."""

from typing import TYPE_CHECKING

from feature_repo.settings import Settings
from flows._tasks import open_model_registry, task
from holdfast.model_versions.gate_settings import GateSettings
from holdfast.promotion.gates import evaluate_gates, list_warnings

if TYPE_CHECKING:
    from holdfast.model_versions.gate_settings import RegressionGateSettings
    from holdfast.promotion.evaluation_context import EvaluationContext
    from holdfast.promotion.gates import GateResult


@task(name="load evaluation context")
def load_context_task(settings: Settings, model: str, version: str) -> "EvaluationContext":
    """Read champion, applied definitions and last parity report while no features are written."""
    from holdfast.feature_store.materialization import features_lock
    from holdfast.promotion.evaluation_context import load_evaluation_context

    with features_lock(settings):
        return load_evaluation_context(open_model_registry(settings, model), settings, version)


@task(task_run_name="collect evidence of version {version}")
def evaluate_gates_task(
    settings: Settings,
    model: str,
    version: str,
    context: "EvaluationContext",
    limits: "GateSettings | RegressionGateSettings",
) -> "tuple[list[GateResult], list[str]]":
    """Collect the results of the training, measure the registered model, and evaluate the gates of its kind."""
    from holdfast.promotion.evidence_collection import collect_evidence
    from holdfast.promotion.regression_evidence import collect_regression_evidence
    from holdfast.promotion.regression_gates import evaluate_regression_gates

    client = open_model_registry(settings, model)
    if isinstance(limits, GateSettings):
        evidence = collect_evidence(client, settings, version, context, limits)
        return evaluate_gates(evidence, limits), list_warnings(evidence)
    return evaluate_regression_gates(
        collect_regression_evidence(client, settings, version, context, limits), limits
    ), []
