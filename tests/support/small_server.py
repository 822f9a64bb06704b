"""Small HTTP server with a delay and failures, which responds in chunks and logs the request bodies.

    python -m tests.support.small_server PORT LOG DELAY FAIL_EVERY

``LOG`` contains each body on a line; every ``FAIL_EVERY``-th response is a 503 (0: none). GET responds with 200.
"""

import asyncio
import sys
from pathlib import Path


class SmallServerProtocol:
    """Handler of connections; a response consists of three chunks."""

    def __init__(self, log: Path, delay: float, fail_every: int) -> None:
        self._log, self._delay, self._fail_every = log.open("a", buffering=1), delay, fail_every
        self._count = 0

    async def handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            length = next(
                (line.split(b":")[1] for line in head.split(b"\r\n") if line.lower()[:15] == b"content-length:"), 0
            )
            body = await reader.readexactly(int(length))
            await self._respond(head, body, writer)
        writer.close()

    async def _respond(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
        status = b"200 OK"
        if head.startswith(b"POST"):
            self._log.write(body.decode() + "\n")
            self._count += 1
            if self._fail_every and self._count % self._fail_every == 0:
                status = b"503 Service Unavailable"
        await asyncio.sleep(self._delay)
        writer.write(b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n")
        await asyncio.sleep(0)
        writer.write(b'{"yes":')
        await asyncio.sleep(0)
        writer.write(b"1}")


async def main() -> None:
    port, log, delay, fail_every = sys.argv[1:5]
    protocol = SmallServerProtocol(Path(log), float(delay), int(fail_every))
    async with await asyncio.start_server(protocol.handle, "127.0.0.1", int(port)) as server:
        await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
