"""The model card: one page that tells what a version is for, how good it is, where it fails and who approved it."""

from dataclasses import dataclass

from mlflow import MlflowClient

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.lineage.version_history import load_version_history
from holdfast.model_versions.aliases import open_registry
from holdfast.models.contract import MODEL_NAME
from holdfast.reporting.model_card_facts import build_card_context
from holdfast.reporting.model_card_render import render_html, render_markdown
from holdfast.runtime.run_artifacts import read_files
from holdfast.training.evaluation_report import EVALUATION_FILE
from holdfast.training.recipe import RECIPE_FILE

PLOTS = ("test_curves", "test_months", "reliability", "profit", "importance")
MARKDOWN_FILE, HTML_FILE = "model_card.md", "model_card.html"


class NoEvaluationError(HoldfastError):
    """Nothing is recorded that a card could tell."""


@dataclass(frozen=True)
class ModelCard:
    """The card of a version, as it stands in its run."""

    version: str
    run_id: str
    markdown: str


def build_model_card(client: MlflowClient, settings: Settings, version: str) -> ModelCard:
    """Write the card of a version: a number, ``champion`` or ``challenger``. The same facts give the same text.

    Raises:
        UnknownVersionError: There is none.
        RunUnavailableError, NoLineageError, NoEvaluationError: Too little is recorded.
    """
    history = load_version_history(client, settings, version)
    if history.evaluation is None or history.recipe is None:
        raise NoEvaluationError(
            f"{MODEL_NAME} version {history.version}, MLflow run {history.run_id}, has no {EVALUATION_FILE} or no "
            f"{RECIPE_FILE}: there is nothing to tell. Train again with `python -m flows.train`."
        )
    files = read_files(client, history.run_id, [f"{name}.png" for name in PLOTS])
    pictures = {name.removesuffix(".png"): content for name, content in files.items()}
    markdown = render_markdown(build_card_context(history, history.evaluation, history.recipe), pictures)
    return ModelCard(history.version, history.run_id, markdown)


def publish_model_card(settings: Settings, version: str) -> ModelCard:
    """Write the card as it is now, and put it into the run of its version as Markdown and as a page.

    Raises:
        UnknownVersionError, RunUnavailableError, NoLineageError, NoEvaluationError: As ``model_card``.
    """
    client = open_registry(settings)
    card = build_model_card(client, settings, version)
    client.log_text(card.run_id, card.markdown, MARKDOWN_FILE)
    client.log_text(card.run_id, render_html(card.markdown, f"{MODEL_NAME} version {card.version}"), HTML_FILE)
    return card
