"""Worker that retrains a model version: `python -m holdfast.lineage.retrain_worker FOLDER`.

FOLDER has the lineage and the recipe; HOLDFAST_DATA names a data folder with only the batches of the lineage. The
worker opens no model registry.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter
from sklearn.base import BaseEstimator

from feature_repo.settings import Settings
from holdfast.core.definition_hashes import definitions_version
from holdfast.core.errors import HoldfastError
from holdfast.core.formatting import format_count
from holdfast.core.types import Floats
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.definition_versions import list_versions, open_version
from holdfast.feature_store.feast_registry import find_applied_version
from holdfast.models.declaration import load_declaration
from holdfast.models.fingerprint import fingerprint
from holdfast.training.dataset import build_training_set
from holdfast.training.fitting import fit_recipe, predict_churn
from holdfast.training.label_query import declared_label
from holdfast.training.lineage import LINEAGE, Lineage, build_lineage
from holdfast.training.recipe import RECIPE_FILE, SERVED, Recipe
from holdfast.training.regression.fitting import fit_regression_recipe, predict_values
from holdfast.training.settings import TrainingSettings

RECORDED_FILE, CURRENT_FILE = "lineage.json", "current_lineage.json"
DIGESTS_FILE, SCORES_FILE, ERROR_FILE = "digests.json", "scores.parquet", "error.txt"
DIGESTS = TypeAdapter(dict[str, dict[str, str]])
# Kind of the model to its functions: fit of a recipe on given cut-offs, and predictions.
_KINDS: dict[str, tuple[Callable[..., BaseEstimator], Callable[[BaseEstimator, Floats], Floats]]] = {
    "classification": (fit_recipe, predict_churn),
    "regression": (fit_regression_recipe, predict_values),
}


@dataclass(frozen=True)
class RetrainedModel:
    """Result of a retraining.

    Attributes:
        digests: SHA-256 of rows, labels and inputs by period, as in a recipe.
        scores: customer_id, cutoff, churned and "model" of every test row; after a refit also "served".
    """

    digests: dict[str, dict[str, str]]
    scores: pd.DataFrame


def current_lineage(settings: Settings, recorded: Lineage) -> Lineage:
    """Compute the lineage that this checkout would record for a training on the data folder.

    Args:
        settings: Name the data folder.
        recorded: Gives the model, ``as_of`` and ``known_at``.

    Returns:
        The lineage.
    """
    store = open_version(settings, find_recorded_definitions(settings, recorded))
    label = declared_label(settings, load_declaration(recorded.model).label)
    definition = fingerprint(store, label)
    return build_lineage(settings, TrainingSettings(), definition, recorded.as_of, recorded.known_at, recorded.model)


def find_recorded_definitions(settings: Settings, recorded: Lineage) -> str:
    """Find the feature definitions to retrain with: those recorded, or those of this checkout.

    Args:
        settings: Name the data folder.
        recorded: Gives the fingerprint of the definitions.

    Returns:
        Id of a registered version.
    """
    version = definitions_version(recorded.fingerprint)
    return version if version in list_versions(settings) else find_applied_version(settings, open_store())


def retrain_recipe(
    settings: Settings, recorded: Lineage, recipe: Recipe, report: Callable[[str], object]
) -> RetrainedModel:
    """Build the features of every cut-off, join, fit the tested and the shipped model, and score the test rows.

    Args:
        settings: Name the data folder.
        recorded: Gives the model, ``as_of`` and ``known_at``.
        recipe: Model that is fitted, and its cut-offs.
        report: Called with each line of progress.

    Returns:
        Digests of the data, and the test scores.

    Raises:
        HoldfastError: The batches do not give a training set.
    """
    cutoffs = sorted({*recipe.development, *recipe.test, *recipe.refit})
    definitions = find_recorded_definitions(settings, recorded)
    declaration = load_declaration(recorded.model)
    label = declared_label(settings, declaration.label)
    data = build_training_set(settings, definitions, cutoffs, recorded.as_of, recorded.known_at, report, label)
    fit, predict = _KINDS[declaration.kind]
    development, test = data.at_cutoffs(recipe.development), data.at_cutoffs(recipe.test)
    report(f"fitting {recipe.family} on {format_count(len(development.y), 'row')}")
    scores = test.keys.assign(churned=test.y, model=predict(fit(recipe, data), test.x))
    digests = {"development": development.digests(), "test": test.digests()}
    if recipe.refit:
        refit = data.at_cutoffs(recipe.refit)
        report(f"fitting {recipe.family} on {format_count(len(refit.y), 'row')}")
        digests["refit"] = refit.digests()
        scores[SERVED] = predict(fit(recipe, data, recipe.refit), test.x)
    return RetrainedModel(digests, scores)


def main(folder: Path) -> None:
    """Retrain, and write the result or the error as files; progress goes to standard output.

    Args:
        folder: Has the lineage and the recipe; receives the files.
    """
    settings = Settings.from_environment()
    recorded = LINEAGE.validate_json((folder / RECORDED_FILE).read_bytes())
    recipe = Recipe.model_validate_json((folder / RECIPE_FILE).read_bytes())
    _report("reading the definitions")
    current = current_lineage(settings, recorded)
    (folder / CURRENT_FILE).write_bytes(LINEAGE.dump_json(current))
    if current.fingerprint != recorded.fingerprint:
        return  # other definitions give another model
    try:
        model = retrain_recipe(settings, recorded, recipe, _report)
    except HoldfastError as error:
        (folder / ERROR_FILE).write_text(str(error))
        return
    model.scores.to_parquet(folder / SCORES_FILE, index=False)
    (folder / DIGESTS_FILE).write_bytes(DIGESTS.dump_json(model.digests))


def _report(progress: str) -> None:
    sys.stdout.write(f"{progress}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
