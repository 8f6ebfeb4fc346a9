"""What a process holds and writes, as the system counts it."""

from pathlib import Path


def open_files(pid: int) -> list[str]:
    """What its file descriptors are of."""
    found = []
    for entry in Path(f"/proc/{pid}/fd").iterdir():
        try:
            found.append(str(entry.readlink()))
        except FileNotFoundError:
            pass  # Closed meanwhile.
    return found


def threads(pid: int) -> list[str]:
    """The names of its threads."""
    found = []
    for entry in Path(f"/proc/{pid}/task").iterdir():
        try:
            found.append((entry / "comm").read_text().strip())
        except (FileNotFoundError, ProcessLookupError):
            pass  # Ended meanwhile.
    return found


def written(pid: int) -> int:
    """Bytes that it has caused to be written to disks."""
    lines = Path(f"/proc/{pid}/io").read_text().splitlines()
    return int(dict(line.split(": ") for line in lines)["write_bytes"])
