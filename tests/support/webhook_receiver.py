"""HTTP server that receives alerts: it answers with given status codes and records the request bodies."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from tests.support.http_server import PostHandler, running_http_server

SECRET = "T0SECRET"


@dataclass
class Receiver:
    """Recorded requests. ``statuses`` are answered in order, then 200; 0 closes the connection without a response."""

    port: int = 0
    statuses: list[int] = field(default_factory=list)
    rejected_key: str = ""
    """Key of the alert that is always answered with 400."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    @property
    def url(self) -> str:
        """Return the URL, with a secret."""
        return f"http://127.0.0.1:{self.port}/{SECRET}"

    def received(self, key: str = "") -> list[str]:
        """Return the kinds of the messages, in order; only those of one alert if ``key`` is given."""
        return [body["kind"] for body in self.bodies if not key or body["key"] == key]

    def respond(self, body: dict[str, Any], idempotency_key: str) -> int:
        """Record a request and return the status."""
        with self.lock:
            if self.rejected_key and body.get("key") == self.rejected_key:
                return 400
            status = self.statuses.pop(0) if self.statuses else 200
            if status == 200:
                self.bodies.append(body)
                self.keys.append(idempotency_key)
            return status


@contextmanager
def running_receiver(port: int = 0, receiver: Receiver | None = None) -> Iterator[Receiver]:
    """Serve a receiver on a port (0: a free one); a given receiver keeps its records."""
    running = receiver or Receiver()

    class Handler(PostHandler):
        def handle_post(self, body: bytes) -> None:
            status = running.respond(json.loads(body), self.headers["Idempotency-Key"])
            if not status:
                self.close_connection = True
                self.connection.close()
                return
            self.respond(status, b"ok")

        def handle(self) -> None:
            with suppress(OSError, ValueError):
                super().handle()

    with running_http_server(Handler, port) as running.port:
        yield running
