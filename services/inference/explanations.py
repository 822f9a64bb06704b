"""Explanations of scores: contributions to the log-odds and reasons in words."""

from holdfast.core.types import Floats
from holdfast.models.contributions import NotAdditiveError
from holdfast.models.loaded_model import LoadedModel
from holdfast.models.reason_codes import select_reasons
from services.errors import NoReasonsError
from services.schemas import Explanation, Reason


def explain(model: LoadedModel, matrix: Floats) -> list[Explanation]:
    """Explain scores.

    Args:
        model: Model.
        matrix: Model inputs, shape (n, inputs).

    Returns:
        One explanation per row.

    Raises:
        NoReasonsError: The model's log-odds are not a sum over its inputs.
    """
    try:
        parts = model.contributions(matrix)
    except NotAdditiveError as error:
        version = model.contract.model_version
        raise NoReasonsError(version, f"Model version {version} cannot be explained. {error}") from error
    names = model.contract.inputs
    return [
        Explanation(
            typical_log_odds=parts.base,
            log_odds=log_odds,
            contributions=dict(zip(names, values, strict=True)),
            reasons=[
                Reason(text=reason.text, effect=reason.effect, direction=reason.direction, inputs=list(reason.inputs))
                for reason in select_reasons(names, row, values, categories=model.contract.categories)
            ],
        )
        for row, log_odds, values in zip(matrix.tolist(), parts.log_odds.tolist(), parts.values.tolist(), strict=True)
    ]
