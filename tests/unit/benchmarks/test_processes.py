"""Servers end whatever happens, and have no CPU while they are paused."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

from benchmarks.serving.processes import HOST, Processes, StartError, free_port
from tests.support.main_job import ROOT
from tests.unit.benchmarks.conftest import StartTiny, becomes

pytestmark = pytest.mark.long

# A supervisor and a worker that leaves its group, as BentoML's do; both are busy.
FAMILY = """
import os, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "while True: pass"], start_new_session=True)
print(child.pid, flush=True)
while True: pass
"""
BENCHMARK = f"""
import os, sys, time
from pathlib import Path
from benchmarks.serving.processes import Processes
with Processes(Path(sys.argv[1])) as processes:
    started = processes.start("family", [sys.executable, "-c", '''{FAMILY}'''], os.environ, Path("."))
    while len(started.tree()) < 2:
        time.sleep(0.05)
    if sys.argv[2] == "paused":
        started.pause()
    print(*[process.pid for process in started.tree()], flush=True)
    if sys.argv[2] == "fails":
        raise RuntimeError("as it happens")
    time.sleep(60)
"""


def lives(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.parametrize("how", ["killed", "paused", "fails"])
def test_nothing_outlives_the_benchmark(how: str, tmp_path: Path) -> None:
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
            assert all(lives(pid) for pid in family)
            benchmark.send_signal(signal.SIGKILL)
        assert becomes(lambda: not any(lives(pid) for pid in family))


def test_a_paused_process_and_its_children_use_no_cpu(processes: Processes) -> None:
    started = processes.start("family", [sys.executable, "-c", FAMILY], os.environ, ROOT)
    assert becomes(lambda: len(started.tree()) == 2 and started.cpu_seconds() > 0.1)
    started.pause()
    time.sleep(0.05)
    before = started.cpu_seconds()
    time.sleep(0.4)
    assert started.cpu_seconds() - before <= 0.02
    started.resume()
    assert becomes(lambda: started.cpu_seconds() - before > 0.1)
    family = [process.pid for process in started.tree()]
    processes.end(started)
    assert not any(lives(pid) for pid in family)


def test_readiness_is_timed_from_the_start_of_the_process(tiny: StartTiny) -> None:
    start = time.monotonic()
    server = tiny()
    told = server.process.wait_until(f"{server.url}/readyz")
    assert 0 < told <= time.monotonic() - start


def test_a_server_that_does_not_come_up_is_an_error_with_its_log(processes: Processes) -> None:
    url = f"http://{HOST}:{free_port()}/readyz"
    dead = processes.start("dead", [sys.executable, "-c", "print('no port left'); exit(3)"], os.environ, ROOT)
    with pytest.raises(StartError, match=r"(?s)dead ended with status 3.*no port left"):
        dead.wait_until(url)
    mute = processes.start("mute", [sys.executable, "-c", "import time; time.sleep(60)"], os.environ, ROOT)
    with pytest.raises(StartError, match="mute was not ready"):
        mute.wait_until(url, within=0.5)
