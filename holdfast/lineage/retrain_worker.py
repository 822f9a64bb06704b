"""Makes a model version again, in this process: `python -m holdfast.lineage.retrain_worker FOLDER`

FOLDER holds the lineage and the recipe; HOLDFAST_DATA names a data folder that holds the batches of the lineage and
nothing else. No model registry is opened: this process does not know one.
"""

import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from pydantic import TypeAdapter

from feature_repo.settings import Settings, load_settings
from holdfast.core.errors import HoldfastError
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.feast_registry import apply_definitions
from holdfast.models.fingerprint import fingerprint
from holdfast.training.dataset import build_training_set
from holdfast.training.fitting import fit_recipe, predict_churn
from holdfast.training.lineage import LINEAGE, Lineage, build_lineage
from holdfast.training.numeric_environment import NUMERIC_ENVIRONMENT, current_numeric_environment
from holdfast.training.recipe import RECIPE_FILE, Recipe
from holdfast.training.settings import TrainingSettings

RECORDED_FILE = "lineage.json"
CURRENT_FILE, ARITHMETIC_FILE = "here.json", "arithmetic.json"
DIGESTS_FILE, SCORES_FILE, REFUSAL_FILE = "digests.json", "scores.parquet", "refusal.txt"


@dataclass(frozen=True)
class RetrainedModel:
    """``digests`` as in a recipe; ``scores``: customer_id, cutoff, churned and "model" of every test row."""

    digests: dict[str, dict[str, str]]
    scores: pd.DataFrame


def current_lineage(settings: Settings, recorded: Lineage) -> Lineage:
    """The lineage that training at the recorded times would have by this checkout, on the present data folder.

    The definitions are applied to the registry of that folder.
    """
    apply_definitions(open_store())
    definition = fingerprint(open_store(), settings.horizon_days, settings.activity_days)
    return build_lineage(settings, TrainingSettings(), definition, recorded.as_of, recorded.known_at)


def retrain(settings: Settings, recorded: Lineage, recipe: Recipe, say: Callable[[str], object]) -> RetrainedModel:
    """Build the features of every cut-off, join, fit, and score the test rows.

    Raises:
        HoldfastError: The batches do not give a training set.
    """
    cutoffs = sorted({*recipe.development, *recipe.test})
    data = build_training_set(settings, cutoffs, recorded.as_of, recorded.known_at, say)
    development, test = data.at_cutoffs(recipe.development), data.at_cutoffs(recipe.test)
    say(f"fitting {recipe.family} on {len(development.y):,} rows")
    scores = predict_churn(fit_recipe(recipe, data), test.x)
    return RetrainedModel(
        {"development": development.digests(), "test": test.digests()},
        test.keys.assign(churned=test.y, model=scores),
    )


def main(folder: Path) -> None:
    """Leave what was made, or why it could not be, as files in ``folder``; tell the progress on standard output."""
    settings = load_settings()
    recorded = LINEAGE.validate_json((folder / RECORDED_FILE).read_bytes())
    recipe = Recipe.model_validate_json((folder / RECIPE_FILE).read_bytes())
    _say("reading the definitions")
    present = current_lineage(settings, recorded)
    (folder / CURRENT_FILE).write_bytes(LINEAGE.dump_json(present))
    (folder / ARITHMETIC_FILE).write_bytes(NUMERIC_ENVIRONMENT.dump_json(current_numeric_environment()))
    if present.fingerprint != recorded.fingerprint:
        return  # other features: whatever is trained on them is another model
    try:
        made = retrain(settings, recorded, recipe, _say)
    except HoldfastError as error:
        (folder / REFUSAL_FILE).write_text(str(error))
        return
    made.scores.to_parquet(folder / SCORES_FILE, index=False)
    (folder / DIGESTS_FILE).write_bytes(TypeAdapter(dict[str, dict[str, str]]).dump_json(made.digests))


def _say(doing: str) -> None:
    sys.stdout.write(f"{doing}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
