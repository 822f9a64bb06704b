"""Model loaded from a file and verified by SHA-256 and example scores, for the service and for batches."""

import hashlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
from typing_extensions import override

from holdfast.core.errors import HoldfastError
from holdfast.core.types import Bools, Floats
from holdfast.models.compiled_scorer import CompiledScorer, ScorerMismatchError, verify_scorer
from holdfast.models.contract import TRUSTED_TYPES, ServedModel
from holdfast.models.contributions import Contributions, NotAdditiveError, compute_contributions
from holdfast.models.loaded_version import LoadedVersion
from holdfast.models.purchase_models import extract_purchase_model
from holdfast.models.remedies import PACKAGE_AGAIN, SAME_ENVIRONMENT
from holdfast.models.tree_checks import require_safe_trees

_TOLERANCE = 1e-12
_WARM_ROWS = 100


class UnusableModelError(HoldfastError):
    """Model file that does not match its contract.

    Args:
        message: Problem, for callers of the service.
        remedy: Remedy, for operators only.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        super().__init__(f"{message} {remedy}".strip())
        self.message = message
        self.remedy = remedy


@dataclass(frozen=True, eq=False)
class LoadedModel(LoadedVersion):
    """Fitted binary classifier with its contract.

    Attributes:
        churn_column: Column of churn in the classifier's probabilities.
        scorer: Compiled scorer with the same scores; None if the model is not supported.
    """

    churn_column: int
    scorer: CompiledScorer | None = None

    @override
    def predict(self, matrix: Floats) -> Floats:
        """Compute churn probabilities."""
        return self.churn_probabilities(matrix)

    @override
    def are_valid(self, predictions: Floats) -> Bools:
        """Check that predictions are probabilities; NaN is none."""
        return (predictions >= 0) & (predictions <= 1)

    def churn_probabilities(self, matrix: Floats) -> Floats:
        """Compute churn probabilities.

        Args:
            matrix: Inputs as ``input_matrix`` returns them, shape (rows, inputs).

        Returns:
            Probabilities, shape (rows,).
        """
        if self.scorer is not None:
            return self.scorer.probabilities(matrix)
        probabilities: Floats = self.estimator.predict_proba(matrix)[:, self.churn_column]
        return probabilities

    def contributions(self, matrix: Floats) -> Contributions:
        """Compute the contribution of each input to the log-odds of churn before calibration.

        With a ``scorer``, contributions and probability of a row have the same bits in every batch.

        Args:
            matrix: Inputs as ``input_matrix`` returns them, shape (rows, inputs).

        Returns:
            The contributions.

        Raises:
            NotAdditiveError: The model is not additive.
        """
        if self.scorer is not None:
            return self.scorer.contributions(matrix, self.contract.reference)
        if not hasattr(self.estimator, "decision_function"):
            raise NotAdditiveError("The model has no decision_function, so it has no log-odds to explain.")
        sign = 1.0 if self.churn_column == 1 else -1.0
        model = extract_purchase_model(getattr(self.estimator, "classifier", self.estimator))
        return compute_contributions(
            lambda x: sign * self.estimator.decision_function(x),
            matrix,
            self.contract.reference,
            interacting=model.columns if model else (),
        )


def load_verified_model(contract: ServedModel, content: bytes) -> LoadedModel:
    """Load a model, verify it against its contract, and warm it up: its first request is as fast as later ones.

    Args:
        contract: Contract of the version.
        content: Content of the model file.

    Returns:
        The model.

    Raises:
        UnusableModelError: The file has another SHA-256, contains types that are not trusted, is not a classifier of
            two classes on the contract's inputs, or scores an example differently than in training.
    """
    about = f"model version {contract.model_version}"
    require_registered_file(contract, content)
    estimator = read_estimator(content, about)
    column = _churn_column(getattr(estimator, "classes_", []), about)
    fitted = getattr(getattr(estimator, "classifier", estimator), "n_features_in_", None)
    if fitted is not None and fitted != len(contract.inputs):
        raise UnusableModelError(f"The file of {about} has {fitted} inputs, its contract has {len(contract.inputs)}.")
    if not contract.examples:
        raise UnusableModelError(f"The contract of {about} has no examples to verify its scores.", PACKAGE_AGAIN)
    examples = np.array([example.inputs for example in contract.examples], dtype=np.float64)
    with failures_as_unusable(f"The file of {about} cannot score its examples."):
        scorer, mismatch = _compile_scorer(estimator, examples)
        model = LoadedModel(contract, estimator, column, scorer, mismatch=mismatch)
        _require_example_scores(model, examples)
        _warm_up(model, examples)
    return model


def require_registered_file(contract: ServedModel, content: bytes) -> None:
    """Require the SHA-256 of the contract.

    Args:
        contract: Contract of the version.
        content: Content of the model file.

    Raises:
        UnusableModelError: The file has another SHA-256.
    """
    digest = hashlib.sha256(content).hexdigest()
    if digest != contract.model_sha256:
        raise UnusableModelError(
            f"The model file's SHA-256 is {digest[:12]}, but the contract of version {contract.model_version} "
            f"has {contract.model_sha256[:12]}: the file was changed or damaged.",
            PACKAGE_AGAIN,
        )


def read_estimator(content: bytes, about: str) -> Any:
    """Read a model file that contains trusted types only.

    Args:
        content: Content of the file.
        about: Name of the version, for the error.

    Returns:
        The estimator.

    Raises:
        UnusableModelError: The file cannot be read, or contains other types.
    """
    from skops.io import loads
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        with failures_as_unusable(f"The file of {about} cannot be read."):
            estimator = loads(content, trusted=TRUSTED_TYPES)
            require_safe_trees(estimator)
            return estimator
    except UntrustedTypesFoundException as error:
        raise UnusableModelError(
            f"The file of {about} contains types that are not trusted; it was not loaded.", str(error)
        ) from error


def _churn_column(classes: Sequence[Any], about: str) -> int:
    if len(classes) != 2 or True not in list(classes):
        raise UnusableModelError(
            f"The file of {about} is not a classifier of two classes, one of them churn (True or 1)."
        )
    return list(classes).index(True)


def _compile_scorer(estimator: Any, examples: Floats) -> tuple[CompiledScorer | None, str]:
    scorer = CompiledScorer.from_estimator(estimator, examples.shape[1])
    try:
        if scorer is not None:
            verify_scorer(estimator, scorer, examples)
    except ScorerMismatchError as error:
        return None, str(error)
    return scorer, ""


def _require_example_scores(model: LoadedModel, examples: Floats) -> None:
    version = model.contract.model_version
    found = model.churn_probabilities(examples).tolist()
    for number, (example, score) in enumerate(zip(model.contract.examples, found, strict=True)):
        if not abs(score - example.churn_probability) <= _TOLERANCE:
            raise UnusableModelError(
                f"Model version {version} scores its example {number} with {score!r}; in training it was "
                f"{example.churn_probability!r}.",
                SAME_ENVIRONMENT,
            )


def _warm_up(model: LoadedModel, examples: Floats) -> None:
    """Score and explain rows, so that no request waits for imports and caches."""
    for rows in (1, 1, _WARM_ROWS):
        model.churn_probabilities(np.resize(examples, (rows, examples.shape[1])))
    with suppress(NotAdditiveError):
        model.contributions(examples[:1])


@contextmanager
def failures_as_unusable(message: str) -> Iterator[None]:
    """Convert any error: a damaged file can raise all kinds of errors.

    Args:
        message: Problem, for callers of the service.

    Yields:
        Nothing.
    """
    from skops.io.exceptions import UntrustedTypesFoundException

    try:
        yield
    except (UnusableModelError, UntrustedTypesFoundException):
        raise
    except Exception as error:
        raise UnusableModelError(message, f"{type(error).__name__}: {error}") from error
