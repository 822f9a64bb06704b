"""The service in this process behind a real HTTP server, the one BentoML starts, so that tests can look inside both."""

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

from tests.support.service_fixtures import service_environment


@dataclass(frozen=True)
class HttpService:
    """Where it listens."""

    port: int
    host: str = "127.0.0.1"

    @property
    def url(self) -> str:
        """Of the service."""
        return f"http://{self.host}:{self.port}"

    def client(self, **options: Any) -> httpx.Client:
        """Not trusting the proxies of the caller's shell."""
        return httpx.Client(base_url=self.url, timeout=30, trust_env=False, **options)

    def connect(self) -> "RawConnection":
        """A connection on which bytes are sent one by one."""
        return RawConnection(socket.create_connection((self.host, self.port), timeout=30))


class RawConnection:
    """A connection to the service, below HTTP."""

    def __init__(self, connection: socket.socket) -> None:
        self._connection = connection

    def send(self, data: bytes) -> None:
        """Just that."""
        self._connection.sendall(data)

    def head(self, length: int, path: str = "/predict") -> None:
        """The head of a request with a body of ``length`` bytes."""
        lines = [
            f"POST {path} HTTP/1.1",
            "Host: localhost",
            "Content-Type: application/json",
            f"Content-Length: {length}",
        ]
        self.send("\r\n".join([*lines, "", ""]).encode())

    def answer(self) -> tuple[int, dict[str, str], Any]:
        """Status, headers and JSON of the next answer."""
        data = b""
        while b"\r\n\r\n" not in data:
            data += self._more()
        head, _, body = data.partition(b"\r\n\r\n")
        first, *lines = head.decode().split("\r\n")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        while len(body) < int(headers["content-length"]):
            body += self._more()
        return int(first.split()[1]), headers, json.loads(body)

    def _more(self) -> bytes:
        data = self._connection.recv(65_536)
        assert data, "the connection was closed without an answer"
        return data

    def close(self) -> None:
        """Without a word."""
        self._connection.close()


@contextmanager
def serve_over_http(data: Path, host: str = "127.0.0.1", **variables: str) -> Iterator[HttpService]:
    """The service on a free port, ready; see ``serve_in_process``."""
    from _bentoml_impl.server.app import ServiceAppFactory

    from services.churn import ChurnService

    with contextlib.ExitStack() as stack:
        stack.enter_context(service_environment(data, **variables))
        ChurnService.inject_config()
        app = ServiceAppFactory(ChurnService, is_main=True, enable_metrics=False)()
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
