"""Model card of a version. `python -m flows.model_card --version 3`."""

from typing import TYPE_CHECKING

from prefect import flow

from feature_repo.settings import Settings
from flows import configure
from flows._artifacts import publish_markdown
from flows._cli import run_flow
from flows._tasks import open_model_registry, task
from holdfast.models.contract import CHAMPION
from holdfast.models.declaration import CHURN

if TYPE_CHECKING:
    from holdfast.reporting.model_card import ModelCard


@task(task_run_name="model card of version {version}")
def model_card_task(settings: Settings, model: str, version: str) -> "ModelCard":
    """Write the card into the version's MLflow run, and publish it in the Prefect UI."""
    from holdfast.reporting.model_card import publish_model_card

    card = publish_model_card(open_model_registry(settings, model), settings, version)
    publish_markdown(card.markdown, key="model-card", description=f"{card.model_name} version {card.version}")
    return card


def refresh_model_cards(settings: Settings, *versions: str | None, model: str = CHURN) -> None:
    """Write the cards of versions whose state has changed.

    A card that cannot be written is a failed task in the Prefect UI; the run of the flow goes on.

    Args:
        settings: Data folder.
        versions: The versions; None is skipped.
        model: The model, as declared in feature_repo/models.
    """
    for version in filter(None, versions):
        model_card_task(settings, model, version, return_state=True)


@flow(name="model-card", flow_run_name="model card of version {version}", persist_result=False)
def model_card(version: str = CHAMPION, model: str = CHURN) -> "ModelCard":
    """Write the model card of a version from its current records.

    Args:
        version: A version number, champion or challenger.
        model: The model, as declared in feature_repo/models.
    """
    return model_card_task(configure(), model, version)


if __name__ == "__main__":
    run_flow(model_card)
