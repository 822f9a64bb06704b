"""A model that scores, in the service and in a batch alike; verified byte for byte and score for score first."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np

from holdfast.core.errors import HoldfastError
from holdfast.core.types import Floats
from holdfast.models.compiled_scorer import CompiledScorer, ScorerMismatchError, verify_scorer
from holdfast.models.contract import TRUSTED_TYPES, ServedModel
from holdfast.models.contributions import Contributions, NotAdditiveError, compute_contributions

PACKAGE_AGAIN = "Package the champion again: `python -m flows.package`."
_TRAIN_AGAIN = "Other libraries or another processor compute otherwise: train again with what serves."
_TOLERANCE = 1e-12
_WARM_ROWS = 100


class UnusableModelError(HoldfastError):
    """A file that is not the model its contract describes; ``remedy`` is for who runs it, not for who asks it."""

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, eq=False)
class LoadedModel:
    """A fitted binary classifier and what ties it to its features.

    ``scorer`` is a quicker one of the same scores; ``scorer_mismatch`` says why there is none where one was expected.
    """

    contract: ServedModel
    estimator: Any
    churn_column: int
    scorer: CompiledScorer | None = None
    scorer_mismatch: str = ""

    def churn_probabilities(self, matrix: Floats) -> Floats:
        """Of a matrix (rows, inputs) as ``input_matrix`` makes it: shape (rows,)."""
        if self.scorer is not None:
            return self.scorer.probabilities(matrix)
        probabilities: Floats = self.estimator.predict_proba(matrix)[:, self.churn_column]
        return probabilities

    def contributions(self, matrix: Floats) -> Contributions:
        """What each input adds to each row's log-odds of churn, before calibration.

        With a ``scorer`` a row's contributions have the same bits whatever batch it is in, as its probability has.

        Raises:
            NotAdditiveError: The model is no sum over its inputs.
        """
        if self.scorer is not None:
            return self.scorer.contributions(matrix, self.contract.reference)
        if not hasattr(self.estimator, "decision_function"):
            raise NotAdditiveError("The model has no decision_function, so no log-odds that reasons could add up to.")
        sign = 1.0 if self.churn_column == 1 else -1.0
        return compute_contributions(
            lambda x: sign * self.estimator.decision_function(x), matrix, self.contract.reference
        )


def load_model(contract: ServedModel, content: bytes) -> LoadedModel:
    """The model in ``content``, as far as the contract vouches for it; warm: its first request is as quick as any.

    Raises:
        UnusableModelError: The file is not the one the contract was written for, holds types that are not trusted, is
            no classifier of two classes on the contract's inputs, or scores an example otherwise than in training.
    """
    about = f"model version {contract.model_version}"
    digest = hashlib.sha256(content).hexdigest()
    if digest != contract.model_sha256:
        raise UnusableModelError(
            f"The model file's SHA-256 is {digest[:12]}, but the contract of version {contract.model_version} "
            f"names {contract.model_sha256[:12]}: the file was changed or damaged.",
            PACKAGE_AGAIN,
        )
    estimator = _read(content, about)
    column = _churn_column(getattr(estimator, "classes_", []), about)
    fitted = getattr(getattr(estimator, "classifier", estimator), "n_features_in_", None)
    if fitted is not None and fitted != len(contract.inputs):
        raise UnusableModelError(
            f"The file of {about} reads {fitted} inputs, its contract names {len(contract.inputs)}."
        )
    if not contract.examples:
        raise UnusableModelError(f"The contract of {about} has no examples to check its scores by.", PACKAGE_AGAIN)
    examples = np.array([example.inputs for example in contract.examples], dtype=np.float64)
    with _any_failure(f"The file of {about} cannot score its examples."):
        model = LoadedModel(contract, estimator, column, *_compiled(estimator, examples))
        _require_scores(model, examples)
        _warm(model, examples)
    return model


def _read(content: bytes, about: str) -> Any:
    from skops.io import loads
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        with _any_failure(f"The file of {about} cannot be read."):
            return loads(content, trusted=TRUSTED_TYPES)
    except UntrustedTypesFoundException as error:
        raise UnusableModelError(
            f"The file of {about} holds types that are not trusted; it was not loaded.", str(error)
        ) from error


def _churn_column(classes: Sequence[Any], about: str) -> int:
    if len(classes) != 2 or True not in list(classes):
        raise UnusableModelError(f"The file of {about} is no classifier of two classes, one of them churn (True or 1).")
    return list(classes).index(True)


def _compiled(estimator: Any, examples: Floats) -> tuple[CompiledScorer | None, str]:
    scorer = CompiledScorer.from_estimator(estimator, examples.shape[1])
    try:
        if scorer is not None:
            verify_scorer(estimator, scorer, examples)
    except ScorerMismatchError as error:
        return None, str(error)
    return scorer, ""


def _require_scores(model: LoadedModel, examples: Floats) -> None:
    version = model.contract.model_version
    found = model.churn_probabilities(examples).tolist()
    for number, (example, score) in enumerate(zip(model.contract.examples, found, strict=True)):
        if not abs(score - example.churn_probability) <= _TOLERANCE:
            raise UnusableModelError(
                f"Model version {version} scores its example {number} with {score!r}; in training it was "
                f"{example.churn_probability!r}.",
                _TRAIN_AGAIN,
            )


def _warm(model: LoadedModel, examples: Floats) -> None:
    """Let all be imported, compiled and cached that a request would wait for."""
    for rows in (1, 1, _WARM_ROWS):
        model.churn_probabilities(np.resize(examples, (rows, examples.shape[1])))
    with suppress(NotAdditiveError):
        model.contributions(examples[:1])


@contextmanager
def _any_failure(means: str) -> Iterator[None]:
    """A file may be damaged in as many ways as there are errors."""
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        yield
    except (UnusableModelError, UntrustedTypesFoundException):
        raise
    except Exception as error:
        raise UnusableModelError(means, f"{type(error).__name__}: {error}") from error
