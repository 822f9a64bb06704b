"""HTTP server in a thread of a test."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


class PostHandler(BaseHTTPRequestHandler):
    """Handler of POST requests that logs nothing."""

    def do_POST(self) -> None:
        """Read the body and handle it; overrides a method of the standard library."""
        self.handle_post(self.rfile.read(int(self.headers["Content-Length"])))

    def handle_post(self, body: bytes) -> None:
        """Handle a request."""
        raise NotImplementedError

    def respond(self, status: int, content: bytes = b"", **headers: str) -> None:
        """Send a response."""
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(content))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        """Log nothing; overrides a method of the standard library."""


@contextmanager
def running_http_server(handler: type[BaseHTTPRequestHandler], port: int = 0) -> Iterator[int]:
    """Serve on a port (0: a free one) within the block; yields the port."""
    server = ThreadingHTTPServer(("127.0.0.1", port), handler)
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server.server_port
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
