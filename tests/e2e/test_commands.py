"""End-to-end tests of the commands in README.md."""

import json
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass

import httpx
import pytest

from holdfast.runtime.processes import free_port
from tests.support.main_job import ROOT, MainJob, run
from tests.support.readme import (
    COMMAND_NOISE,
    Block,
    assert_command_exists,
    bash_blocks,
    local_links,
    make_targets,
    module_commands,
    parse_blocks,
)
from tests.support.server_processes import ServerProcess, running_server, wait_for_response


@dataclass(frozen=True)
class BlockRuns:
    """Results of the blocks by line, and new files in the checkout."""

    results: dict[int, subprocess.CompletedProcess[str]]
    new_files: set[str]


@pytest.fixture(scope="module")
def block_runs(main_job: MainJob, tmp_path_factory: pytest.TempPathFactory) -> BlockRuns:
    """All blocks, each in a separate shell with a copy of the main job's data."""

    def run_block(block: Block) -> tuple[int, subprocess.CompletedProcess[str]]:
        folder = tmp_path_factory.mktemp(f"line-{block.line}-")
        shutil.copytree(main_job.data, folder / "data", ignore=shutil.ignore_patterns("artifacts", "logs"))
        environment = main_job.environment | {"HOLDFAST_DATA": str(folder / "data"), "HOME": str(folder)}
        shell = ["bash", "-euo", "pipefail", "-c", block.text]
        done = subprocess.run(
            shell, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
        return block.line, done

    before = {path.name for path in ROOT.iterdir()}
    with ThreadPoolExecutor(2) as pool:
        results = dict(pool.map(run_block, [block for block in bash_blocks() if not block.is_long_running]))
    return BlockRuns(results, {path.name for path in ROOT.iterdir()} - before)


def test_readme_has_bash_blocks() -> None:
    assert len(bash_blocks()) >= 2
    assert {"make run", "make test"} <= {line.split("#")[0].strip() for line in parse_blocks()[0].text.splitlines()}


@pytest.mark.long
@pytest.mark.parametrize("block", bash_blocks(), ids=lambda block: f"line {block.line}")
def test_readme_block_succeeds_without_warnings(block: Block, block_runs: BlockRuns) -> None:
    if block.is_long_running:
        named = make_targets(f"```\n{block.text}\n```")
        assert named <= {"run", "test", "serve", "up", "bench", "check", "env"}, "no test runs these targets"
        return
    done = block_runs.results[block.line]
    output = done.stdout + done.stderr
    assert done.returncode == 0, f"{block.text}\n{output[-3000:]}"
    assert COMMAND_NOISE.findall(output) == [], output[-3000:]


@pytest.mark.long
def test_readme_blocks_create_no_file_in_the_checkout(block_runs: BlockRuns) -> None:
    assert block_runs.results
    assert block_runs.new_files == set()


def test_readme_make_targets_exist_and_are_listed_by_help(main_job: MainJob) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = make_targets()
    assert {"run", "test", "serve", "up", "env"} <= named
    assert named - targets == set()
    listed = run(["make", "help"], main_job.environment).splitlines()
    assert {match[1] for line in listed if (match := re.match(r"  make ([a-z-]+) +\S", line))} == targets
    assert len(listed) == len(targets)
    assert run(["make"], main_job.environment).splitlines() == listed


def test_readme_flow_commands_exist_with_their_options() -> None:
    commands = module_commands()
    assert {
        "flows.ingest",
        "flows.features",
        "flows.train",
        "flows.gates",
        "flows.promote",
        "flows.rollback",
        "flows.package",
        "flows.lifecycle",
    } <= {module for module, _ in commands}
    for name, arguments in commands:
        assert_command_exists(name, arguments)


def test_readme_links_refer_to_existing_files() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    links = {page: local_links(page.read_text()) for page in pages}
    assert links[ROOT / "README.md"]
    missing = [f"{page.name}: {link}" for page in pages for link in links[page] if not (page.parent / link).exists()]
    assert missing == []


def test_make_env_output_can_be_evaluated(main_job: MainJob) -> None:
    printed = run(["make", "-s", "env"], main_job.environment)
    assert all(re.fullmatch(r'export [A-Z_]+=(\S+|"\$\(cat \S+\)")', line) for line in printed.splitlines())
    script = f'{printed}\necho "$HOLDFAST_DATA|$PREFECT_HOME|$BENTOML_HOME"; command -v feast bentoml'
    first, *commands = run(["bash", "-euc", script], {"PATH": "/usr/bin:/bin"}).splitlines()
    data = main_job.data
    assert first == f"{data}|{data / 'prefect'}|{data / 'bentoml'}"
    assert len(commands) == 2, "the tools are not on its PATH"


@dataclass(frozen=True)
class RunningServices:
    """Two services started by `make serve`."""

    servers: list[ServerProcess]
    port: int
    api: httpx.Client


@pytest.fixture(scope="module")
def make_serve(main_job: MainJob, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningServices]:
    """Two ready services: one to end with Ctrl-C, one with SIGTERM."""
    folder, ports = tmp_path_factory.mktemp("serve"), [free_port(), free_port()]
    with ExitStack() as stack:
        servers = [
            stack.enter_context(
                running_server(["make", "serve"], main_job.environment | {"PORT": str(port)}, folder / f"{port}.log")
            )
            for port in ports
        ]
        for server, port in zip(servers, ports, strict=True):
            wait_for_response(server, f"http://127.0.0.1:{port}/readyz")
        api = stack.enter_context(httpx.Client(base_url=f"http://127.0.0.1:{ports[0]}", timeout=30))
        yield RunningServices(servers, ports[0], api)


def test_predict_without_time_returns_the_prediction_of_the_main_job(
    make_serve: RunningServices, main_job: MainJob
) -> None:
    """With the clock of the data the time is that of the customer's features."""
    expected = main_job.summary["prediction"]
    response = make_serve.api.post("/predict", json={"customer_id": expected["customer_id"]})
    assert response.status_code == 200, response.text
    assert response.json() == expected


def test_predict_with_time_uses_that_time(make_serve: RunningServices, main_job: MainJob) -> None:
    expected = main_job.summary["prediction"]
    request = {"customer_id": expected["customer_id"], "as_of": "1998-07-11T00:00:00Z"}
    prediction = make_serve.api.post("/predict", json=request).json()
    assert prediction["feature_age_seconds"] == 10 * 86_400
    assert prediction["stale"] is True
    assert prediction["churn_probability"] > expected["churn_probability"], "ten more days without a purchase"
    rejected = make_serve.api.post("/predict", json=request | {"as_of": "1998-06-01"})
    assert rejected.status_code == 422
    assert "earlier than the stored features" in rejected.text


def test_predict_batch_returns_item_status(make_serve: RunningServices, main_job: MainJob) -> None:
    expected = main_job.summary["prediction"]
    ids = [expected["customer_id"], "no-such-id", "00004"]
    for extra in ({}, {"as_of": "1998-07-01"}):
        batch = make_serve.api.post("/predict_batch", json={"customer_ids": ids} | extra).json()
        items = batch["predictions"]
        assert [item["customer_id"] for item in items] == ids
        assert [item["status"] for item in items] == ["ok", "unknown_customer", "ok"]
        assert items[0]["churn_probability"] == expected["churn_probability"]
        assert batch["model_version"] == expected["model_version"]


def test_readme_curl_returns_the_response_in_readme(make_serve: RunningServices) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    (block,) = [block for block in parse_blocks() if block.text.startswith("curl ")]
    command, shown = block.text.split("\n", 1)
    assert "localhost:3000" in command
    printed = run(
        shlex.split(command.replace("localhost:3000", f"127.0.0.1:{make_serve.port}")), {"PATH": "/usr/bin:/bin"}
    )
    response, documented = json.loads(printed), json.loads(shown)
    rounded = {name: round(value, 3) for name, value in response.items() if isinstance(value, float)}
    assert response | rounded == documented


def test_make_serve_ends_cleanly(make_serve: RunningServices) -> None:
    for server, number in zip(make_serve.servers, (signal.SIGINT, signal.SIGTERM), strict=True):
        assert server.process.poll() is None
        server.end(number)
        assert "Traceback" not in server.output()
        assert not COMMAND_NOISE.search(server.output()), server.output()
