"""Tests of Feast's command line on this repository."""

import importlib
import json
import re
import shutil
import signal
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest

from holdfast.runtime.processes import free_port
from tests.support.main_job import ROOT, MainJob, environment_of, run
from tests.support.server_processes import running_server, wait_for_response

pytestmark = pytest.mark.long

REPO = ROOT / "feature_repo"
VIEWS = ["customer_purchase_history", "customer_purchase_rhythm", "customer_recent_activity"]
UNCHANGED = ["No changes to registry", "No changes to infrastructure"]


def feast(data: Path, *command: str, cwd: Path = ROOT, **variables: str) -> str:
    """What Feast's command prints, with the state in ``data``."""
    return run(["feast", *command], environment_of(data) | variables, cwd=cwd)


def reports_no_changes(printed: str) -> bool:
    return [line for line in printed.splitlines() if line.startswith("No changes")] == UNCHANGED and not re.search(
        "Created|Updated|Deleted", printed
    )


def online_rows(data: Path) -> dict[str, int]:
    """The number of values of each table in the online store."""
    with sqlite3.connect(f"file:{data / 'feast' / 'online_store.db'}?mode=ro", uri=True) as store:
        tables = [name for (name,) in store.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        return {table: store.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables}


@pytest.fixture(scope="module")
def output(main_job: MainJob, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What each command printed, by a name; two series at a time, because each command takes four seconds."""
    folder = tmp_path_factory.mktemp("feast")
    outputs: dict[str, Any] = {}

    def from_the_root_and_materialised() -> None:
        data = folder / "root"
        for view in VIEWS:
            (file,) = main_job.data.glob(f"snapshots/{view}/*/19980701T*/*.parquet")
            few = data / file.relative_to(main_job.data)
            few.parent.mkdir(parents=True)
            pq.write_table(pq.read_table(file).slice(0, 200), few)
        outputs["root, first"] = feast(data, "-c", "feature_repo", "apply")
        feast(data, "-c", "feature_repo", "materialize", "1998-07-01T00:00:00", "1998-07-01T00:00:00")
        outputs["rows materialised"] = online_rows(data)
        outputs["then inside"] = feast(data, "apply", cwd=REPO)
        outputs["rows after the second"] = online_rows(data)
        copied = Path(shutil.copytree(data, folder / "copied"))
        feast(copied, "-c", "feature_repo", "apply")
        outputs["rows after the copy's"] = online_rows(data)

    def inside() -> None:
        outputs["inside, first"] = feast(folder / "inside", "apply", cwd=REPO)
        outputs["then from the root"] = feast(folder / "inside", "-c", "feature_repo", "plan")

    def changed(file: str, old: str, new: str) -> Callable[[], None]:
        def plan() -> None:
            copy = Path(shutil.copytree(REPO, folder / f"changed-{file}" / "feature_repo"))
            source = (copy / file).read_text()
            assert old in source
            (copy / file).write_text(source.replace(old, new, 1))
            options = {"cwd": copy.parent, "PYTHONPATH": str(copy.parent)}
            outputs[file] = feast(main_job.data, "-c", "feature_repo", "plan", **options)  # type: ignore[arg-type]

        return plan

    def after_the_main_job() -> None:
        outputs["main job"] = feast(main_job.data, "-c", "feature_repo", "plan")

    registry = (main_job.data / "feast" / "registry.db").read_bytes()
    series = [
        from_the_root_and_materialised,
        inside,
        after_the_main_job,
        changed(
            "feature_views.py",
            'Field(name="max_gap_days"',
            'Field(name="median_gap_days", dtype=Float64),\n        Field(name="max_gap_days"',
        ),
        changed("transformations.py", "within(180, 90)", "within(200, 90)"),
    ]
    with ThreadPoolExecutor(2) as pool:
        for done in [pool.submit(commands) for commands in series]:
            done.result()
    assert (main_job.data / "feast" / "registry.db").read_bytes() == registry, "a plan changed the registry"
    return outputs


@pytest.mark.parametrize("where", ["root", "inside"])
def test_feast_apply_first_time_creates_all_objects(output: dict[str, str], where: str) -> None:
    lines = output[f"{where}, first"].splitlines()
    for created in [
        "Created project holdfast",
        "Created entity customer",
        *(f"Created feature view {view}" for view in VIEWS),
        "Created on demand feature view customer_request_time",
        "Created feature service churn_v1",
        *(f"Created sqlite table holdfast_{view}" for view in VIEWS),
    ]:
        assert created in lines


def test_feast_plan_from_root_equals_plan_from_folder(output: dict[str, str]) -> None:
    assert reports_no_changes(output["then from the root"]), output["then from the root"]


def test_feast_apply_again_after_materialization_changes_nothing(output: dict[str, Any]) -> None:
    assert reports_no_changes(output["then inside"]), output["then inside"]
    assert set(output["rows materialised"]) == {f"holdfast_{view}" for view in VIEWS}
    assert all(rows % 200 == 0 and rows > 0 for rows in output["rows materialised"].values())
    assert output["rows after the second"] == output["rows materialised"]


def test_feast_plan_after_main_job_has_no_changes(output: dict[str, str]) -> None:
    assert reports_no_changes(output["main job"]), output["main job"]


def test_feast_apply_in_copied_data_folder_does_not_change_original(output: dict[str, Any]) -> None:
    assert output["rows after the copy's"] == output["rows materialised"]


def test_feast_plan_shows_changed_feature(output: dict[str, str]) -> None:
    plan = output["feature_views.py"]
    assert "Updated feature view customer_purchase_rhythm" in plan
    assert "median_gap_days" in plan
    assert "Updated feature view customer_purchase_history" not in plan


def test_feast_plan_shows_changed_transformation(output: dict[str, str]) -> None:
    updated = [view for view in VIEWS if f"Updated feature view {view}" in output["transformations.py"]]
    assert updated == ["customer_recent_activity"]
    assert re.search(r"INTERVAL \\'200\\' DAY", output["transformations.py"])


def test_feast_commands_print_no_library_warnings(output: dict[str, str]) -> None:
    noise = re.compile(r"\w*Warning:|Traceback|experimental|site-packages")
    loud = {name: noise.findall(text) for name, text in output.items() if isinstance(text, str) and noise.search(text)}
    assert loud == {}


def test_registered_objects_have_descriptions(main_job: MainJob, monkeypatch: pytest.MonkeyPatch) -> None:
    from holdfast.feast_stores.open_store import open_store

    monkeypatch.setenv("HOLDFAST_DATA", str(main_job.data))
    store = open_store()
    objects = {
        "projects": [store.registry.get_project("holdfast")],
        "entities": [entity for entity in store.list_entities() if not entity.name.startswith("__")],
        "views": store.list_feature_views(),
        "on-demand views": store.list_on_demand_feature_views(),
        "services": store.list_feature_services(),
        "sources": store.list_data_sources(),
    }
    assert {kind: len(found) for kind, found in objects.items()} == {
        "projects": 1,
        "entities": 1,
        "views": 3,
        "on-demand views": 1,
        "services": 1,
        "sources": 4,
    }
    for kind, found in objects.items():
        for item in found:
            name = f"{kind}: {item.name}"
            assert item.description, f"{name} has no description"
            assert "@" in item.owner, f"{name} has no owner"
            assert item.tags, f"{name} has no tags"
    for view in store.list_feature_views():
        for field in view.features:
            assert field.description, f"{view.name}:{field.name} has no description"


def test_feastignore_excludes_all_files_but_definitions() -> None:
    lines = (REPO / ".feastignore").read_text().splitlines()
    ignored = {line for line in lines if line and not line.startswith("#")}
    modules = {file.name for file in REPO.glob("*.py")} - {"__init__.py", "definitions.py"}
    assert ignored == modules
    assert len(modules) > 5


def test_definitions_export_each_feast_object() -> None:
    from feast import Entity, FeatureService, FeatureView, OnDemandFeatureView, Project
    from feast.data_source import DataSource

    from feature_repo import definitions

    kinds = (Entity, FeatureService, FeatureView, OnDemandFeatureView, Project, DataSource)
    named = {id(getattr(definitions, name)) for name in definitions.__all__}
    defined = {}
    for file in sorted(REPO.glob("*.py")):
        module = importlib.import_module(f"feature_repo.{file.stem}")
        defined |= {id(value): name for name, value in vars(module).items() if isinstance(value, kinds)}
    assert len(defined) >= 11
    of_subscriptions = {"customer_subscription", "customer_subscription_time", "subscription_snapshots"}
    assert {name for key, name in defined.items() if key not in named} == of_subscriptions, "under HOLDFAST_LABEL only"
    assert named <= defined.keys(), "it names what is no Feast object"
    assert definitions.__all__ == sorted(definitions.__all__)


def test_feast_ui_serves_the_registry_and_terminates(main_job: MainJob, tmp_path: Path) -> None:
    port = free_port()
    command = ["feast", "-c", "feature_repo", "ui", "--host", "127.0.0.1", "--port", str(port)]
    with running_server(command, main_job.environment, tmp_path / "ui.log") as server:
        page = wait_for_response(server, f"http://127.0.0.1:{port}/")
        assert "<html" in page.text
        (project,) = httpx.get(f"http://127.0.0.1:{port}/projects-list.json").json()["projects"]
        assert (project["id"], project["registryPath"]) == ("holdfast", "/api/v1")
        api = httpx.Client(base_url=f"http://127.0.0.1:{port}/api/v1", params={"project": "holdfast"}, timeout=30)
        views = api.get("/feature_views").json()["featureViews"]
        assert {view["spec"]["name"] for view in views} == {*VIEWS, "customer_request_time"}
        assert all(view["spec"]["description"] for view in views)
        (service,) = api.get("/feature_services").json()["featureServices"]
        assert service["spec"]["name"] == "churn_v1"
        assert "customer" in json.dumps(api.get("/entities").json())
        assert len(api.get("/data_sources").json()["dataSources"]) == 4
        assert server.end(signal.SIGINT) in (0, -signal.SIGINT)
    assert "Traceback" not in server.output()
