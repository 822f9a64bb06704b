"""Bento of the champion. `python -m flows.package`."""

from pathlib import Path

from prefect import flow

from feature_repo.settings import Settings
from flows import configure
from flows._artifacts import publish_table
from flows._cli import run_flow
from flows._tasks import retry_on, task
from holdfast.models.contract import CHAMPION, ServedModel
from holdfast.models.registered_version import RegistryUnavailableError
from holdfast.models.registry_client import RegistryClient

_ROOT = Path(__file__).resolve().parents[1]


@task(
    name="champion",
    retries=2,
    retry_delay_seconds=[1, 5],
    retry_condition_fn=retry_on(RegistryUnavailableError),
)
def download_champion_task(settings: Settings) -> tuple[ServedModel, bytes]:
    """Download the champion; repeated where the registry does not respond, not where it has no champion."""
    return RegistryClient(settings.mlflow_tracking_uri).download_by_alias(CHAMPION)


@task(task_run_name="save model v{served.model_version}")
def save_model_task(settings: Settings, served: ServedModel, content: bytes) -> str:
    """Save model and contract in BentoML's model store."""
    from holdfast.packaging.bento_stores import save_served_model

    return str(save_served_model(settings, served, content))


@task(task_run_name="build bento with {model_tag}")
def build_bento_task(settings: Settings, model_tag: str) -> str:
    """Build the bento, or find an existing one with the same content."""
    from bentoml import Tag

    from holdfast.packaging.bento import bento_size, build_bento

    tag = build_bento(_ROOT, settings, Tag.from_str(model_tag))
    publish_table(
        [
            {
                "bento": str(tag),
                "model": model_tag,
                "size": f"{bento_size(settings, tag) / 1e6:.1f} MB",
                "serve it": f'eval "$(make -s env)"; bentoml serve {tag} --host 127.0.0.1',
            }
        ],
        key="bento",
        description="The champion, ready to serve",
    )
    return str(tag)


@flow(name="package", flow_run_name="package", persist_result=False)
def package() -> str:
    """Build a bento with the champion and return its tag; without changes, return the tag of the existing bento."""
    settings = configure()
    served, content = download_champion_task(settings)
    model_tag = save_model_task(settings, served, content)
    return build_bento_task(settings, model_tag)


if __name__ == "__main__":
    run_flow(package)
