"""The service in this process behind uvicorn, the HTTP server that BentoML uses."""

import contextlib
import json
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import uvicorn

from tests.support.bentoml_internals import create_asgi_app
from tests.support.service_fixtures import service_environment


@dataclass(frozen=True)
class HttpService:
    """A service that listens on a port."""

    port: int
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """Return the URL of the service."""
        return f"http://{self.host}:{self.port}"

    def client(self, **options: Any) -> httpx.Client:
        """Create a client that ignores the proxies of the environment."""
        return httpx.Client(base_url=self.url, timeout=30, trust_env=False, **options)

    def connect(self) -> "RawConnection":
        """Open a TCP connection."""
        return RawConnection(socket.create_connection((self.host, self.port), timeout=30))


class RawConnection:
    """A TCP connection on which a test writes HTTP itself."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, data: bytes) -> None:
        """Send bytes."""
        self._connection.sendall(data)

    def send_head(self, length: int, path: str = "/predict") -> None:
        """Send the head of a request with a body of ``length`` bytes."""
        lines = [
            f"POST {path} HTTP/1.1",
            "Host: localhost",
            "Content-Type: application/json",
            f"Content-Length: {length}",
        ]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def read_response(self) -> tuple[int, dict[str, str], Any]:
        """Read status, headers and JSON of the next response."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._receive()
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        while len(body) < int(headers["content-length"]):
            body += self._receive()
        return int(first.split()[1]), headers, json.loads(body)

    def _receive(self) -> bytes:
        data = self._connection.recv(65_536)
        assert data, "the connection was closed without a response"
        return data

    def close(self) -> None:
        """Close the connection without an HTTP message."""
        self._connection.close()


@contextmanager
def serve_over_http(data: Path, host: str = "127.0.0.1", **variables: str) -> Iterator[HttpService]:
    """Serve on a free port; the parameters are those of ``serve_in_process``."""
    with contextlib.ExitStack() as stack:
        stack.enter_context(service_environment(data, **variables))
        app = create_asgi_app()
        listener = stack.enter_context(socket.create_server((host, 0)))
        server = uvicorn.Server(uvicorn.Config(app, log_config=None, server_header=False))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]})
        thread.start()
        try:
            while not server.started:
                assert thread.is_alive(), "the server has ended"
                time.sleep(0.01)
            yield HttpService(int(listener.getsockname()[1]), host)
        finally:
            server.should_exit = True
            thread.join()
