"""Bodies of uploads, byte by byte, also wrong ones; and connections on which anything can be sent."""

import socket
from urllib.parse import urlsplit

TIMEOUT = 60
BOUNDARY = "--------contract"
TYPE = f"multipart/form-data; boundary={BOUNDARY}"
END = f"--{BOUNDARY}--\r\n".encode()


def part(content: bytes, name: str = "snapshot", rest: bytes = b'; filename="x.snapshot"') -> bytes:
    """One part with its delimiter before it."""
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"'.encode() + rest
    return head + b"\r\nContent-Type: application/octet-stream\r\n\r\n" + content + b"\r\n"


def connect(url: str, path: str, *headers: str) -> socket.socket:
    """A connection on which the head of an upload was sent."""
    address = urlsplit(url)
    connection = socket.create_connection((address.hostname, address.port), timeout=TIMEOUT)
    lines = [f"POST {path} HTTP/1.1", f"host: {address.netloc}", "connection: close", f"content-type: {TYPE}", *headers]
    connection.sendall("\r\n".join([*lines, "", ""]).encode())
    return connection


def received(connection: socket.socket) -> bytes:
    """All that the server sends until it closes the connection."""
    found = b""
    try:
        while piece := connection.recv(65536):
            found += piece
    except ConnectionResetError:
        pass  # It closed while something was on its way to it.
    return found
