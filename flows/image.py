"""Container image of the latest bento. `python -m flows.image --engine podman`."""

from typing import TYPE_CHECKING, Literal

from prefect import flow

from feature_repo.settings import Settings
from flows import configure
from flows._artifacts import publish_table
from flows._cli import run_flow
from flows._tasks import task

if TYPE_CHECKING:
    from holdfast.container_image.build import BuiltImage


@task(name="build and check contents")
def build_image_task(settings: Settings, name: str | None, engine: str | None, base_image: str | None) -> "BuiltImage":
    """Build the image as `make image` does. This may take minutes; the engine's output is in the worker's log."""
    from holdfast.container_image.build import build_latest

    built = build_latest(settings, name, engine, base_image)
    sizes = sorted(built.megabytes.items())
    publish_table(
        [{"image": built.name} | {f"/{folder}": f"{size:.0f} MB" for folder, size in sizes if size >= 1}],
        key="image",
        description="Size of the container image by folder, unpacked",
    )
    return built


@flow(name="image", flow_run_name="image", persist_result=False)
def image(
    name: str | None = None, engine: Literal["docker", "podman"] | None = None, base_image: str | None = None
) -> str:
    """Build the container image of the latest bento, check its contents and return its name.

    Args:
        name: name:tag of the image; the bento's when left out.
        engine: docker or podman; the first that is available when left out.
        base_image: A Debian image with Python 3.11 and pip; the one of bentofile.yaml when left out.
    """
    return build_image_task(configure(), name, engine, base_image).name


if __name__ == "__main__":
    run_flow(image)
