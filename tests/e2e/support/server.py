"""The real binary as a child process.

Every server gets a home directory of its own (storage, snapshots, logs) and a loopback port that the system chooses; the port is read
from the line that the server prints when it listens. Waiting is always bounded. No test sees the settings of the machine: variables
of the server are removed from the environment first.
"""

import os
import re
import signal
import subprocess
import time
from pathlib import Path

import requests
from qdrant_client import QdrantClient

START_SECONDS = 120
STOP_SECONDS = 30
REFUSE_SECONDS = 30
POLL_SECONDS = 0.01
PREFIXES = ("QDRANT__", "ICECORE__")
LISTENING = re.compile(r"listening on (https?://127\.0\.0\.1:\d+)")


def binary() -> Path:
    """The server under test: `ICECORE_BIN`, or the development build."""
    root = Path(__file__).resolve().parents[3]
    target = Path(os.environ.get("CARGO_TARGET_DIR", root / "target"))
    path = Path(os.environ.get("ICECORE_BIN", target / "debug" / "icecore")).absolute()
    assert path.is_file(), f"{path} is missing; build it, or run scripts/test"
    return path


def clean_environment(**variables: str) -> dict[str, str]:
    """The environment without any setting of a server, and with these variables."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(PREFIXES)}
    return kept | variables


class NotReady(AssertionError):
    """The server ended, or did not answer in time."""


class Server:
    """A server and its home directory, which outlives the process: `start` may be called again after `stop` or `kill`."""

    def __init__(self, home: Path):
        self.home = home
        self.storage = home / "storage"
        self.snapshots = home / "snapshots"
        self.process: subprocess.Popen | None = None
        self.url = ""
        # How `requests` meets a server that speaks TLS: the file of authorities, and the files of an own certificate and key.
        self.verify: bool | str = True
        self.certificate: tuple[str, str] | None = None
        self._runs = 0
        home.mkdir(parents=True, exist_ok=True)

    def environment(self, **variables: str) -> dict[str, str]:
        """What the server is started with."""
        paths = {
            "QDRANT__STORAGE__STORAGE_PATH": str(self.storage),
            "QDRANT__STORAGE__SNAPSHOTS_PATH": str(self.snapshots),
            "QDRANT__SERVICE__HOST": "127.0.0.1",
            "QDRANT__SERVICE__HTTP_PORT": "0",
            # Otherwise it may be noting something beside any archive just when a test looks at the files. test_shared.py switches it on.
            "ICECORE__SNAPSHOTS__VERIFY_NEW": "false",
        }
        return clean_environment(**(paths | variables))

    def launch(self, *arguments: object, **variables: str) -> None:
        """Starts the process, without waiting for it to be ready."""
        assert self.process is None or self.process.poll() is not None, "the server is running already"
        self._runs += 1
        self.url = ""
        with open(self._file("out"), "wb") as out, open(self._file("err"), "wb") as err:
            command = [str(binary()), *map(str, arguments)]
            self.process = subprocess.Popen(command, cwd=self.home, env=self.environment(**variables), stdout=out, stderr=err)

    def start(self, *arguments: object, **variables: str) -> "Server":
        """Starts the process and waits until it answers `/readyz`."""
        self.launch(*arguments, **variables)
        self.wait_until_ready()
        return self

    def wait_until_ready(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                raise NotReady(f"the server ended with {self.process.returncode}:\n{self.logs()}")
            if not self.url and (found := LISTENING.search(self._file("out").read_text())):
                self.url = found.group(1)
            if self.url and self._answers():
                return
            time.sleep(POLL_SECONDS)
        raise NotReady(f"the server was not ready after {START_SECONDS} seconds:\n{self.logs()}")

    def run_to_the_end(self, *arguments: object, **variables: str) -> subprocess.CompletedProcess:
        """Runs the server with arguments that make it end by itself; its result. One that does not end fails the test."""
        command = [str(binary()), *map(str, arguments)]
        return subprocess.run(
            command, cwd=self.home, env=self.environment(**variables), capture_output=True, text=True, timeout=REFUSE_SECONDS
        )

    def stop(self) -> None:
        """Asks the server to end, and checks that it ends well."""
        self.process.send_signal(signal.SIGTERM)
        code = self.process.wait(STOP_SECONDS)
        assert code == 0, f"the server ended with {code} after SIGTERM:\n{self.logs()}"
        assert "panicked" not in self.logs(), self.logs()
        assert not [*self.storage.glob("control.db-*")], "the database of jobs was closed"

    def kill(self) -> None:
        """Ends the process at whatever instruction it is."""
        self.process.kill()
        self.process.wait(STOP_SECONDS)

    def running(self) -> bool:
        return self.process is not None and self.process.poll() is None

    def logs(self) -> str:
        """What the last run printed."""
        if self._runs == 0:
            return ""
        return self._file("out").read_text(errors="replace") + self._file("err").read_text(errors="replace")

    def client(self, **access: object) -> QdrantClient:
        """The Qdrant project's client. It would look at the server's version on a thread that may outlive the test, so it does not."""
        return QdrantClient(url=self.url, timeout=60, prefer_grpc=False, check_compatibility=False, **access)

    def _answers(self) -> bool:
        try:
            return requests.get(f"{self.url}/readyz", timeout=5, verify=self.verify, cert=self.certificate).status_code == 200
        except requests.ConnectionError:
            return False

    def _file(self, kind: str) -> Path:
        return self.home / f"run-{self._runs}.{kind}"
