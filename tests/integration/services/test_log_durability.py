"""A served process loses no prediction and reveals no secret when it is ended or its disk is full."""

import hashlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import httpx
import numpy as np
import pytest

from feature_repo.names import FEATURE_SERVICE
from feature_repo.timestamps import epoch_us
from holdfast.core.prediction_log import read_predictions
from holdfast.online_features.reader import OnlineReader
from services.prediction_log.writer import PredictionLog
from tests.support.definition_versions import open_only
from tests.support.live_service import CallerThreads, LiveService, live_service, running_callers
from tests.support.service_fixtures import serve_in_process, service_environment
from tests.support.service_state import AS_OF, CUSTOMERS
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long

KEY = "holdfast_key-of-the-shop"
OTHER_KEY = "holdfast_key-that-is-not-valid"
BEARER = {"Authorization": f"Bearer {KEY}"}
UNKNOWN = "unknown-customer"


@pytest.fixture(scope="module")
def live(service_data: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveService]:
    """A service with a key and BentoML's access log; as root its prediction log has a separate disk."""
    data = Path(shutil.copytree(service_data, tmp_path_factory.mktemp("live") / "data"))
    predictions = data / "predictions"
    predictions.mkdir(exist_ok=True)  # others may have served from this service_data
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(predictions)]
    mounted = os.geteuid() == 0 and subprocess.run(mount, capture_output=True, check=False).returncode == 0
    try:
        with live_service(
            data,
            HOLDFAST_API_KEYS=f"shop:{hashlib.sha256(KEY.encode()).hexdigest()}",
            BENTOML_CONFIG_OPTIONS="services.holdfast.logging.access.enabled=true",
        ) as live:
            yield live
    finally:
        if mounted:
            subprocess.run(["umount", "-l", str(predictions)], check=True)


def logged(live: LiveService) -> list[str]:
    return list(read_predictions(live.data / "predictions")["request_id"].to_pylist())


def assert_all_logged_once(live: LiveService, callers: CallerThreads) -> None:
    found = [request_id for request_id in logged(live) if request_id in callers.answered]
    assert len(set(found)) == len(found)
    missing = set(callers.answered) - set(found)
    assert not missing, f"{len(missing)} of {len(callers.answered)} are lost, such as {sorted(missing)[:3]}"


def test_logged_inputs_equal_online_reader_bit_for_bit(live: LiveService) -> None:
    response = httpx.post(
        f"{live.url}/predict_batch", json={"customer_ids": CUSTOMERS}, headers=BEARER, trust_env=False
    )
    scores = {item["customer_id"]: item["churn_probability"] for item in response.json()["predictions"]}
    request_id = response.headers["x-request-id"]
    wait_for(lambda: logged(live).count(request_id) == len(CUSTOMERS))
    rows = [row for row in read_predictions(live.data / "predictions").to_pylist() if row["request_id"] == request_id]
    with service_environment(live.data):
        reader = OnlineReader(open_only(live.data), FEATURE_SERVICE)
        wanted = reader.read([row["customer_id"] for row in rows], epoch_us(AS_OF))
    names = [feature.name for feature in reader.inputs]
    found = np.array([[row[name] for name in names] for row in rows])
    assert found.tobytes() == wanted.inputs.tobytes()
    assert {row["customer_id"]: row["churn_probability"] for row in rows} == scores
    assert {row[f"{view}__timestamp"] for row in rows for view in reader.views} == {AS_OF}
    assert {row["as_of"] for row in rows} == {AS_OF}


def test_full_disk_degrades_log_and_no_response(live: LiveService) -> None:
    predictions = live.data / "predictions"
    if not predictions.is_mount():
        pytest.skip("mounting a small disk takes root")
    filler = predictions / "filler"
    with running_callers(live.url, "full", KEY) as callers:
        callers.wait_for(100)
        with pytest.raises(OSError, match="No space left"), filler.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))
        with pytest.raises(OSError, match="No space left"), filler.open("ab", buffering=0) as file:
            while True:
                file.write(b"0")
        callers.wait_for(300)
        wait_for(lambda: live.metric("holdfast_prediction_log_degraded") == 1)
        wait_for(lambda: live.metric("holdfast_prediction_log_queue_rows") > 0)
        assert httpx.get(f"{live.url}/readyz", trust_env=False).status_code == 200
        filler.unlink()
        wait_for(lambda: live.metric("holdfast_prediction_log_degraded") == 0)
        callers.wait_for(50)
    assert (callers.others, callers.errors) == ([], 0)
    wait_for(lambda: set(callers.answered) <= set(logged(live)))
    assert_all_logged_once(live, callers)
    assert live.server.output().count("Predictions cannot be logged") == 1
    assert "No space left on device" in live.server.output()
    assert live.server.output().count("Predictions are logged again") == 1
    assert live.metric("holdfast_prediction_log_dropped_rows_total") == 0


def test_killed_worker_has_logged_all_but_the_last_responses(live: LiveService) -> None:
    with running_callers(live.url, "killed", KEY) as callers:
        callers.wait_for(300)
        (worker,) = live.workers()
        os.kill(worker, signal.SIGKILL)
        killed = time.monotonic()
        wait_for(lambda: live.workers() and worker not in live.workers())
        live.wait_until_ready()
        callers.wait_for(50)  # of the next worker
    assert len([at for at in callers.answered.values() if at < killed]) >= 300
    wait_for(lambda: {one for one, at in callers.answered.items() if at > killed + 1} <= set(logged(live)))
    lost = {one: at for one, at in callers.answered.items() if one not in set(logged(live))}
    assert all(killed - at <= 0.1 for at in lost.values()), sorted(killed - at for at in lost.values())


def test_output_contains_no_keys_and_no_customers(live: LiveService) -> None:
    with httpx.Client(base_url=live.url, trust_env=False) as client:
        body = {"customer_id": "c042"}
        assert client.post("/predict", json=body, headers=BEARER).status_code == 200
        assert client.post("/predict", json=body, headers={"X-API-Key": KEY}).status_code == 200
        assert client.post("/predict", json=body, headers={"X-API-Key": OTHER_KEY}).status_code == 401
        assert client.post("/predict", json={"customer_id": UNKNOWN}, headers=BEARER).status_code == 404
        assert client.post("/predict", json={"customer_id": [UNKNOWN]}, headers=BEARER).status_code == 422
        broken = BEARER | {"Content-Type": "application/json"}
        assert client.post("/predict", content=f"{{{UNKNOWN}", headers=broken).status_code == 400
        assert client.get(f"/nowhere?customer_id={UNKNOWN}&key={KEY}", headers=BEARER).status_code == 404
        for path in ("/livez", "/readyz", "/metrics"):
            assert client.get(path).status_code == 200
        metrics = client.get("/metrics").text
    wait_for(lambda: "path=/nowhere" in live.server.output())
    printed = live.server.output()
    assert "path=/predict" in printed, "the access log is off"
    for secret in (KEY, OTHER_KEY, UNKNOWN, "c042", hashlib.sha256(KEY.encode()).hexdigest()):
        assert secret not in printed
        assert secret not in metrics
    assert "Traceback" not in printed


def test_terminated_service_has_logged_all_responses(live: LiveService) -> None:
    with running_callers(live.url, "ended", KEY) as callers:
        callers.wait_for(300)
        assert live.end() == 0
        assert_all_logged_once(live, callers)
    assert len(callers.answered) >= 300
    assert callers.others == []


def test_queued_predictions_are_written_at_shutdown(service_data_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("services.engine.PredictionLog", partial(PredictionLog, interval=600.0))
    with serve_in_process(service_data_copy) as client:
        responses = [client.post("/predict", json={"customer_id": customer}) for customer in CUSTOMERS[:20]]
    found = read_predictions(service_data_copy / "predictions")["request_id"].to_pylist()
    assert {response.headers["x-request-id"] for response in responses} <= set(found)


def test_service_with_log_off_writes_nothing(service_data_copy: Path) -> None:
    shutil.rmtree(service_data_copy / "predictions", ignore_errors=True)
    with serve_in_process(service_data_copy, HOLDFAST_PREDICTION_LOG="false") as client:
        assert client.post("/predict", json={"customer_id": "c001"}).status_code == 200
    assert not (service_data_copy / "predictions").exists()
