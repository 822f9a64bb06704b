"""Tests of a running container with the options of docs/container.md."""

import json
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.support.built_image import IMAGE, Image
from tests.support.containers import HARDENED, Container, running_container
from tests.support.main_job import ROOT, environment_of, run
from tests.support.redis_server import temporary_redis
from tests.support.service_fixtures import serve_in_process
from tests.support.service_state import AS_OF, CUSTOMERS

pytestmark = pytest.mark.image

_LIMIT = 512 << 20
_REQUESTS = 2_000


def test_container_predicts_as_the_service_in_this_process(image: Image, container: Container) -> None:
    requests = [{"customer_id": customer, "explain": True} for customer in CUSTOMERS[:5]]
    batch = {"customer_ids": [*CUSTOMERS, "no-such-id"]}
    with httpx.Client(base_url=container.url, timeout=30) as client:
        responses = [client.post("/predict", json=request) for request in requests]
        responses.append(client.post("/predict_batch", json=batch))
    with serve_in_process(image.data) as client:
        expected = [client.post("/predict", json=request) for request in requests]
        expected.append(client.post("/predict_batch", json=batch))
    assert [response.status_code for response in responses] == [200] * 6
    assert [response.json() for response in responses] == [response.json() for response in expected]
    assert len({response.json()["churn_probability"] for response in responses[:5]}) > 1


def test_container_process_has_no_capabilities(container: Container) -> None:
    status = dict(re.findall(r"^(\w+):\s+(.*)$", container.python("print(open('/proc/1/status').read())"), re.M))
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"1034"}
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"  # the engine's filter of system calls


def test_container_writes_only_to_tmp_shared_memory_and_log(container: Container) -> None:
    code = """
import os, json
found = {}
for folder in [
    "/", "/app/.venv", "/home/bentoml", "/home/bentoml/bento/src/services", "/data", "/data/feast", "/var/tmp", "/run",
    "/tmp", "/dev/shm", "/data/predictions",
]:
    try:
        open(os.path.join(folder, "probe"), "w").close()
        os.remove(os.path.join(folder, "probe"))
        found[folder] = "written"
    except OSError as error:
        found[folder] = os.strerror(error.errno)
print(json.dumps(found))
"""
    found = json.loads(container.python(code))
    written = {folder for folder, what in found.items() if what == "written"}
    assert written == {"/tmp", "/dev/shm", "/data/predictions"}  # the second is the engine's shared memory
    assert {what for folder, what in found.items() if folder not in written} == {"Read-only file system"}, found


def test_container_cannot_execute_files_in_tmp(container: Container) -> None:
    code = """
import os, shutil, subprocess
shutil.copy("/bin/true", "/tmp/true")
try:
    subprocess.run(["/tmp/true"]); print("ran")
except PermissionError:
    print("refused")
"""
    assert container.python(code).strip() == "refused"


def test_container_over_memory_limit_is_killed(image: Image, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # podman's monitor writes a file "oom" into the folder in which the container started
    engine = image.environment.engine
    name = "holdfast-test-memory"
    command = ["create", "--name", name, *HARDENED, "--entrypoint", "python", IMAGE]
    engine.run(*command, "-c", "print(len(bytearray(700 << 20)))")
    try:
        engine.run("start", name)
        assert engine.run("wait", name, timeout=120).strip() == "137"
    finally:
        engine.run("rm", "--force", name)


def test_container_two_thousand_requests_stay_within_memory_limit(
    container: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    assert int(_cgroup(container, "memory/memory.limit_in_bytes", "memory.max")) == _LIMIT
    start = time.monotonic()
    with httpx.Client(base_url=container.url, timeout=30) as client, ThreadPoolExecutor(4) as pool:

        def send(number: int) -> int:
            if number % 20 == 0:
                return client.post("/predict_batch", json={"customer_ids": CUSTOMERS[:200]}).status_code
            request = {"customer_id": CUSTOMERS[number % 300], "explain": number % 10 == 1}
            return client.post("/predict", json=request).status_code

        assert set(pool.map(send, range(_REQUESTS))) == {200}
    seconds = time.monotonic() - start
    total = int(_cgroup(container, "memory/memory.usage_in_bytes", "memory.current"))
    stat = dict(line.split() for line in _cgroup(container, "memory/memory.stat", "memory.stat").splitlines())
    own = int(stat.get("total_rss") or stat["anon"])  # the rest is files the kernel may drop
    print(
        f"\n{_REQUESTS} requests in {seconds:.1f} s; memory {own >> 20} MiB of processes, {total >> 20} MiB with files"
    )
    assert 100 << 20 < own < 0.9 * _LIMIT
    assert total < _LIMIT
    assert container.state()["OOMKilled"] is False


def test_container_stops_within_ten_seconds_and_keeps_the_prediction_log(
    image: Image, predictions: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def volume_bytes() -> int:
        mount = f"--volume={predictions}:/data/predictions"
        code = "import pathlib; print(sum(f.stat().st_size for f in pathlib.Path('/data').rglob('*') if f.is_file()))"
        return int(image.environment.engine.run("run", "--rm", mount, "--entrypoint=python", IMAGE, "-c", code))

    before = volume_bytes()
    with running_container(
        image.environment, IMAGE, image.data, predictions, HOLDFAST_CLOCK=AS_OF.isoformat()
    ) as stopped:
        seconds = stopped.wait_until_ready()
        with capsys.disabled():
            print(f"\nready after {seconds:.1f} s")
        response = httpx.post(f"{stopped.url}/predict_batch", json={"customer_ids": CUSTOMERS[:100]}, timeout=30)
        assert response.status_code == 200, response.text
        start = time.monotonic()
        image.environment.engine.run("stop", "--time", "30", stopped.name)  # SIGTERM; SIGKILL after 30 s
        assert time.monotonic() - start < 10
        assert stopped.state()["ExitCode"] == 0
        assert "Traceback" not in stopped.log()
    assert volume_bytes() > before + 1000


def test_container_serves_from_redis(image: Image, container: Container, tmp_path: Path) -> None:
    if not image.environment.host_network:
        pytest.skip("the container cannot access servers of this machine")
    profile = "feature_repo/feature_store.redis.yaml"
    data = tmp_path / "data"
    with temporary_redis() as server:
        redis = {"HOLDFAST_REDIS": server.connection_string, "HOLDFAST_CLOCK": AS_OF.isoformat()}
        environment = environment_of(data) | redis | {"FEAST_FS_YAML_FILE_PATH": str(ROOT / profile)}
        run([sys.executable, "-m", "tests.support.service_state"], environment)
        inside = redis | {"FEAST_FS_YAML_FILE_PATH": f"/home/bentoml/bento/src/{profile}"}
        with running_container(image.environment, IMAGE, data, **inside) as served:
            served.wait_until_ready()
            (data / "feast" / "online_store.db").unlink(missing_ok=True)
            request = {"customer_ids": CUSTOMERS}
            responses = [
                httpx.post(f"{url}/predict_batch", json=request, timeout=30) for url in (served.url, container.url)
            ]
    assert [response.status_code for response in responses] == [200, 200]
    assert responses[0].json()["predictions"] == responses[1].json()["predictions"]


def test_container_without_data_is_alive_and_logs_the_missing_registry(image: Image) -> None:
    with running_container(image.environment, IMAGE, None) as bare:
        deadline = time.monotonic() + 90
        while (response := bare.get("/readyz")) is None:
            assert time.monotonic() < deadline and bare.state()["Running"], bare.log()
            time.sleep(0.2)
        assert response.status_code == 503
        alive = bare.get("/livez")
        assert alive is not None and alive.status_code == 200
        assert "registry" in bare.log()


def test_image_labels_name_version_model_and_commit(image: Image) -> None:
    inspected = json.loads(image.environment.engine.run("image", "inspect", IMAGE))[0]
    labels = (inspected.get("Labels") or inspected["Config"]["Labels"]) | inspected["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == image.bento.tag.version
    assert labels["holdfast.model"].startswith("holdfast-churn:v1-")
    if (ROOT / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["org.opencontainers.image.revision"])


def test_image_history_names_no_package_index(image: Image) -> None:
    history = image.environment.engine.run("history", "--no-trunc", "--format", "{{.CreatedBy}}", IMAGE)
    assert "entrypoint.sh" in history
    assert not re.search(r"https?://|index-url|trusted-host", history), history


def _cgroup(container: Container, *files: str) -> str:
    """Read the first existing file of the control group; versions 1 and 2 have different names."""
    paths = [f"/sys/fs/cgroup/{file}" for file in files]
    return container.python(
        f"import pathlib; print(next(p for p in map(pathlib.Path, {paths}) if p.exists()).read_text())"
    ).strip()
