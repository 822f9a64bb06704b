"""How much the load generator could measure: it asks a server that does nothing but answer.

python -m benchmarks.serving.generator_limit PORT
"""

import asyncio
import sys
from pathlib import Path

from benchmarks.serving.fixture import ROOT
from benchmarks.serving.load import send_load
from benchmarks.serving.processes import HOST, Processes, free_port

_ANSWER = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"


class _Answers(asyncio.Protocol):
    """One answer to whatever arrives."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        assert isinstance(self._transport, asyncio.Transport)
        self._transport.write(_ANSWER)


async def _serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(_Answers, HOST, port)
    await server.serve_forever()


def ceiling(
    processes: Processes, environment: dict[str, str], bodies: Path, connections: int, generator: str | None = None
) -> int:
    """Requests per second of the generator with a server that costs next to nothing."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.serving.generator_limit", str(port)]
    server = processes.start("ceiling", command, environment, ROOT)
    url = f"http://{HOST}:{port}/"
    server.wait_until(url)
    try:
        return round(send_load(url, bodies, connections, 1, generator=generator).requests_per_second)
    finally:
        processes.end(server)


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
