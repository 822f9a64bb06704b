"""Models that the service serves: those of ``feature_repo/models``, with churn first.

A declaration that cannot be read makes its model unavailable, and no other one.
"""

from dataclasses import dataclass
from functools import cache

from holdfast.core.model_names import CHURN, ModelKind, prediction_column
from holdfast.models.declaration import DeclarationError, list_models, load_declaration, registered_name


@dataclass(frozen=True)
class DeclaredModel:
    """Model that the service serves.

    Attributes:
        name: Name of the model.
        kind: Kind of the model, by which its predictions are named.
        description: Description of the model.
        problem: Why its declaration cannot be used; empty for a usable one.
    """

    name: str
    kind: ModelKind
    description: str = ""
    problem: str = ""

    @property
    def registered_name(self) -> str:
        """Return the name in the model registry and in BentoML's model store."""
        return registered_name(self.name)

    @property
    def column(self) -> str:
        """Return the name of the prediction."""
        return prediction_column(self.name, self.kind)


@cache
def declared_models() -> dict[str, DeclaredModel]:
    """List the models; churn is always one of them.

    Returns:
        Models by name, in the order in which they are read and scored.
    """
    names = [CHURN, *(name for name in list_models() if name != CHURN)]
    return {name: _load(name) for name in names}


def _load(name: str) -> DeclaredModel:
    try:
        declaration = load_declaration(name)
    except (DeclarationError, OSError) as error:
        kind: ModelKind = "classification" if name == CHURN else "regression"
        # /predict serves churn whatever its declaration is, which only training reads.
        return DeclaredModel(name, kind, problem="" if name == CHURN else str(error))
    if name == CHURN:
        return DeclaredModel(name, "classification", declaration.description)
    return DeclaredModel(name, declaration.kind, declaration.description)
