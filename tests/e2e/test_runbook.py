"""docs/runbook.md: an entry for every alert, and commands that do what it says."""

import re
import shutil
import subprocess
from datetime import UTC, datetime
from typing import get_args

import pytest

from feature_repo.settings import Settings
from holdfast.alerting.links import runbook_entry_url
from holdfast.models.contract import CHAMPION, MODEL_NAME
from holdfast.monitoring.findings import EventName
from tests.e2e.test_commands import NOISE, assert_command_exists
from tests.support.main_job import ROOT, MainJob
from tests.support.readme import blocks, local_links, module_commands
from tests.support.small_shop import prefect_api, use_data_folder

RUNBOOK = ROOT / "docs" / "runbook.md"
TEXT = RUNBOOK.read_text()
SECTIONS = dict(re.findall(r"^## (holdfast .+)\n((?:(?!^## ).*\n?)*)", TEXT, re.MULTILINE))
RECORDS = ("holdfast.gates", "holdfast.promotion", "holdfast.events", "holdfast.approval", "holdfast.rollback")
BLOCKS = [block for block in blocks(TEXT) if block.info == "bash"]


def alerted() -> set[str]:
    """Every event that the product raises an alert about."""
    files = [file for folder in ("flows", "holdfast") for file in (ROOT / folder).rglob("*.py")]
    source = "\n".join(file.read_text() for file in files)
    return set(get_args(EventName)) | set(
        re.findall(r'"(holdfast\.(?:run|rollout|retraining)\.(?!done|promoted)\w+)"', source)
    )


def test_every_alert_has_an_entry_where_it_links_to() -> None:
    anchors = {section.replace(" ", "-") for section in SECTIONS}
    assert {runbook_entry_url(event).partition("#")[2] for event in alerted()} == anchors


@pytest.mark.parametrize("section", SECTIONS)
def test_an_entry_says_what_it_means_and_how_to_see_mend_and_undo_it(section: str) -> None:
    for word in ("Means", "See", "Do", "Undo"):
        assert f"**{word}.**" in SECTIONS[section]


def test_every_alert_of_the_service_has_a_line() -> None:
    rules = (ROOT / "deploy" / "prometheus" / "holdfast.rules.yml").read_text()
    assert set(re.findall(r"alert: (\w+)", rules)) == set(re.findall(r"^\| `(Holdfast\w+)`", TEXT, re.MULTILINE))


def test_links_lead_somewhere() -> None:
    assert [link for link in local_links(TEXT) if not (RUNBOOK.parent / link).exists()] == []
    anchors = {re.sub(r"[^\w -]", "", title).lower().replace(" ", "-") for title in re.findall(r"^## (.+)", TEXT, re.M)}
    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) <= anchors


@pytest.mark.parametrize("command", module_commands(TEXT), ids=" ".join)
def test_every_command_exists_with_its_options(command: tuple[str, str]) -> None:
    assert_command_exists(*command)


def promote_another(settings: Settings) -> None:
    """The champion's model once more, as version 2, which passed its gates and follows it."""
    from holdfast.model_versions.aliases import get_version, open_registry
    from holdfast.model_versions.records import GatesRecord
    from holdfast.promotion.champion_update import PromotionDecision, promote_champion

    client, now = open_registry(settings), datetime.now(UTC)
    first = get_version(client, "1")
    kept = {name: value for name, value in first.tags.items() if not name.startswith(RECORDS)}
    second = client.create_model_version(MODEL_NAME, first.source, first.run_id, tags=kept)
    verdict = GatesRecord(verdict="passed", champion="1", settings="", when=now, failed=[], key="planted")
    verdict.save(client, str(second.version))
    promote_champion(
        client, settings, str(second.version), PromotionDecision("auto", "a test", "to go back from", "planted"), now
    )


@pytest.fixture(scope="module")
def shop(main_job: MainJob, prefect_server: None, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The environment of a shop like the main job's, with a champion before the present one."""
    data = tmp_path_factory.mktemp("runbook") / "data"
    shutil.copytree(main_job.data, data, ignore=shutil.ignore_patterns("artifacts", "logs"))
    shutil.copytree(main_job.data / "mlflow", data / "mlflow", dirs_exist_ok=True)
    with use_data_folder(data) as settings:
        promote_another(settings)
    return main_job.environment | {"HOLDFAST_DATA": str(data), "PREFECT_API_URL": prefect_api()}


@pytest.mark.long
@pytest.mark.timeout(1500)  # with the main job, where nobody has made it yet
def test_its_commands_run_one_after_the_other(shop: dict[str, str]) -> None:
    """As they stand, in the order of the page."""
    assert len(BLOCKS) >= 10
    for block in BLOCKS:
        shell = ["bash", "-euo", "pipefail", "-c", 'eval "$(make -s env)"\n' + block.text]
        done = subprocess.run(shell, cwd=ROOT, env=shop, capture_output=True, text=True, timeout=300, check=False)
        said = done.stdout + done.stderr
        assert done.returncode == 0, f"{block.text}\n{said[-3000:]}"
        assert NOISE.findall(said) == [], said[-3000:]
        if "rollback" in block.text:
            champion = 2 if "--to 2" in block.text else 1
            assert f"{CHAMPION} is version {champion} again" in said
