"""Tests of benchmark processes: end, pause and readiness."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.serving.processes import BenchmarkProcesses, cpu_seconds
from holdfast.runtime.processes import HOST, ProcessNotReadyError, free_port
from tests.support.benchmark_servers import StartServer
from tests.support.main_job import ROOT
from tests.support.waiting import wait_for

pytestmark = pytest.mark.long

# A busy supervisor with a busy worker in another process group, as BentoML has.
FAMILY = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
print(child.pid, flush=True)
while True: pass
"""
BENCHMARK = f"""
import os, sys, time
from pathlib import Path
from benchmarks.serving.processes import BenchmarkProcesses
with BenchmarkProcesses(Path(sys.argv[1])) as processes:
    started = processes.start("family", [sys.executable, "-c", '''{FAMILY}'''], os.environ, Path("."))
    while len(started.tree()) < 2:
        time.sleep(0.05)
    if sys.argv[2] == "paused":
        started.pause()
    print(*[process.pid for process in started.tree()], flush=True)
    if sys.argv[2] == "fails":
        raise RuntimeError("failure")
    time.sleep(60)
"""


def _is_running(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("how", ["killed", "paused", "fails"])
def test_benchmark_processes_end_with_the_benchmark(how: str, tmp_path: Path) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", BENCHMARK, str(tmp_path), how],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as benchmark:
        assert benchmark.stdout is not None
        family = [int(pid) for pid in benchmark.stdout.readline().split()]
        assert len(family) == 2
        if how != "fails":
            assert all(_is_running(pid) for pid in family)
            benchmark.send_signal(signal.SIGKILL)
        wait_for(lambda: not any(_is_running(pid) for pid in family))


def test_pause_stops_cpu_use_of_the_tree(processes: BenchmarkProcesses) -> None:
    started = processes.start("family", [sys.executable, "-c", FAMILY], os.environ, ROOT)
    wait_for(lambda: len(started.tree()) == 2 and cpu_seconds(started) > 0.1)
    started.pause()
    time.sleep(0.05)
    before = cpu_seconds(started)
    time.sleep(0.4)
    assert cpu_seconds(started) - before <= 0.02
    started.resume()
    wait_for(lambda: cpu_seconds(started) - before > 0.1)
    family = [process.pid for process in started.tree()]
    started.terminate()
    assert not any(_is_running(pid) for pid in family)


def test_seconds_to_ready_is_measured_from_the_start_of_the_command(start_server: StartServer) -> None:
    start = time.monotonic()
    server = start_server()
    seconds = server.process.seconds_to_ready(f"{server.url}/readyz")
    assert 0 < seconds <= time.monotonic() - start


def test_seconds_to_ready_process_not_ready_raises_with_log(processes: BenchmarkProcesses) -> None:
    url = f"http://{HOST}:{free_port()}/readyz"
    dead = processes.start("dead", [sys.executable, "-c", "print('no port left'); exit(3)"], os.environ, ROOT)
    with pytest.raises(ProcessNotReadyError, match=r"(?s)dead ended with status 3.*no port left"):
        dead.seconds_to_ready(url)
    mute = processes.start("mute", [sys.executable, "-c", "import time; time.sleep(60)"], os.environ, ROOT)
    with pytest.raises(ProcessNotReadyError, match="mute was not ready"):
        mute.seconds_to_ready(url, timeout=0.5)
