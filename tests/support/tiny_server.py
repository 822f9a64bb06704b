"""A real HTTP server that can be told to be slow, to fail, to answer in pieces, and that remembers what it was asked.

    python -m tests.support.tiny_server PORT LOG DELAY FAIL_EVERY

``LOG`` gets each body on a line; every ``FAIL_EVERY``-th answer is a 503 (0: none). GET answers 200.
"""

import asyncio
import sys
from pathlib import Path


class Server:
    """Answers in two pieces, the head and half a body first."""

    def __init__(self, log: Path, delay: float, fail_every: int) -> None:
        self._log, self._delay, self._fail_every = log.open("a", buffering=1), delay, fail_every
        self._count = 0

    async def connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except (asyncio.IncompleteReadError, ConnectionError):
                break
            length = next(
                (line.split(b":")[1] for line in head.split(b"\r\n") if line.lower()[:15] == b"content-length:"), 0
            )
            body = await reader.readexactly(int(length))
            await self._answer(head, body, writer)
        writer.close()

    async def _answer(self, head: bytes, body: bytes, writer: asyncio.StreamWriter) -> None:
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
    server = Server(Path(log), float(delay), int(fail_every))
    async with await asyncio.start_server(server.connected, "127.0.0.1", int(port)) as listening:
        await listening.serve_forever()


if __name__ == "__main__":
    asyncio.run(main())
