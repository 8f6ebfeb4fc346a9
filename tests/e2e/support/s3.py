"""An S3 server (moto) in this process, and a relay in front of it that counts, slows down and cuts what passes.

moto checks neither signatures nor checksums and honours conditional requests; what others do differently is tested against the
double in `crates/server/src/stores/s3/tests`.
"""

import contextlib
import socket
import threading
import time
import uuid
from collections.abc import Iterator

import boto3
from moto.server import ThreadedMotoServer

from support.managing import s3_store

ACCESS_KEY = "access-key-of-the-tests"
SECRET_KEY = "hush-secret-key-of-the-tests"
REGION = "us-east-1"
PIECE = 64 << 10


class Relay:
    """Passes bytes on between a port of its own and the server, and counts them."""

    def __init__(self, target: tuple[str, int]):
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._open: list[socket.socket] = []
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.sent = 0
        self.received = 0
        # Seconds that each piece towards the server is held up, once so many bytes were sent.
        self.slow_after: int | None = None
        self.pause = 0.05
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()
        for connection in self._open:
            with contextlib.suppress(OSError):
                connection.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
                far = socket.create_connection(self._target)
            except OSError:
                return
            self._open += [near, far]
            threading.Thread(target=self._pass, args=(near, far, True), daemon=True).start()
            threading.Thread(target=self._pass, args=(far, near, False), daemon=True).start()

    def _pass(self, source: socket.socket, sink: socket.socket, to_server: bool) -> None:
        try:
            while piece := source.recv(PIECE):
                if to_server:
                    self.sent += len(piece)
                    if self.slow_after is not None and self.sent > self.slow_after:
                        time.sleep(self.pause)
                else:
                    self.received += len(piece)
                sink.sendall(piece)
        except OSError:
            pass
        for end in (source, sink):
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)


class Bucket:
    """A bucket that starts empty, and how a server is told of it."""

    def __init__(self, name: str, address: tuple[str, int]):
        self.name = name
        self.relay = Relay(address)
        self.client = boto3.client(
            "s3",
            endpoint_url=f"http://{address[0]}:{address[1]}",
            region_name=REGION,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
        )
        self.client.create_bucket(Bucket=name)

    def settings(self, **more: str) -> dict[str, str]:
        """Variables of a server that keeps its archives in this bucket, through the relay."""
        values = {
            "bucket": self.name,
            "region": REGION,
            "access_key": ACCESS_KEY,
            "secret_key": SECRET_KEY,
            "endpoint_url": self.relay.url,
        }
        prefix = "QDRANT__STORAGE__SNAPSHOTS_CONFIG__"
        variables = {f"{prefix}S3_CONFIG__{key.upper()}": value for key, value in (values | more).items()}
        return variables | {f"{prefix}SNAPSHOTS_STORAGE": "s3"}

    def store(self) -> dict:
        """This bucket as a store of the backup manager."""
        return s3_store(self.relay.url, self.name, REGION, ACCESS_KEY, SECRET_KEY)

    def keys(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [found["Key"] for page in pages for found in page.get("Contents", [])]

    @staticmethod
    def keys_of(*archives: str) -> list[str]:
        """The keys of archives with those of what is beside each."""
        return [key + suffix for key in archives for suffix in ["", ".checksum", ".meta.json"]]

    def uploads(self) -> list[str]:
        """Keys of multipart uploads that are neither complete nor aborted."""
        return [found["Key"] for found in self.client.list_multipart_uploads(Bucket=self.name).get("Uploads", [])]

    def read(self, key: str) -> bytes:
        return self.client.get_object(Bucket=self.name, Key=key)["Body"].read()


class S3:
    """The server."""

    def __init__(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        self._server.start()
        self._buckets: list[Bucket] = []

    def bucket(self) -> Bucket:
        """A fresh one."""
        # All servers of one process have the same buckets.
        made = Bucket(f"bucket-{uuid.uuid4()}", self._server.get_host_and_port())
        self._buckets.append(made)
        return made

    def end(self) -> None:
        for bucket in self._buckets:
            bucket.relay.close()
        self._server.stop()


@contextlib.contextmanager
def serving() -> Iterator[S3]:
    """A server for as long as the block runs."""
    s3 = S3()
    try:
        yield s3
    finally:
        s3.end()
