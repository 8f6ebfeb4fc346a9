"""The server under a system call tracer while it is attacked.

No call names a file outside of its directories to write to it, and none opens one of the files that lie around them.
"""

import os
import re
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from support import forge
from support.attack import JSON, MULTIPART, Target, form, raw
from support.forge import Archive
from support.server import STOP_SECONDS, Server, binary

CALLS = (
    "openat,open,openat2,creat,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,symlink,symlinkat,link,linkat,"
    "chmod,fchmodat,truncate"
)
PATH = re.compile(r'"((?:[^"\\]|\\.)*)"')
WRITES = re.compile(r"O_(WRONLY|RDWR|CREAT|TRUNC)|rename|unlink|mkdir|rmdir|symlink|link|chmod|truncate|creat\(")


class Traced(Server):
    """A server that is started by the tracer."""

    def launch(self, *arguments: object, **variables: str) -> None:
        self._runs += 1
        self.trace = self.home.parent / "trace"
        command = ["strace", "-f", "-qq", "-s", "4096", "-o", str(self.trace), "-e", f"trace={CALLS}", str(binary()), *map(str, arguments)]
        with open(self._file("out"), "wb") as out, open(self._file("err"), "wb") as err:
            self.process = subprocess.Popen(command, cwd=self.home, env=self.environment(**variables), stdout=out, stderr=err)

    def stop(self) -> None:
        # The tracer ends with what it traces.
        pid = self.process.pid
        [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        os.kill(int(child), signal.SIGTERM)
        assert self.process.wait(STOP_SECONDS) == 0


def can_trace() -> bool:
    return shutil.which("strace") is not None and subprocess.run(["strace", "-qq", "true"], capture_output=True).returncode == 0


@pytest.mark.skipif(not can_trace(), reason="strace is missing, or not allowed here")
def test_no_system_call_leaves_the_directories(tmp_path):
    server = Traced(tmp_path / "traced" / "server")
    try:
        target = Target.filled(server.start())
        assert target.request("POST", "/collections/c/snapshots").status_code == 200
        archive = target.archive()
        (server.snapshots / "c" / "link.snapshot").symlink_to(target.root / "canary.snapshot")
        (server.snapshots / "linked").symlink_to(target.root)
        attack(target, archive)
        server.stop()
    finally:
        if server.running():
            server.kill()
    check(target, server.trace.read_text(errors="replace").splitlines())


def attack(target: Target, archive: bytes) -> None:
    """A little of everything that the other tests have more of."""
    server = target.server
    for name in ["..%2Fcanary.snapshot", "%2e%2e%2fx.snapshot", "..", "link.snapshot", "%2Fetc%2Fshadow", "x%00.snapshot"]:
        for scope in ["/snapshots", "/collections/c/snapshots", "/collections/linked/snapshots", "/collections/c/shards/0/snapshots"]:
            for method in ["GET", "DELETE"]:
                raw(server, method, f"{scope}/{name}")
    for collection in ["..", "%2e%2e", "..%2Fserver-x", "linked"]:
        raw(server, "POST", f"/collections/{collection}/snapshots/upload", MULTIPART, form(archive))
    for filename in ["../../canary.snapshot", "/tmp/canary.snapshot"]:
        raw(server, "POST", "/collections/new/snapshots/upload", MULTIPART, form(archive, f'form-data; name="snapshot"; filename="{filename}"'))
    hostile = Archive.read(archive)
    hostile.members[0].head = forge.header(hostile.members[0].path, 0, b"2", "/etc/shadow")
    target.upload(hostile.pack())
    for path in ["../../canary.txt", str(target.root / "canary.txt")]:
        target.upload(Archive(hostile.subject, [forge.Member(path, b"x")]).pack())
        lying = Archive.read(archive)
        lying.collection["shards"][0]["path"] = path
        target.upload(lying.pack())
    for place in [
        "/etc/shadow",
        f"{target.root}/canary.snapshot",
        f"{server.snapshots}/../canary.snapshot",
        f"{server.snapshots}/c/link.snapshot",
        f"{server.snapshots}/linked/canary.snapshot",
    ]:
        raw(server, "PUT", "/collections/new/snapshots/recover", JSON, f'{{"location": "file://{place}"}}'.encode())
    target.request("DELETE", "/collections/new")


def check(target: Target, lines: list[str]) -> None:
    own = [str(target.server.storage), str(target.server.snapshots)]
    seen = 0
    for line in lines:
        if "resumed>" in line or "(" not in line:
            continue
        for path in PATH.findall(line):
            if not path.startswith("/"):
                continue
            assert "canary" not in path and "/etc/shadow" not in path, line
            inside = any(path == dir or path.startswith(f"{dir}/") for dir in own)
            seen += inside
            # A failed attempt is one as well.
            assert inside or not WRITES.search(line), line
            # The parent's names are synced once the two are made.
            assert inside or not path.startswith(str(target.root)) or (path == str(target.server.home) and "O_DIRECTORY" in line), line
            assert ".." not in path.split("/"), line
    assert seen > 100, "the tracer saw the server at work"
