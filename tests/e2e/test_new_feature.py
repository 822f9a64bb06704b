"""End-to-end test of a new feature: three edits of the definitions."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.main_job import ROOT, environment_of, run
from tests.support.small_shop import AS_OF, KNOWN_AT, copy_shop

FEATURE = "largest_purchase"
EDITS = {
    "transformations.py": [
        ("gross=money.sum(where=bought),", "gross=money.sum(where=bought),\n        largest=money.max(where=bought),"),
        (
            'total_amount=totals.net.cast("float64"),',
            f'total_amount=totals.net.cast("float64"),\n        {FEATURE}=totals.largest.cast("float64"),',
        ),
    ],
    "feature_views.py": [
        (
            'Field(name="mean_purchase_amount",',
            f'Field(name="{FEATURE}", dtype=Float64, description="The largest purchase."),\n'
            '        Field(name="mean_purchase_amount",',
        )
    ],
    "feature_services.py": [('"total_amount", "mean', f'"total_amount", "{FEATURE}", "mean')],
}
_READ = """
import json
from holdfast.models.contract import CHAMPION, MODEL_NAME, model_inputs
from holdfast.models.registered_version import RegisteredVersion
from feature_repo.settings import Settings
from holdfast.feast_stores.open_store import open_store
from holdfast.feature_store.parity import load_parity
from holdfast.model_versions.aliases import get_version
from holdfast.training.mlflow_client import open_registry

settings = Settings.from_environment()
version = get_version(open_registry(settings), None)
contract = RegisteredVersion(str(version.version), version.tags).contract()
parity = load_parity(settings, contract.definitions)
print(json.dumps({
    "model": contract.inputs,
    "service": [feature.name for feature in model_inputs(open_store())],
    "mismatches": parity.mismatches,
}))
"""


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the tracked files, with the edits."""
    copy = tmp_path_factory.mktemp("new-feature")
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (ROOT / name).is_file():
            (copy / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, copy / name)
    for name, edits in EDITS.items():
        file = copy / "feature_repo" / name
        text = file.read_text()
        for old, new in edits:
            assert text.count(old) == 1, f"{name}: {old!r}"
            text = text.replace(old, new)
        file.write_text(text)
    return copy


@pytest.mark.long
def test_new_feature_three_edits_add_it_to_store_and_model(checkout: Path, tmp_path: Path) -> None:
    environment = environment_of(copy_shop(tmp_path)) | {"PYTHONPATH": str(checkout)}

    def flow(name: str, *options: str) -> None:
        times = ["--as-of", AS_OF.isoformat(), "--known-at", KNOWN_AT.isoformat()]
        run([sys.executable, "-m", f"flows.{name}", *times, *options], environment, checkout)

    flow("features")
    plan = run(["feast", "-c", "feature_repo", "plan"], environment, checkout)
    assert "No changes" in plan, plan  # the flow has applied the edits
    flow("train", "--training", json.dumps({"search": {"trials": 1}, "resamples": 50}))
    found = json.loads(run([sys.executable, "-c", _READ], environment, checkout).splitlines()[-1])
    assert FEATURE in found["service"]
    assert found["model"] == found["service"]
    assert found["mismatches"] == 0
