"""Context of the model card's template, from the records of the version only."""

from typing import Any

from holdfast.lineage.version_history import VersionHistory
from holdfast.models.declaration import registered_name
from holdfast.reporting.classification_card import build_classification_context
from holdfast.reporting.regression_card import build_regression_context
from holdfast.reporting.version_facts import command_option, describe_gates, describe_gates_verdict, list_origin
from holdfast.reporting.version_timeline import build_timeline, describe_approval, describe_status
from holdfast.training.evaluation_report import Evaluation
from holdfast.training.recipe import Recipe
from holdfast.training.regression.report import RegressionEvaluation


def build_card_context(
    history: VersionHistory, test: Evaluation | RegressionEvaluation, recipe: Recipe
) -> dict[str, Any]:
    """Build the variables of the template of the model's kind.

    Args:
        history: History of the version.
        test: Results on the test period.
        recipe: Fitted model and its cut-offs.

    Returns:
        Value by name of the variable; ``template`` is the file of the template.
    """
    if isinstance(test, RegressionEvaluation):
        of_kind = build_regression_context(history, test, recipe) | {"template": "regression_card.md.j2"}
    else:
        of_kind = build_classification_context(history, test, recipe) | {"template": "classification_card.md.j2"}
    return of_kind | {
        "name": registered_name(history.lineage.model),
        "history": history,
        "lineage": history.lineage,
        "test": test,
        "status": describe_status(history),
        "gates_verdict": describe_gates_verdict(history),
        "gates_text": describe_gates(history),
        "approval": describe_approval(history),
        "timeline": build_timeline(history),
        "origin": list(list_origin(history)),
        "option": command_option(history),
    }
