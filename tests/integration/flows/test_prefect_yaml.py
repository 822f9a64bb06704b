"""Content of prefect.yaml, without a server."""

import importlib
import inspect
from typing import Any

import pytest
import yaml
from prefect.client.schemas.schedules import CronSchedule
from prefect.utilities.callables import parameter_schema

from holdfast.models.declaration import CHURN, list_models
from tests.support.deployments import ENQUEUED, PARAMETERS, REQUIRED, SCHEDULES, SWITCHED_OFF
from tests.support.main_job import ROOT

DEPLOYMENTS: dict[str, dict[str, Any]] = {
    item["name"]: item for item in yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
}


def flow_of(name: str) -> Any:
    """The flow behind a deployment."""
    file, function = DEPLOYMENTS[name]["entrypoint"].split(":")
    return getattr(importlib.import_module(file.removesuffix(".py").replace("/", ".")), function)


def test_prefect_yaml_deploys_every_flow() -> None:
    assert DEPLOYMENTS.keys() == SCHEDULES.keys() == PARAMETERS.keys()


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_deployment_is_complete(name: str) -> None:
    deployment, flow = DEPLOYMENTS[name], flow_of(name)
    assert flow.name == name
    assert len(deployment["description"]) > 20
    assert deployment["tags"][0] == "holdfast"
    assert len(deployment["tags"]) >= 2
    assert deployment["work_pool"] == {"name": "holdfast"}
    limit = deployment["concurrency_limit"]
    assert limit["limit"] == ENQUEUED.get(name, 1)
    assert limit["collision_strategy"] == ("ENQUEUE" if name in ENQUEUED else "CANCEL_NEW")


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_deployment_parameters_have_type_and_description(name: str) -> None:
    schema = parameter_schema(flow_of(name)).model_dump()
    assert schema["properties"].keys() == PARAMETERS[name]
    assert set(schema.get("required", [])) == REQUIRED.get(name, set())
    for parameter, about in schema["properties"].items():
        assert about.get("description"), f"{name}: {parameter} has no description"
        typed = {"type", "$ref", "anyOf", "allOf", "enum"} & about.keys()
        assert typed, f"{name}: {parameter} has no type"
    for model, definition in schema.get("definitions", {}).items():
        nameless = [field for field, about in definition.get("properties", {}).items() if not about.get("description")]
        assert nameless == [], f"{name}: fields of {model} without a description"


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_deployment_with_schedule_needs_no_parameter(name: str) -> None:
    given = set(DEPLOYMENTS[name].get("parameters", {}))
    assert given <= PARAMETERS[name]
    for schedule in DEPLOYMENTS[name].get("schedules", []):
        assert schedule["slug"]
        assert schedule["timezone"] == "UTC"
        assert CronSchedule(cron=schedule["cron"], timezone="UTC")  # refuses what is none
        assert schedule.get("active", True) is (name not in SWITCHED_OFF)
        assert schedule.get("parameters", {}).keys() <= PARAMETERS[name]
        assert REQUIRED.get(name, set()) <= given
    for trigger in DEPLOYMENTS[name].get("triggers", []):
        assert trigger["name"]
        assert trigger["description"]
        assert REQUIRED.get(name, set()) <= given | trigger.get("parameters", {}).keys() <= PARAMETERS[name]


@pytest.mark.parametrize("name", ["train", "rollout"])
def test_each_declared_model_is_scheduled(name: str) -> None:
    scheduled = [item.get("parameters", {}).get("model", CHURN) for item in DEPLOYMENTS[name]["schedules"]]
    assert sorted(scheduled) == list_models()


def test_rollout_limit_lets_each_model_have_a_run_that_works_and_one_that_ends() -> None:
    assert ENQUEUED["rollout"] == 2 * len(list_models())


def test_trigger_parameters_are_json_templates() -> None:
    """A plain template arrives as text, and the server refuses the run, without a message to the user."""
    taken = [
        value
        for deployment in DEPLOYMENTS.values()
        for trigger in deployment.get("triggers", [])
        for value in trigger.get("parameters", {}).values()
    ]
    assert len(taken) >= 4
    for value in taken:
        assert value["__prefect_kind"] == "json"
        assert value["value"]["template"].strip("{} ").endswith("| tojson")


def test_retrain_trigger_expects_drift_or_quality_events() -> None:
    (trigger,) = DEPLOYMENTS["retrain"]["triggers"]
    assert trigger["expect"] == ["holdfast.drift.detected", "holdfast.quality.dropped"]


def test_deployed_flow_has_a_command() -> None:
    for name in DEPLOYMENTS:
        assert "run_flow(" in inspect.getsource(inspect.getmodule(flow_of(name).fn)), name
