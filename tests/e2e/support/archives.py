"""Archives, seen by programs that have nothing to do with the server: `tarfile`, GNU tar and bsdtar."""

import hashlib
import json
import subprocess
import tarfile
from pathlib import Path

import requests

MANIFEST = "icecore/manifest.json"
MANIFEST_DIGEST = "icecore/manifest.sha256"
COMMAND_SECONDS = 120


def download(url: str, path: Path) -> Path:
    """Fetches an archive byte by byte as it is."""
    with requests.get(url, stream=True, timeout=120) as response:
        assert response.status_code == 200, response.text
        with open(path, "wb") as file:
            for part in response.iter_content(1 << 20):
                file.write(part)
        assert path.stat().st_size == int(response.headers["content-length"])
    return path


def manifest(path: Path) -> dict:
    """The archive's manifest, as it is written."""
    with tarfile.open(path, "r:") as archive:
        return json.load(archive.extractfile(MANIFEST))


def check_members(path: Path) -> dict[str, bytes]:
    """Compares every member with the manifest, and the manifest with its digest; the members' contents."""
    with tarfile.open(path, "r:") as archive:
        members = archive.getmembers()
        assert all(member.isreg() for member in members)
        contents = {member.name: archive.extractfile(member).read() for member in members}
    names = [member.name for member in members]
    assert len(set(names)) == len(names)
    assert names[:2] == [MANIFEST, MANIFEST_DIGEST]
    digest = hashlib.sha256(contents[MANIFEST]).hexdigest()
    assert contents[MANIFEST_DIGEST].decode().split()[0] == digest
    listed = json.loads(contents[MANIFEST])["members"]
    assert [member["path"] for member in listed] == names[2:]
    for member in listed:
        content = contents[member["path"]]
        assert len(content) == member["len"], member
        assert hashlib.sha256(content).hexdigest() == member["sha256"], member
    return contents


def list_with(program: str, path: Path) -> list[str]:
    """The names that `tar` or `bsdtar` lists; a warning fails the test."""
    result = subprocess.run([program, "-tf", str(path)], capture_output=True, text=True, timeout=COMMAND_SECONDS)
    assert (result.returncode, result.stderr) == (0, ""), f"{program}: {result.stderr}"
    return result.stdout.splitlines()


def extract_with(program: str, path: Path, directory: Path) -> dict[str, bytes]:
    """The files that `tar` or `bsdtar` unpacks; a warning fails the test."""
    directory.mkdir()
    command = [program, "-xf", str(path), "-C", str(directory)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=COMMAND_SECONDS)
    assert (result.returncode, result.stderr) == (0, ""), f"{program}: {result.stderr}"
    files = [file for file in directory.rglob("*") if file.is_file()]
    return {str(file.relative_to(directory)): file.read_bytes() for file in files}
