"""What README.md tells a newcomer to type, typed."""

import ast
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
from tests.support.readme import Block, bash_blocks, blocks, local_links, make_targets, module_commands
from tests.support.server_processes import ServerProcess, running_server, wait_for_response

NOISE = re.compile(r"\w+Warning:|Traceback|deprecat|command not found|No such file")


@dataclass(frozen=True)
class Pasted:
    """What came of each block, by its line, and the new files in the checkout."""

    results: dict[int, subprocess.CompletedProcess[str]]
    left_behind: set[str]


@pytest.fixture(scope="module")
def pasted(main_job: MainJob, tmp_path_factory: pytest.TempPathFactory) -> Pasted:
    """Each block in a shell of its own with a copy of the main job's data, two at a time."""

    def paste(block: Block) -> tuple[int, subprocess.CompletedProcess[str]]:
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
        results = dict(pool.map(paste, [block for block in bash_blocks() if not block.is_long_running]))
    return Pasted(results, {path.name for path in ROOT.iterdir()} - before)


def test_the_readme_has_blocks_to_paste() -> None:
    assert len(bash_blocks()) >= 2
    assert {"make run", "make test"} <= {line.split("#")[0].strip() for line in blocks()[0].text.splitlines()}


@pytest.mark.long
@pytest.mark.parametrize("block", bash_blocks(), ids=lambda block: f"line {block.line}")
def test_a_block_runs_as_it_stands(block: Block, pasted: Pasted) -> None:
    if block.is_long_running:
        named = make_targets(f"```\n{block.text}\n```")
        assert named <= {"run", "test", "serve", "up", "bench", "check", "env"}, "nothing here tests these targets"
        return
    done = pasted.results[block.line]
    said = done.stdout + done.stderr
    assert done.returncode == 0, f"{block.text}\n{said[-3000:]}"
    assert NOISE.findall(said) == [], said[-3000:]


@pytest.mark.long
def test_pasting_leaves_nothing_in_the_checkout(pasted: Pasted) -> None:
    assert pasted.results
    assert pasted.left_behind == set()


def test_every_make_target_it_names_exists_and_help_lists_them(main_job: MainJob) -> None:
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.M))
    named = make_targets()
    assert {"run", "test", "serve", "up", "env"} <= named
    assert named - targets == set()
    listed = run(["make", "help"], main_job.environment).splitlines()
    assert {match[1] for line in listed if (match := re.match(r"  make ([a-z-]+) +\S", line))} == targets
    assert len(listed) == len(targets)
    assert run(["make"], main_job.environment).splitlines() == listed


def test_every_flow_command_it_names_exists_with_its_options() -> None:
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


def assert_command_exists(name: str, arguments: str) -> None:
    """Check that a module for ``python -m`` exists and that its function has all given options.

    A package is run by its ``__main__``; a command of ``holdfast`` is a function of its module in ``holdfast.cli``.
    """
    path = ROOT / name.replace(".", "/")
    if name == "holdfast" and not arguments.startswith("-"):
        command, _, arguments = arguments.partition(" ")
        name, text = f"holdfast.{command}", (ROOT / "holdfast" / "cli" / f"{command}.py").read_text()
        tree = ast.parse(text + (path / "__main__.py").read_text())
    else:
        tree = ast.parse((path / "__main__.py" if path.is_dir() else path.with_suffix(".py")).read_text())
    assert "__name__ == '__main__'" in {ast.unparse(node.test) for node in tree.body if isinstance(node, ast.If)}, name
    functions = {node.name: node for node in tree.body if isinstance(node, ast.FunctionDef)}
    options = set(re.findall(r"--[\w-]+", arguments)) - {"--help"}
    if options:
        entry = {"simulations": "simulate"}.get(name, name.rpartition(".")[2])
        parameters = functions[entry].args.args
        given = {f"--{argument.arg.replace('_', '-')}" for argument in parameters}
        given |= {f"--no-{argument.arg.replace('_', '-')}" for argument in parameters}
        given |= set(re.findall(r"--[\w-]+", " ".join(ast.unparse(argument) for argument in parameters)))
        assert options <= given, f"{name} has not all of {options}"


def test_every_file_it_links_to_is_there() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md")]
    links = {page: local_links(page.read_text()) for page in pages}
    assert links[ROOT / "README.md"]
    missing = [f"{page.name}: {link}" for page in pages for link in links[page] if not (page.parent / link).exists()]
    assert missing == []


def test_make_env_is_for_eval(main_job: MainJob) -> None:
    printed = run(["make", "-s", "env"], main_job.environment)
    assert all(re.fullmatch(r"export [A-Z_]+=\S+", line) for line in printed.splitlines())
    script = f'{printed}\necho "$HOLDFAST_DATA|$PREFECT_HOME|$BENTOML_HOME"; command -v feast bentoml'
    first, *commands = run(["bash", "-euc", script], {"PATH": "/usr/bin:/bin"}).splitlines()
    data = main_job.data
    assert first == f"{data}|{data / 'prefect'}|{data / 'bentoml'}"
    assert len(commands) == 2, "its PATH has not the tools"


@dataclass(frozen=True)
class Serving:
    """`make serve`, twice."""

    servers: list[ServerProcess]
    port: int
    api: httpx.Client


@pytest.fixture(scope="module")
def make_serve(main_job: MainJob, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Serving]:
    """Two services beside each other, ready: one to end with Ctrl-C, one as a supervisor would."""
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
        yield Serving(servers, ports[0], api)


def test_the_service_answers_without_a_time(make_serve: Serving, main_job: MainJob) -> None:
    """On the data's clock: as of each customer's own features, and so as the main job was told."""
    told = main_job.summary["prediction"]
    answer = make_serve.api.post("/predict", json={"customer_id": told["customer_id"]})
    assert answer.status_code == 200, answer.text
    assert answer.json() == told


def test_the_service_answers_for_a_time(make_serve: Serving, main_job: MainJob) -> None:
    told = main_job.summary["prediction"]
    request = {"customer_id": told["customer_id"], "as_of": "1998-07-11T00:00:00Z"}
    answer = make_serve.api.post("/predict", json=request).json()
    assert answer["feature_age_seconds"] == 10 * 86_400
    assert answer["stale"] is True
    assert answer["churn_probability"] > told["churn_probability"], "ten more days of silence"
    refused = make_serve.api.post("/predict", json=request | {"as_of": "1998-06-01"})
    assert refused.status_code == 422
    assert "earlier than the stored features" in refused.text


def test_the_service_answers_for_many(make_serve: Serving, main_job: MainJob) -> None:
    told = main_job.summary["prediction"]
    ids = [told["customer_id"], "nobody", "00004"]
    for extra in ({}, {"as_of": "1998-07-01"}):
        answer = make_serve.api.post("/predict_batch", json={"customer_ids": ids} | extra).json()
        items = answer["predictions"]
        assert [item["customer_id"] for item in items] == ids
        assert [item["status"] for item in items] == ["ok", "unknown_customer", "ok"]
        assert items[0]["churn_probability"] == told["churn_probability"]
        assert answer["model_version"] == told["model_version"]


def test_the_readmes_curl_gets_the_readmes_answer(make_serve: Serving) -> None:
    if shutil.which("curl") is None:
        pytest.skip("needs curl")
    (block,) = [block for block in blocks() if block.text.startswith("curl ")]
    command, shown = block.text.split("\n", 1)
    assert "localhost:3000" in command
    printed = run(
        shlex.split(command.replace("localhost:3000", f"127.0.0.1:{make_serve.port}")), {"PATH": "/usr/bin:/bin"}
    )
    answer, promised = json.loads(printed), json.loads(shown)
    rounded = {name: round(value, 3) for name, value in answer.items() if isinstance(value, float)}
    assert answer | rounded == promised


def test_the_service_ends_cleanly(make_serve: Serving) -> None:
    for server, number in zip(make_serve.servers, (signal.SIGINT, signal.SIGTERM), strict=True):
        assert server.process.poll() is None
        server.end(number)
        assert "Traceback" not in server.output()
        assert not NOISE.search(server.output()), server.output()
