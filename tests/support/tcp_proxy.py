"""TCP proxy between a client and a server on this machine, which a test can slow down or break."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_RESET = struct.pack("ii", 1, 0)  # SO_LINGER of 0 s: close() resets the connection


class TcpProxy:
    """Proxy that forwards to ``port``.

    Attributes:
        delay: Delay of each piece of a response, seconds.
        piece: Maximum size of a piece, bytes.
        cuts: Number of connections to reset within their next response.
        cut_after: Bytes of the response after which a connection is reset.
        accepted: Number of accepted connections.
    """

    def __init__(self, port: int) -> None:
        self._to = port
        self.delay = 0.0
        self.piece = 65_536
        self.cuts = 0
        self.cut_after = 0
        self.accepted = 0
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Reset all connections and accept no more."""
        self._listener.close()
        for one in list(self._open):
            self._reset(one)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                self.accepted += 1
                try:
                    server = socket.create_connection(("127.0.0.1", self._to))
                except OSError:
                    self._reset(client)
                    continue
                self._open |= {client, server}
                for target, ends in (
                    (self._forward_request, (client, server)),
                    (self._forward_response, (server, client)),
                ):
                    threading.Thread(target=target, args=ends, daemon=True).start()

    def _forward_request(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                server.sendall(data)
        self._reset(client, server)

    def _forward_response(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                time.sleep(self.delay)
                if self.cuts:
                    self.cuts -= 1
                    client.sendall(data[: self.cut_after])
                    break
                piece = self.piece  # a test may change it meanwhile
                client.sendall(data[:piece])
                for start in range(piece, len(data), piece):
                    time.sleep(self.delay)
                    client.sendall(data[start : start + piece])
        self._reset(client, server)

    def _reset(self, *ends: socket.socket) -> None:
        for end in ends:
            self._open.discard(end)
            with contextlib.suppress(OSError):
                end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
                end.shutdown(socket.SHUT_RD)  # wakes the other thread
            end.close()


@contextmanager
def tcp_proxy(port: int) -> Iterator[TcpProxy]:
    """Run a proxy within the block."""
    proxy = TcpProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
