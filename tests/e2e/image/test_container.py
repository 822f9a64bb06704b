"""The image as it runs: hardened as docs/container.md says, asked over HTTP."""

import json
import re
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.e2e.image.conftest import IMAGE, Image
from tests.support.containers import HARDENED, Container, running
from tests.support.main_job import ROOT, environment_of, run
from tests.support.redis_server import running_redis
from tests.support.service_fixtures import serve_in_process
from tests.support.service_state import AS_OF, CUSTOMERS

pytestmark = pytest.mark.image

_LIMIT = 512 << 20
_REQUESTS = 2_000


def test_it_predicts_what_the_service_in_this_process_predicts(image: Image, container: Container) -> None:
    asked = [{"customer_id": customer, "explain": True} for customer in CUSTOMERS[:5]]
    batch = {"customer_ids": [*CUSTOMERS, "nobody"]}
    with httpx.Client(base_url=container.url, timeout=30) as client:
        answers = [client.post("/predict", json=question) for question in asked]
        answers.append(client.post("/predict_batch", json=batch))
    with serve_in_process(image.data) as client:
        expected = [client.post("/predict", json=question) for question in asked]
        expected.append(client.post("/predict_batch", json=batch))
    assert [answer.status_code for answer in answers] == [200] * 6
    assert [answer.json() for answer in answers] == [answer.json() for answer in expected]
    assert len({answer.json()["churn_probability"] for answer in answers[:5]}) > 1


def test_its_processes_have_no_rights(container: Container) -> None:
    status = dict(re.findall(r"^(\w+):\s+(.*)$", container.python("print(open('/proc/1/status').read())"), re.M))
    assert set(status["Uid"].split()) == set(status["Gid"].split()) == {"1034"}
    assert {int(status[name], 16) for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb")} == {0}
    assert status["NoNewPrivs"] == "1"
    assert status["Seccomp"] == "2"  # the engine's filter of system calls


def test_it_can_write_where_it_has_to_and_nowhere_else(container: Container) -> None:
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


def test_nothing_in_tmp_can_be_run(container: Container) -> None:
    code = """
import os, shutil, subprocess
shutil.copy("/bin/true", "/tmp/true")
try:
    subprocess.run(["/tmp/true"]); print("ran")
except PermissionError:
    print("refused")
"""
    assert container.python(code).strip() == "refused"


def test_the_memory_limit_holds(image: Image) -> None:
    engine = image.prepared.engine
    name = "holdfast-test-memory"
    command = ["create", "--name", name, *HARDENED, "--entrypoint", "python", IMAGE]
    engine.run(*command, "-c", "print(len(bytearray(700 << 20)))")
    try:
        engine.run("start", name)
        assert engine.run("wait", name, timeout=120).strip() == "137"
    finally:
        engine.run("rm", "--force", name)


def test_two_thousand_requests_stay_within_the_memory_limit(
    container: Container, capsys: pytest.CaptureFixture[str]
) -> None:
    assert int(_cgroup(container, "memory/memory.limit_in_bytes", "memory.max")) == _LIMIT
    start = time.monotonic()
    with httpx.Client(base_url=container.url, timeout=30) as client, ThreadPoolExecutor(4) as pool:

        def ask(number: int) -> int:
            if number % 20 == 0:
                return client.post("/predict_batch", json={"customer_ids": CUSTOMERS[:200]}).status_code
            question = {"customer_id": CUSTOMERS[number % 300], "explain": number % 10 == 1}
            return client.post("/predict", json=question).status_code

        assert set(pool.map(ask, range(_REQUESTS))) == {200}
    seconds = time.monotonic() - start
    held = int(_cgroup(container, "memory/memory.usage_in_bytes", "memory.current"))
    stat = dict(line.split() for line in _cgroup(container, "memory/memory.stat", "memory.stat").splitlines())
    own = int(stat.get("total_rss") or stat["anon"])  # the rest is files the kernel may drop
    print(
        f"\n{_REQUESTS} requests in {seconds:.1f} s; memory {own >> 20} MiB of processes, {held >> 20} MiB with files"
    )
    assert 100 << 20 < own < 0.9 * _LIMIT
    assert held < _LIMIT
    assert container.state()["OOMKilled"] is False


def test_it_stops_cleanly_within_ten_seconds_and_keeps_what_it_has_logged(
    image: Image, predictions: str, capsys: pytest.CaptureFixture[str]
) -> None:
    def kept() -> int:
        """Bytes in the volume."""
        mount = f"--volume={predictions}:/data/predictions"
        code = "import pathlib; print(sum(f.stat().st_size for f in pathlib.Path('/data').rglob('*') if f.is_file()))"
        return int(image.prepared.engine.run("run", "--rm", mount, "--entrypoint=python", IMAGE, "-c", code))

    before = kept()
    with running(image.prepared, IMAGE, image.data, predictions, HOLDFAST_CLOCK=AS_OF.isoformat()) as stopped:
        seconds = stopped.ready_after()
        with capsys.disabled():
            print(f"\nready after {seconds:.1f} s")
        answer = httpx.post(f"{stopped.url}/predict_batch", json={"customer_ids": CUSTOMERS[:100]}, timeout=30)
        assert answer.status_code == 200, answer.text
        start = time.monotonic()
        image.prepared.engine.run("stop", "--time", "30", stopped.name)  # SIGTERM; SIGKILL after 30 s
        assert time.monotonic() - start < 10
        assert stopped.state()["ExitCode"] == 0
        assert "Traceback" not in stopped.log()
    assert kept() > before + 1000


def test_it_serves_from_redis(image: Image, container: Container, tmp_path: Path) -> None:
    if not image.prepared.host_network:
        pytest.skip("the container does not reach a server of this machine")
    profile = "feature_repo/feature_store.redis.yaml"
    data = tmp_path / "data"
    with running_redis() as server:
        redis = {"HOLDFAST_REDIS": server.connection_string, "HOLDFAST_CLOCK": AS_OF.isoformat()}
        here = environment_of(data) | redis | {"FEAST_FS_YAML_FILE_PATH": str(ROOT / profile)}
        run([sys.executable, "-m", "tests.support.service_state"], here)
        inside = redis | {"FEAST_FS_YAML_FILE_PATH": f"/home/bentoml/bento/src/{profile}"}
        with running(image.prepared, IMAGE, data, **inside) as served:
            served.ready_after()
            (data / "feast" / "online_store.db").unlink(missing_ok=True)
            question = {"customer_ids": CUSTOMERS}
            answers = [
                httpx.post(f"{url}/predict_batch", json=question, timeout=30) for url in (served.url, container.url)
            ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert answers[0].json()["predictions"] == answers[1].json()["predictions"]


def test_without_its_data_it_is_alive_and_says_what_is_missing(image: Image) -> None:
    with running(image.prepared, IMAGE, None) as bare:
        deadline = time.monotonic() + 90
        while (answer := bare.get("/readyz")) is None:
            assert time.monotonic() < deadline and bare.state()["Running"], bare.log()
            time.sleep(0.2)
        assert answer.status_code == 503
        alive = bare.get("/livez")
        assert alive is not None and alive.status_code == 200
        assert "registry" in bare.log()


def test_its_labels_name_version_model_and_commit(image: Image) -> None:
    inspected = json.loads(image.prepared.engine.run("image", "inspect", IMAGE))[0]
    labels = (inspected.get("Labels") or inspected["Config"]["Labels"]) | inspected["Config"]["Labels"]
    assert labels["org.opencontainers.image.version"] == image.bento.tag.version
    assert labels["holdfast.model"].startswith("holdfast-churn:v1-")
    if (ROOT / ".git").exists():
        assert re.fullmatch(r"[0-9a-f]{40}(-dirty)?", labels["org.opencontainers.image.revision"])


def test_its_history_names_no_package_index(image: Image) -> None:
    history = image.prepared.engine.run("history", "--no-trunc", "--format", "{{.CreatedBy}}", IMAGE)
    assert "entrypoint.sh" in history
    assert not re.search(r"https?://|index-url|trusted-host", history), history


def _cgroup(container: Container, *files: str) -> str:
    """The first of the files of its control group that is there: version 1 and version 2 name them differently."""
    paths = [f"/sys/fs/cgroup/{file}" for file in files]
    return container.python(
        f"import pathlib; print(next(p for p in map(pathlib.Path, {paths}) if p.exists()).read_text())"
    ).strip()
