"""A receiver of alerts: a real HTTP server that answers what a test wants, and keeps what it was sent."""

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

SECRET = "T0SECRET"


@dataclass
class Receiver:
    """``answers`` are used up one by one; then everything is taken. 0 hangs up without an answer."""

    port: int = 0
    answers: list[int] = field(default_factory=list)
    refuses: str = ""
    """A key whose alerts are answered 400 for ever."""
    bodies: list[dict[str, Any]] = field(default_factory=list)
    keys: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/{SECRET}"

    def took(self, key: str = "") -> list[str]:
        """The kinds of what it was sent, in order; of one alert, if named."""
        return [body["kind"] for body in self.bodies if not key or body["key"] == key]

    def answer(self, body: dict[str, Any], idempotency_key: str) -> int:
        with self.lock:
            if self.refuses and body.get("key") == self.refuses:
                return 400
            status = self.answers.pop(0) if self.answers else 200
            if status == 200:
                self.bodies.append(body)
                self.keys.append(idempotency_key)
            return status


@contextmanager
def receiving(port: int = 0, receiver: Receiver | None = None) -> Iterator[Receiver]:
    """A receiver on a port; the given one goes on there."""
    found = receiver or Receiver()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status = found.answer(body, self.headers["Idempotency-Key"])
            if not status:
                self.close_connection = True
                self.connection.close()
                return
            self.send_response(status)
            self.send_header("Content-Length", "2")
            self.end_headers()
            self.wfile.write(b"ok")

        def log_message(self, *_: Any) -> None:
            pass

        def handle(self) -> None:
            with suppress(OSError, ValueError):
                super().handle()

    server = ThreadingHTTPServer(("127.0.0.1", port), Handler)
    found.port = server.server_port
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield found
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
