"""A network between a client and a server on this machine, which a test can make slow, or break."""

import contextlib
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_RESET = struct.pack("ii", 1, 0)  # closed with this, a connection ends with a reset instead of a farewell


class TcpProxy:
    """Forwards to ``port``.

    ``delay``: seconds that each piece of an answer, of at most ``piece`` bytes, takes longer. ``cuts``: so many
    connections are reset after ``cut_after`` bytes of their next answers.
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
        """End all connections, and take no more."""
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
                for target, ends in ((self._ask, (client, server)), (self._answer, (server, client))):
                    threading.Thread(target=target, args=ends, daemon=True).start()

    def _ask(self, client: socket.socket, server: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := client.recv(65_536):
                server.sendall(data)
        self._reset(client, server)

    def _answer(self, server: socket.socket, client: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := server.recv(65_536):
                time.sleep(self.delay)
                if self.cuts:
                    self.cuts -= 1
                    client.sendall(data[: self.cut_after])
                    break
                piece = self.piece  # a test may change it once it has what it waits for
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
    """A proxy for the block."""
    proxy = TcpProxy(port)
    try:
        yield proxy
    finally:
        proxy.close()
