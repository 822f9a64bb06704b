"""Load generator in Python, for machines without wrk: one thread, raw sockets, no client library.

    python -m benchmarks.serving.python_load URL BODIES CONNECTIONS SECONDS FIRST

Requests are byte strings that are prepared before the measurement.
"""

import json
import math
import selectors
import socket
import sys
import time
from array import array
from collections.abc import Iterator
from itertools import cycle, islice
from pathlib import Path
from urllib.parse import urlsplit

_CHUNK = 1 << 18
_TIMEOUT = 30.0


class _Connection:
    """Connection with one pending request."""

    def __init__(self, address: tuple[str, int], selector: selectors.BaseSelector) -> None:
        self._address, self._selector = address, selector
        self._socket: socket.socket | None = None
        self.sent_at = 0.0
        self._response = b""
        self._missing = -1  # bytes of the body still to come; -1 while the head is incomplete

    def send(self, request: bytes) -> None:
        if self._socket is None:
            self._socket = socket.create_connection(self._address, timeout=_TIMEOUT)
            self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._selector.register(self._socket, selectors.EVENT_READ, self)
        self._response, self._missing = b"", -1
        self.sent_at = time.perf_counter()
        self._socket.sendall(request)

    def receive(self) -> bool | None:
        """Receive data; returns True for a complete 200, False for an error, None while incomplete."""
        assert self._socket is not None
        try:
            data = self._socket.recv(_CHUNK)
        except OSError:
            data = b""
        if not data:
            self.close()
            return False
        if self._missing >= 0:
            self._missing -= len(data)
        else:
            self._response += data
            head, found, body = self._response.partition(b"\r\n\r\n")
            if not found:
                return None
            self._missing = _content_length(head) - len(body)
        if self._missing > 0:
            return None
        return self._response.startswith(b"HTTP/1.1 200")

    def close(self) -> None:
        if self._socket is not None:
            self._selector.unregister(self._socket)
            self._socket.close()
            self._socket = None


def _content_length(head: bytes) -> int:
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    if not found:
        raise SystemExit("The response has no Content-Length; chunked responses need wrk.")
    return int(rest.partition(b"\r\n")[0])


def run(url: str, bodies: Path, connections: int, seconds: float, first: int) -> dict[str, float]:
    """Run a closed loop; later responses are received but not counted, so that the server is idle afterwards.

    Args:
        url: Address of the POST requests.
        bodies: File with request bodies, one per line.
        connections: Number of connections.
        seconds: Duration.
        first: Number of the first body.

    Returns:
        Requests, seconds, p50_ms, p99_ms and errors.
    """
    parts = urlsplit(url)
    assert parts.hostname
    requests = _requests(parts.netloc, parts.path or "/", bodies, first)
    selector = selectors.DefaultSelector()
    address = (parts.hostname, parts.port or 80)
    latencies, errors = array("d"), 0
    clock = time.perf_counter
    start = clock()
    end = start + seconds
    open_connections = [_Connection(address, selector) for _ in range(connections)]
    for connection in open_connections:
        connection.send(next(requests))
    while (now := clock()) < end:
        for key, _ in selector.select(timeout=end - now):
            connection = key.data
            ok = connection.receive()
            if ok is None:
                continue
            latencies.append(clock() - connection.sent_at)
            errors += not ok
            connection.send(next(requests))
    elapsed = clock() - start
    while selector.get_map() and (ready := selector.select(timeout=_TIMEOUT)):
        for key, _ in ready:
            if key.data.receive() is not None:
                key.data.close()
    for connection in open_connections:
        connection.close()
    return _summary(latencies, errors, elapsed)


def _requests(host: str, path: str, bodies: Path, first: int) -> Iterator[bytes]:
    head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Type: application/json\r\nContent-Length: "
    lines = [line.encode() for line in bodies.read_text().splitlines()]
    prepared = [f"{head}{len(line)}\r\n\r\n".encode() + line for line in lines]
    return islice(cycle(prepared), first % len(prepared), None)


def _summary(latencies: "array[float]", errors: int, elapsed: float) -> dict[str, float]:
    ordered = sorted(latencies)

    def percentile(share: float) -> float:
        """Compute a percentile by nearest rank, in milliseconds."""
        return ordered[math.ceil(len(ordered) * share) - 1] * 1000 if ordered else 0.0

    return {
        "requests": len(ordered),
        "seconds": round(elapsed, 6),
        "p50_ms": round(percentile(0.5), 4),
        "p99_ms": round(percentile(0.99), 4),
        "errors": errors,
    }


def main() -> None:
    """Run the load of the command line and print the result as JSON."""
    url, bodies, connections, seconds, first = sys.argv[1:]
    print(json.dumps(run(url, Path(bodies), int(connections), float(seconds), int(first))))


if __name__ == "__main__":
    main()
