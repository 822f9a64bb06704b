"""Tests of docs/runbook.md: an entry for each alert, and commands that work."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from typing import get_args

import pytest

from feature_repo.settings import Settings
from holdfast.models.contract import CHAMPION, MODEL_NAME
from holdfast.monitoring.findings import EventName
from holdfast.runtime.endpoints import runbook_entry_url
from tests.support.main_job import ROOT, MainJob
from tests.support.readme import COMMAND_NOISE, assert_command_exists, local_links, module_commands, parse_blocks
from tests.support.small_shop import prefect_client, use_data_folder

RUNBOOK = ROOT / "docs" / "runbook.md"
TEXT = RUNBOOK.read_text()
SECTIONS = dict(re.findall(r"^## (holdfast .+)\n((?:(?!^## ).*\n?)*)", TEXT, re.MULTILINE))
RECORDS = ("holdfast.gates", "holdfast.promotion", "holdfast.events", "holdfast.approval", "holdfast.rollback")
BLOCKS = [block for block in parse_blocks(TEXT) if block.info == "bash"]


def _alert_events() -> set[str]:
    """Collect the events that raise an alert."""
    files = [file for folder in ("flows", "holdfast") for file in (ROOT / folder).rglob("*.py")]
    source = "\n".join(file.read_text() for file in files)
    return set(get_args(EventName)) | set(
        re.findall(r'"(holdfast\.(?:run|rollout|retraining)\.(?!done|promoted)\w+)"', source)
    )


def test_runbook_has_an_entry_for_every_alert_event() -> None:
    anchors = {section.replace(" ", "-") for section in SECTIONS}
    assert {runbook_entry_url(event).partition("#")[2] for event in _alert_events()} == anchors


@pytest.mark.parametrize("section", SECTIONS)
def test_runbook_entry_has_all_parts(section: str) -> None:
    for part in ("Means", "See", "Do", "Undo"):
        assert f"**{part}.**" in SECTIONS[section]


def test_runbook_has_a_line_for_every_prometheus_alert() -> None:
    rules = (ROOT / "deploy" / "prometheus" / "holdfast.rules.yml").read_text()
    assert set(re.findall(r"alert: (\w+)", rules)) == set(re.findall(r"^\| `(Holdfast\w+)`", TEXT, re.MULTILINE))


def test_runbook_links_refer_to_existing_files_and_sections() -> None:
    assert [link for link in local_links(TEXT) if not (RUNBOOK.parent / link).exists()] == []
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^## (.+)", TEXT, re.M)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= anchors


@pytest.mark.parametrize("command", module_commands(TEXT), ids=" ".join)
def test_runbook_command_exists_with_its_options(command: tuple[str, str]) -> None:
    assert_command_exists(*command)


def _promote_second_version(settings: Settings) -> None:
    """Register the champion's model again as version 2, with a passed verdict, and promote it."""
    from holdfast.model_versions.aliases import get_version
    from holdfast.model_versions.records import GatesRecord
    from holdfast.promotion.champion_update import PromotionDecision, promote_champion
    from holdfast.training.mlflow_client import open_registry

    client, now = open_registry(settings), datetime.now(UTC)
    first = get_version(client, "1")
    tags = {name: value for name, value in first.tags.items() if not name.startswith(RECORDS)}
    second = client.create_model_version(MODEL_NAME, first.source, first.run_id, tags=tags)
    verdict = GatesRecord(verdict="passed", champion="1", settings="", when=now, failed=[], key="test")
    verdict.save(client, str(second.version))
    promote_champion(
        client,
        settings,
        str(second.version),
        PromotionDecision("auto", "a test", "to roll back", "test", "program"),
        now,
    )


@pytest.fixture(scope="module")
def shop(main_job: MainJob, prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a copy of the main job's data with a previous champion."""
    data = tmp_path_factory.mktemp("runbook") / "data"
    shutil.copytree(main_job.data, data, ignore=shutil.ignore_patterns("artifacts", "logs"))
    shutil.copytree(main_job.data / "mlflow", data / "mlflow", dirs_exist_ok=True)
    with use_data_folder(data) as settings:
        _promote_second_version(settings)
    return main_job.environment | {"HOLDFAST_DATA": str(data), **prefect_client()}


@pytest.mark.long
@pytest.mark.timeout(1500)  # includes the main job when no other test has run it
def test_runbook_commands_succeed_in_the_order_of_the_page(shop: dict[str, str]) -> None:
    assert len(BLOCKS) >= 10
    for block in BLOCKS:
        shell = ["bash", "-euo", "pipefail", "-c", 'eval "$(make -s env)"\n' + block.text]
        done = subprocess.run(shell, cwd=ROOT, env=shop, capture_output=True, text=True, timeout=300, check=False)
        output = done.stdout + done.stderr
        assert done.returncode == 0, f"{block.text}\n{output[-3000:]}"
        assert COMMAND_NOISE.findall(output) == [], output[-3000:]
        if "rollback" in block.text:
            champion = 2 if "--to 2" in block.text else 1
            assert f"{CHAMPION} is version {champion} again" in output
