"""What a version was trained on, to hold the present against."""

from datetime import datetime

from mlflow import MlflowClient

from feature_repo.model_contract import MODEL_NAME
from feature_repo.settings import Settings
from flows.run_files import read_file
from flows.training.dataset import TrainingSet, build_and_assemble
from flows.training.recipe import RECIPE_FILE, Recipe


def training_rows(client: MlflowClient, settings: Settings, version: str) -> TrainingSet:
    """The rows that a version was fitted on, joined again as known at its training.

    Feast's registry must hold the definitions it was trained on: its input order is theirs.
    """
    registered = client.get_model_version(MODEL_NAME, version)
    recipe = Recipe.model_validate_json(read_file(client, str(registered.run_id), RECIPE_FILE))
    as_of, known_at = (datetime.fromisoformat(registered.tags[f"holdfast.{name}"]) for name in ("as_of", "known_at"))
    return build_and_assemble(settings, recipe.development, as_of, known_at)
