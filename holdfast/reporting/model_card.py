"""Model card: one page about purpose, performance, limits and approval of a version."""

from dataclasses import dataclass, field, replace

from mlflow.utils.file_utils import local_file_uri_to_path

from feature_repo.settings import Settings
from holdfast.core.errors import HoldfastError
from holdfast.lineage.version_history import load_version_history
from holdfast.models.declaration import model_option
from holdfast.reporting.model_card_facts import build_card_context
from holdfast.reporting.model_card_render import render_html, render_markdown
from holdfast.training.evaluation_report import EVALUATION_FILE
from holdfast.training.mlflow_client import ModelClient
from holdfast.training.recipe import RECIPE_FILE
from holdfast.training.run_artifacts import read_files

PLOTS = ("test_curves", "test_months", "reliability", "profit", "importance", "deciles")
_MARKDOWN_FILE, _HTML_FILE = "model_card.md", "model_card.html"


class NoEvaluationError(HoldfastError):
    """The version has no recorded evaluation."""


@dataclass(frozen=True)
class ModelCard:
    """Card of a version, and the MLflow run that stores it.

    Attributes:
        files: Names of the card's artifacts: Markdown, HTML.
        folder: Folder or address of the artifacts; "" until the card is stored.
    """

    model_name: str
    version: str
    run_id: str
    markdown: str = field(repr=False)
    files: tuple[str, str] = (_MARKDOWN_FILE, _HTML_FILE)
    folder: str = ""

    def summary(self) -> str:
        """Describe where the card is.

        Returns:
            A line for the terminal.
        """
        return f"Model card of version {self.version}: {self.folder}/{self.files[1]}"


def build_model_card(client: ModelClient, settings: Settings, version: str) -> ModelCard:
    """Render the card of a version. The same records give the same text.

    Args:
        client: Client of the registry.
        settings: Name the folder of batches.
        version: Number, ``champion`` or ``challenger``.

    Returns:
        The card.

    Raises:
        UnknownVersionError: The version does not exist.
        RunUnavailableError, NoLineageError, NoEvaluationError: A record is missing.
    """
    history = load_version_history(client, settings, version)
    if history.evaluation is None or history.recipe is None:
        raise NoEvaluationError(
            f"{client.model_name} version {history.version}, MLflow run {history.run_id}, has no {EVALUATION_FILE} or "
            f"no {RECIPE_FILE}, which a model card needs. Train again with "
            f"`python -m flows.train{model_option(client.model_name)}`."
        )
    files = read_files(client, history.run_id, [f"{name}.png" for name in PLOTS])
    plots = {name.removesuffix(".png"): content for name, content in files.items()}
    markdown = render_markdown(build_card_context(history, history.evaluation, history.recipe), plots)
    return ModelCard(client.model_name, history.version, history.run_id, markdown)


def publish_model_card(client: ModelClient, settings: Settings, version: str) -> ModelCard:
    """Render the current card, and store it in the run of the version as Markdown and HTML.

    Args:
        client: Client of the registry.
        settings: Name the folder of batches.
        version: Number, ``champion`` or ``challenger``.

    Returns:
        The card.

    Raises:
        UnknownVersionError: The version does not exist.
        RunUnavailableError, NoLineageError, NoEvaluationError: A record is missing.
    """
    card = build_model_card(client, settings, version)
    client.log_text(card.run_id, card.markdown, _MARKDOWN_FILE)
    client.log_text(card.run_id, render_html(card.markdown, f"{client.model_name} version {card.version}"), _HTML_FILE)
    uri = str(client.get_run(card.run_id).info.artifact_uri)
    return replace(card, folder=local_file_uri_to_path(uri) if uri.startswith("file:") else uri)
