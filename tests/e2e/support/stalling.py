"""Clients that stop in the middle, and a remote that does: each holds one connection, and knows whether it is still there."""

import select
import socket
import threading
from urllib.parse import urlsplit

from support.server import Server

TIMEOUT = 60
BOUNDARY = "stalling"


class Client:
    """A connection that has sent some bytes and reads nothing."""

    def __init__(self, server: Server, sent: bytes):
        address = urlsplit(server.url)
        self.socket = socket.socket()
        # What the system would take in for a client that does not read is small.
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect((address.hostname, address.port))
        self.socket.sendall(sent)

    def rest(self) -> bytes:
        """All that the server sends until it closes the connection."""
        found = b""
        try:
            while piece := self.socket.recv(65536):
                found += piece
        except ConnectionResetError:
            pass  # It closed while something was on its way to it.
        finally:
            self.socket.close()
        return found

    def close(self) -> None:
        self.socket.close()


def reader(server: Server, path: str) -> Client:
    """Asks for something long and takes the beginning of it."""
    client = Client(server, f"GET {path} HTTP/1.1\r\nhost: x\r\n\r\n".encode())
    assert client.socket.recv(12) == b"HTTP/1.1 200"
    return client


def uploader(server: Server, path: str, archive: bytes, part: float = 0.5) -> Client:
    """Sends a part of an archive."""
    head = f'--{BOUNDARY}\r\ncontent-disposition: form-data; name="snapshot"; filename="x"\r\n\r\n'.encode()
    tail = f"\r\n--{BOUNDARY}--\r\n".encode()
    lines = [
        f"POST {path} HTTP/1.1",
        "host: x",
        f"content-type: multipart/form-data; boundary={BOUNDARY}",
        f"content-length: {len(head) + len(archive) + len(tail)}",
    ]
    body = head + archive[: int(len(archive) * part)]
    return Client(server, "\r\n".join([*lines, "", ""]).encode() + body)


class Remote:
    """A server that has one archive, sends half of it to whoever asks, and the rest only after [`release`]."""

    def __init__(self, archive: bytes):
        self._archive = archive
        self._released = threading.Event()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self._lock = threading.Lock()
        self._connections: list[socket.socket] = []
        self.stalled = 0
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}/a.snapshot"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def __enter__(self) -> "Remote":
        return self

    def __exit__(self, *_: object) -> None:
        self._released.set()
        # Closing alone would not wake the thread that waits in it.
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            for connection in self._connections:
                connection.close()
        for thread in self._threads:
            thread.join(TIMEOUT)

    def release(self) -> None:
        """Lets everybody have the rest, and whoever comes later the whole."""
        self._released.set()

    def connected(self) -> int:
        """How many of those that wait for the rest have not been given up."""
        count = 0
        with self._lock:
            for connection in self._connections:
                # They send nothing more, so what can be read is their end.
                ended, _, _ = select.select([connection], [], [], 0)
                count += not ended
        return count

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(connection,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, connection: socket.socket) -> None:
        half = len(self._archive) // 2
        try:
            connection.settimeout(TIMEOUT)
            while b"\r\n\r\n" not in connection.recv(65536):
                pass
            head = f"HTTP/1.1 200 OK\r\ncontent-length: {len(self._archive)}\r\nconnection: close\r\n\r\n"
            connection.sendall(head.encode() + self._archive[:half])
            with self._lock:
                self._connections.append(connection)
                self.stalled += 1
            self._released.wait(TIMEOUT)
            connection.sendall(self._archive[half:])
            connection.shutdown(socket.SHUT_WR)
        except OSError:
            pass  # Whoever asked is gone.
