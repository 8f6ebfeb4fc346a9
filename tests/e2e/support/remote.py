"""Another server, to recover from: it says what a test tells it to, and remembers every byte that it was asked with."""

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

Answer = Callable[[socket.socket], None]


def response(status: str, body: bytes = b"", *headers: str, length: int | None = None) -> Answer:
    """An answer with a length, which need not be that of the body."""
    length = len(body) if length is None else length
    head = "\r\n".join([f"HTTP/1.1 {status}", f"content-length: {length}", "connection: close", *headers])
    return lambda connection: connection.sendall(head.encode("latin-1") + b"\r\n\r\n" + body)


def redirect(location: str, status: str = "302 Found") -> Answer:
    """An answer that sends the client elsewhere."""
    return response(status, b"elsewhere", f"location: {location}")


def plain(sent: bytes) -> Answer:
    """These bytes, whatever they are, and the end."""
    return lambda connection: connection.sendall(sent)


def endless(head: bytes, piece: bytes) -> Answer:
    """A head and then the same piece until the client goes away, or 1 GiB of it."""

    def answer(connection: socket.socket) -> None:
        connection.sendall(head)
        for _ in range((1 << 30) // len(piece)):
            connection.sendall(piece)
        raise AssertionError("the client took all of it")

    return answer


class Remote:
    """A server on a loopback address of its own."""

    def __init__(self, host: str = "127.0.0.1"):
        self._listener = socket.create_server((host, 0))
        self.host, self.port = host, self._listener.getsockname()[1]
        self.answers: dict[str, Answer] = {}
        self.requests: list[str] = []
        self.failures: list[BaseException] = []
        self._open: list[socket.socket] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def url(self, path: str, host: str | None = None) -> str:
        return f"http://{host or self.host}:{self.port}{path}"

    def close(self) -> None:
        """Ends every connection; a failure of an answer fails the test."""
        for one in [self._listener, *self._open]:
            # What is closed already is as it should be.
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        assert not self.failures, self.failures

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                self._open.append(connection)
                threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        head = b""
        try:
            with connection:
                while b"\r\n\r\n" not in head:
                    piece = connection.recv(65536)
                    if not piece:
                        return
                    head += piece
                self.requests.append(head.decode("latin-1"))
                path = head.split(b" ")[1].decode("latin-1").partition("?")[0]
                self.answers.get(path, response("404 Not Found"))(connection)
        except OSError:
            pass  # The client went away, which is its right.
        except AssertionError as failure:
            self.failures.append(failure)


@contextlib.contextmanager
def remote(host: str = "127.0.0.1") -> Iterator[Remote]:
    """A server for the time of the block."""
    server = Remote(host)
    try:
        yield server
    finally:
        server.close()
