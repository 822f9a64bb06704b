"""The model of the bento: found, verified byte for byte, and only then read."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bentoml
import numpy as np
import numpy.typing as npt
from bentoml.exceptions import BentoMLException
from pydantic import ValidationError

from feature_repo.explanation import Contributions, NotAdditiveError, contributions
from feature_repo.model_contract import CONTRACT_FILE, MODEL_FILE, MODEL_NAME, TRUSTED_TYPES, ServedModel
from services.errors import NotReadyError

_PACKAGE_AGAIN = "Package the champion again: `python -m flows.package`."


@dataclass(frozen=True)
class Model:
    """A fitted binary classifier and what ties it to its features."""

    contract: ServedModel
    estimator: Any
    churn_column: int

    def churn_probabilities(self, matrix: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        """Of a matrix (rows, inputs) as ``input_matrix`` makes it: shape (rows,)."""
        probabilities: npt.NDArray[np.float64] = self.estimator.predict_proba(matrix)[:, self.churn_column]
        return probabilities

    def contributions(self, matrix: npt.NDArray[np.float64]) -> Contributions:
        """What each input adds to each row's log-odds of churn, before calibration.

        Raises:
            NotAdditiveError: The model is no sum over its inputs.
        """
        if not hasattr(self.estimator, "decision_function"):
            raise NotAdditiveError("The model has no decision_function, so no log-odds that reasons could add up to.")
        sign = 1.0 if self.churn_column == 1 else -1.0
        return contributions(lambda x: sign * self.estimator.decision_function(x), matrix, self.contract.reference)


def model_folder(bento: bentoml.Bento | None) -> Path:
    """The folder of the model that the bento was built with; outside a bento, of the model saved last.

    A bento in the local store keeps its models in the shared model store, where "latest" may have moved on
    since it was built: its own record of the version decides.

    Raises:
        NotReadyError: No such model.
    """
    tags = [info.tag for info in bento.info.all_models if info.tag.name == MODEL_NAME] if bento else []
    reference = str(tags[0]) if tags else f"{MODEL_NAME}:latest"
    try:
        return Path(bentoml.models.get(reference).path)
    except BentoMLException:
        raise NotReadyError(
            f"The model {reference} is not in the model store.", "Package the champion: `python -m flows.package`."
        ) from None


def load_model(folder: Path) -> Model:
    """Read contract and model from ``folder``.

    Raises:
        NotReadyError: A file is missing, the model is not the one the contract was written for, it holds
            types that are not trusted, or it is no classifier of two classes.
    """
    from skops.io import loads
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        contract = ServedModel.model_validate_json((folder / CONTRACT_FILE).read_bytes())
        content = (folder / MODEL_FILE).read_bytes()
    except OSError as error:
        raise NotReadyError("The model is incomplete.", f"{error.filename} cannot be read. {_PACKAGE_AGAIN}") from error
    except ValidationError as error:
        raise NotReadyError(
            "The model's contract cannot be read.",
            f"{folder / CONTRACT_FILE}: {error.errors()[0]['msg']}. {_PACKAGE_AGAIN}",
        ) from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != contract.model_sha256:
        raise NotReadyError(
            f"The model file's SHA-256 is {digest[:12]}, but the contract of version {contract.model_version} "
            f"names {contract.model_sha256[:12]}: the file was changed or damaged.",
            _PACKAGE_AGAIN,
        )
    try:
        estimator = loads(content, trusted=TRUSTED_TYPES)
    except UntrustedTypesFoundException as error:
        raise NotReadyError(
            "The model file holds types that are not trusted; it was not loaded.", str(error)
        ) from error
    return Model(contract, estimator, _churn_column(estimator.classes_))


def _churn_column(classes: Sequence[Any]) -> int:
    if len(classes) != 2 or True not in list(classes):
        raise NotReadyError("The model is no classifier of two classes, one of them churn (True or 1).")
    return list(classes).index(True)
