"""A built bento, served by `bentoml serve` and requested over HTTP."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
import yaml
from bentoml import Tag

from feature_repo.settings import NO_TELEMETRY, Settings
from holdfast.packaging.bento import build_bento, content_digest
from holdfast.packaging.bento_stores import open_bento_store, open_model_store, save_served_model
from holdfast.packaging.smoke_test import ServedBento, SmokeTestError, run_smoke_test, serve_bento
from tests.support.service_fixtures import ROOT, assert_error, service_environment
from tests.support.service_state import AS_OF, CUSTOMERS, fit


@dataclass(frozen=True)
class Live:
    """A served bento, a client of it, and the data folder behind it."""

    settings: Settings
    bento: Tag
    model: Tag
    service: ServedBento
    client: httpx.Client


@pytest.fixture(scope="module")
def live(service_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    """A bento with version 1 of the model, served after version 2 was saved as the latest."""
    data = Path(shutil.copytree(service_data, tmp_path_factory.mktemp("live") / "data"))
    with service_environment(data) as settings:
        model = open_model_store(settings).get("holdfast-churn:latest").tag
        bento = build_bento(ROOT, settings, model)
        with tempfile.TemporaryDirectory() as folder:
            save_served_model(settings, *fit(settings, Path(folder), version="2", seed=1))
        assert str(open_model_store(settings).get("holdfast-churn:latest").tag.version).startswith("v2-")
        with serve_bento(str(bento), settings) as service, httpx.Client(base_url=service.url, timeout=30) as client:
            yield Live(settings, bento, model, service, client)


def test_served_bento_is_alive_and_ready(live: Live) -> None:
    assert live.client.get("/livez").status_code == 200
    assert live.client.get("/readyz").status_code == 200
    assert live.service.seconds_to_ready < 60
    assert "holdfast" in live.client.get("/metrics").text


def test_served_bento_uses_model_of_its_build(live: Live) -> None:
    response = live.client.post("/predict", json={"customer_id": "c001"})
    assert response.status_code == 200, response.text
    assert response.json()["model_version"] == "1"


def test_explain_over_http_adds_up(live: Live) -> None:
    response = live.client.post("/predict", json={"customer_id": "c001", "explain": True})
    assert response.status_code == 200, response.text
    explanation = response.json()["explanation"]
    difference = explanation["log_odds"] - explanation["typical_log_odds"]
    assert sum(explanation["contributions"].values()) == pytest.approx(difference, abs=1e-12)
    assert 1 <= len(explanation["reasons"]) <= 3


def test_concurrent_and_batch_requests_get_equal_probabilities(live: Live) -> None:
    ids = [CUSTOMERS[i % 300] for i in range(1000)]
    response = live.client.post("/predict_batch", json={"customer_ids": ids, "as_of": AS_OF.isoformat()})
    batch = {item["customer_id"]: item["churn_probability"] for item in response.json()["predictions"]}

    def single(customer_id: str) -> float:
        return float(live.client.post("/predict", json={"customer_id": customer_id}).json()["churn_probability"])

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(single, CUSTOMERS[:80])) == [batch[customer] for customer in CUSTOMERS[:80]]


def test_errors_over_http_are_problem_details(live: Live) -> None:
    json = {"Content-Type": "application/json"}
    assert_error(live.client.post("/predict", json={"customer_id": "no-such-id"}), 404, "'no-such-id'")
    assert_error(live.client.post("/predict", json={"customer_id": "c001", "as_of": "2024-02-01"}), 422, "earlier")
    assert_error(live.client.post("/predict", json={"customer_id": "c001", "as_of": "2024-05-01"}), 422, "61.00 days")
    assert_error(live.client.post("/predict", content=b"\xff{", headers=json), 400)
    assert_error(live.client.post("/predict", content=b"[" * 100_000, headers=json), 400)
    assert_error(live.client.post("/predict", content=b" " * 2_000_000, headers=json), 413)
    assert_error(live.client.post("/predict", data={"customer_id": "c001"}), 415)
    assert_error(live.client.get("/predict"), 405)
    assert_error(live.client.get("/nothing"), 404)
    log = live.service.log.read_text()
    assert "Traceback" not in log
    assert "Deprecated" not in log


def test_build_bento_same_content_reuses_bento(live: Live) -> None:
    assert build_bento(ROOT, live.settings, live.model) == live.bento
    assert len(open_bento_store(live.settings).list("holdfast")) == 1


def test_bento_contains_exactly_the_shipped_packages(live: Live) -> None:
    source = Path(open_bento_store(live.settings).get(live.bento).path_of("src"))
    held = {path.relative_to(source).as_posix() for path in source.rglob("*") if path.is_file()}
    library = [f"holdfast/{name}" for name in ("core", "feast_stores", "models", "online_features")]
    for folder in ["services", "feature_repo", *library]:
        for file in (ROOT / folder).rglob("*"):
            if file.suffix in (".py", ".yaml"):
                assert file.relative_to(ROOT).as_posix() in held
    assert {name.split("/")[0] for name in held} == {"services", "feature_repo", "holdfast", "bentofile.yaml"}
    shipped = {name.rpartition("/")[0] for name in held if name.startswith("holdfast/")}
    assert shipped == {"holdfast", *library}
    info = open_bento_store(live.settings).get(live.bento).info
    assert [str(model.tag) for model in info.all_models] == [str(live.model)]
    assert info.labels["content"] == content_digest(ROOT, live.model)


def test_bentofile_envs_equal_no_telemetry() -> None:
    envs = yaml.safe_load((ROOT / "bentofile.yaml").read_text())["envs"]
    assert {env["name"]: env["value"] for env in envs} == NO_TELEMETRY


def test_smoke_test_of_service_that_does_not_start_reports_log(live: Live) -> None:
    with pytest.raises(SmokeTestError, match=r"(?s)ended with status .*holdfast:nosuch.*not found"):
        run_smoke_test("holdfast:nosuch", live.settings, "c001", AS_OF)


def test_smoke_test_with_failed_request_leaves_no_process(live: Live) -> None:
    def servers() -> set[str]:
        found = set()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    command = (entry / "cmdline").read_bytes()
                    own = os.fsencode(str(live.settings.data)) in (entry / "environ").read_bytes()
                except OSError:
                    continue
                if own and b"bentoml" in command and entry.name != str(os.getpid()):
                    found.add(entry.name)
        return found

    if not Path("/proc").is_dir():
        pytest.skip("needs /proc")
    before = servers()
    assert before
    with pytest.raises(SmokeTestError, match="responded 404"):
        run_smoke_test(str(live.bento), live.settings, "no-such-id", AS_OF)
    assert servers() == before
