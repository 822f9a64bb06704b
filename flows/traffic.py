"""Traffic: try the challenger out beside the champion. `python -m flows.traffic canary --share 0.05`"""

import getpass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Literal

from prefect import flow
from prefect.artifacts import create_markdown_artifact

from feature_repo.settings import Settings
from flows import configure
from flows._tasks import task
from flows.model_card import refresh_model_cards
from holdfast.models.contract import MODEL_NAME
from holdfast.models.registered_version import Traffic

if TYPE_CHECKING:
    from holdfast.promotion.challenger_traffic import TrafficChange


@task(name="send traffic")
def send_task(settings: Settings, version: str | None, traffic: Traffic, who: str) -> "TrafficChange":
    """Say it on the version."""
    from holdfast.model_versions.aliases import open_registry
    from holdfast.promotion.challenger_traffic import set_traffic

    sent = set_traffic(open_registry(settings), settings, version, traffic, who, datetime.now(UTC))
    create_markdown_artifact(_told(sent), key="traffic", description=f"{MODEL_NAME}: what the challenger gets")
    return sent


@flow(name="traffic", flow_run_name="traffic: {mode}", persist_result=False)
def traffic(
    mode: Literal["shadow", "canary", "off"],
    version: str | None = None,
    share: float | None = None,
    who: str | None = None,
) -> "TrafficChange":
    """Say what the challenger gets to score; running services follow within seconds.

    shadow: every request, unseen and logged. canary: the requests of a share of the customers, always the same ones.
    off: nothing.

    Args:
        mode: shadow, canary or off.
        version: The challenger's number; the challenger when left out.
        share: Of the customers, for a canary: above 0, at most 0.5; 0.05 when left out.
        who: Who says so; the user of this machine when left out.
    """
    from holdfast.promotion.challenger_traffic import build_traffic

    settings = configure()
    sent = send_task(settings, version, build_traffic(mode, share), who or getpass.getuser())
    if sent.changed and sent.version:
        refresh_model_cards(settings, sent.version)
    return sent


def _told(sent: "TrafficChange") -> str:
    if sent.version is None:
        return "There is no challenger: nobody gets traffic beside the champion, as before."
    share = f" of {sent.traffic.share:.1%} of the customers" if sent.traffic.mode == "canary" else ""
    gets = {"shadow": "scores in shadow", "canary": f"answers the requests{share}", "off": "gets no traffic"}
    return f"Version {sent.version} {gets[sent.traffic.mode]}{'' if sent.changed else ', as before'}."


def _show(sent: "TrafficChange") -> None:
    from rich.console import Console

    Console(highlight=False, soft_wrap=True).print(_told(sent), markup=False)


if __name__ == "__main__":
    from flows._cli import run_flow

    run_flow(traffic, show=_show)
