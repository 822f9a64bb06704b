"""Maximum throughput of the load generator, measured with a server that returns a constant.

python -m benchmarks.serving.generator_limit PORT
"""

import asyncio
import sys
from pathlib import Path

from benchmarks.serving.fixture import ROOT
from benchmarks.serving.load import send_load
from benchmarks.serving.processes import BenchmarkProcesses
from holdfast.runtime.processes import HOST, free_port

_RESPONSE = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class _ConstantServer(asyncio.Protocol):
    """One response to each received chunk."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(_RESPONSE)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_ConstantServer, HOST, port)
    await server.serve_forever()


def measure_generator_limit(
    processes: BenchmarkProcesses,
    environment: dict[str, str],
    bodies: Path,
    connections: int,
    generator: str | None = None,
) -> int:
    """Measure the generator with a server that costs next to nothing.

    Args:
        processes: Processes of the benchmark.
        environment: Environment variables of the server.
        bodies: File with request bodies.
        connections: Number of connections.
        generator: Name of the generator; None: the default.

    Returns:
        Requests per second.
    """
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.serving.generator_limit", str(port)]
    server = processes.start("generator-limit", command, environment, ROOT)
    url = f"http://{HOST}:{port}/"
    server.seconds_to_ready(url)
    try:
        return round(send_load(url, bodies, connections, 1, generator=generator).requests_per_second)
    finally:
        server.terminate()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
