"""End-to-end test of README's changes of a feature, and of a new model, in a copy of the checkout with a small shop."""

import json
import shutil
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

import pytest

from tests.support.main_job import ROOT, environment_of, run
from tests.support.readme import COMMAND_NOISE, bash_blocks
from tests.support.small_shop import AS_OF, copy_shop, transactions

_READ = """
import json
from holdfast.models.contract import model_inputs
from holdfast.models.registered_version import RegisteredVersion
from feature_repo.settings import Settings
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.parity import load_parity
from holdfast.model_versions.aliases import get_version
from holdfast.training.mlflow_client import open_registry

settings = Settings.from_environment()
versions = [get_version(open_registry(settings, *model), None) for model in ([], ["holdfast-spend_linear"])]
contract = RegisteredVersion(str(versions[0].version), versions[0].tags).contract()
print(json.dumps({
    "names": [version.name for version in versions],
    "model": contract.inputs,
    "categories": contract.categories["country"].known,
    "service": [feature.name for feature in model_inputs(open_store())],
    "mismatches": load_parity(settings, contract.definitions).mismatches,
}))
"""


pytestmark = [pytest.mark.long, pytest.mark.timeout(1200)]


@dataclass(frozen=True)
class Checkout:
    """Copy of the tracked files, and the output of each block."""

    outputs: list[str]
    found: dict[str, Any]
    plan: str


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """Run the blocks in their order, as a user who has an export with purchases and countries."""
    folder = tmp_path_factory.mktemp("new-feature")
    copy = folder / "checkout"
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    rows = [
        f"{row.customer_id},{row.event_timestamp.isoformat()},{'France' if row.customer_id[-1] < '5' else 'Spain'}"
        for row in transactions()
    ]
    (copy / "export.csv").write_text("\n".join(["Customer ID,InvoiceDate,Country", *rows]) + "\n")
    environment = environment_of(copy_shop(folder))
    environment |= {"PYTHONPATH": str(copy), "HOLDFAST_CLOCK": AS_OF.isoformat()}
    run([sys.executable, "-m", "flows.features"], environment, ROOT)  # before the changes
    blocks = bash_blocks(edits_checkout=True)
    outputs = [run(["bash", "-euo", "pipefail", "-c", block.text], environment, copy, timeout=900) for block in blocks]
    plan = run(["feast", "-c", "feature_repo", "plan"], environment, copy)
    found = json.loads(run([sys.executable, "-c", _READ], environment, copy).splitlines()[-1])
    return Checkout(outputs, found, plan)


def test_changed_window_is_planned(checkout: Checkout) -> None:
    assert "+            ) - INTERVAL '210' DAY" in checkout.outputs[0]


def test_new_feature_is_in_store_and_model(checkout: Checkout) -> None:
    assert "No changes" in checkout.plan, "the flow has applied the edits"
    assert "country" in checkout.found["service"]
    assert checkout.found["model"] == checkout.found["service"]
    assert checkout.found["categories"] == ["France", "Spain"]
    assert checkout.found["mismatches"] == 0


def test_new_model_is_registered(checkout: Checkout) -> None:
    assert checkout.found["names"] == ["holdfast-churn", "holdfast-spend_linear"]


def test_commands_print_no_warnings_of_libraries(checkout: Checkout) -> None:
    assert len(checkout.outputs) == 3
    assert [COMMAND_NOISE.findall(output) for output in checkout.outputs] == [[], [], []]
