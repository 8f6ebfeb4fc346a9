"""A web server inside the test, which answers as badly as a test wants."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class Request(BaseHTTPRequestHandler):
    """One request; `reply` sends what a handler of a test wants to be sent."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        self.server.seen.append(self)
        self.close_connection = True
        try:
            self.server.handler(self)
        except ConnectionError:
            pass  # Whoever asked has read enough.

    do_POST = do_PUT = do_DELETE = do_GET

    def reply(self, status: int, content: bytes = b"", length: int | None = None, **headers: str) -> None:
        """An answer with its length, or with another one that is announced."""
        self.send_response(status)
        self.send_header("content-length", str(len(content) if length is None else length))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(content)
        self.wfile.flush()

    def log_message(self, *arguments: object) -> None:
        """Says nothing."""


class Web(ThreadingHTTPServer):
    """The server, and the requests that it has seen."""

    def __init__(self, handler: Callable[[Request], None]):
        super().__init__(("127.0.0.1", 0), Request)
        self.handler = handler
        self.seen: list[Request] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


@contextmanager
def web(handler: Callable[[Request], None]) -> Iterator[Web]:
    """A web server on a loopback port, whose handler gets each request."""
    with Web(handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
