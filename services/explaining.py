"""Why each customer has their score: exact contributions, and reasons in plain words."""

import numpy as np
import numpy.typing as npt

from holdfast.models.contributions import NotAdditiveError
from holdfast.models.reason_codes import reasons
from services.errors import NoReasonsError
from services.models.loader import Model
from services.schemas import Explanation, Reason


def explain(model: Model, matrix: npt.NDArray[np.float64]) -> list[Explanation]:
    """One explanation per row of ``matrix`` (rows, inputs), in its order.

    Raises:
        NoReasonsError: The model's score is no sum over its inputs.
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
                for reason in reasons(names, row, values)
            ],
        )
        for row, log_odds, values in zip(matrix.tolist(), parts.log_odds.tolist(), parts.values.tolist(), strict=True)
    ]
