"""Garage, a distributed S3 store, as child processes: three nodes on loopback ports, each object on all three.

Only used where the program is there; docs/distributed.md says how to get it. Nodes are killed and started again by number.
"""

import re
import secrets
import socket
import subprocess
import time
from pathlib import Path

from support.managing import s3_store

NODES = 3
REGION = "garage"
BUCKET = "backups"
START_SECONDS = 60
STOP_SECONDS = 30
COMMAND_SECONDS = 60

CONFIGURATION = """
metadata_dir = "{home}/meta"
data_dir = "{home}/data"
db_engine = "lmdb"
replication_factor = {nodes}
rpc_bind_addr = "127.0.0.1:{rpc}"
rpc_public_addr = "127.0.0.1:{rpc}"
rpc_secret = "{secret}"

[s3_api]
s3_region = "{region}"
api_bind_addr = "127.0.0.1:{s3}"
root_domain = ".s3.localhost"
"""


def free_ports(count: int) -> list[int]:
    """Ports that nobody listens on."""
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Node:
    """One process, with its own directory and ports."""

    def __init__(self, program: str, home: Path, secret: str):
        self._program = program
        self._home = home
        self._process: subprocess.Popen | None = None
        home.mkdir(parents=True)
        self.s3, rpc = free_ports(2)
        text = CONFIGURATION.format(home=home, nodes=NODES, rpc=rpc, secret=secret, region=REGION, s3=self.s3)
        (home / "garage.toml").write_text(text)

    def start(self) -> None:
        with open(self._home / "log", "ab") as log:
            self._process = subprocess.Popen([*self._command(), "server"], stdout=log, stderr=log)

    def kill(self) -> None:
        self._process.kill()
        self._process.wait(STOP_SECONDS)

    def run(self, *arguments: str) -> str:
        """What a command of this node prints."""
        command = [*self._command(), *arguments]
        done = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS)
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
        return done.stdout

    def identity(self) -> str:
        """Its public key and address."""
        return re.search(r"[0-9a-f]{64}@\S+", self.run("node", "id", "-q")).group()

    def wait_until_up(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while True:
            try:
                self.run("status")
                return
            except AssertionError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.2)

    def _command(self) -> list[str]:
        return [self._program, "-c", str(self._home / "garage.toml")]


class Garage:
    """A cluster with one bucket and one key."""

    def __init__(self, program: str, home: Path):
        secret = secrets.token_hex(32)
        self.nodes = [Node(program, home / f"node-{number}", secret) for number in range(NODES)]
        for node in self.nodes:
            node.start()
        for node in self.nodes:
            node.wait_until_up()
        first = self.nodes[0]
        for node in self.nodes[1:]:
            first.run("node", "connect", node.identity())
        for node in self.nodes:
            first.run("layout", "assign", "-z", "dc1", "-c", "10G", node.identity().split("@")[0])
        first.run("layout", "apply", "--version", "1")
        first.run("bucket", "create", BUCKET)
        made = first.run("key", "create", "icecore")
        self.access_key = re.search(r"Key ID:\s*(\S+)", made).group(1)
        self.secret_key = re.search(r"Secret key:\s*(\S+)", made).group(1)
        first.run("bucket", "allow", "--read", "--write", "--owner", BUCKET, "--key", "icecore")

    def wait_until_whole(self) -> None:
        """Until the first node sees all others."""
        deadline = time.monotonic() + START_SECONDS
        while "FAILED NODES" in (status := self.nodes[0].run("status")):
            assert time.monotonic() < deadline, status
            time.sleep(0.2)

    def endpoint(self, number: int) -> str:
        """Where node `number` is asked."""
        return f"http://127.0.0.1:{self.nodes[number].s3}"

    def store(self, number: int) -> dict:
        """The bucket, by way of node `number`, as a store of the backup manager."""
        return s3_store(self.endpoint(number), BUCKET, REGION, self.access_key, self.secret_key)

    def stop(self) -> None:
        for node in self.nodes:
            node.kill()
