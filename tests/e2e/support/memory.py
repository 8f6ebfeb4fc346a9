"""The memory that a process takes for itself: anonymous plus shared pages. Pages of mapped files are the system's to take back."""

import threading
from pathlib import Path

SAMPLE_SECONDS = 0.002
MIB = 1 << 20


def of(pid: int) -> int:
    """RssAnon + RssShmem of a process, in bytes; 0 once it has ended."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    fields = dict(line.split(":", 1) for line in lines)
    return sum(int(fields[name].split()[0]) * 1024 for name in ["RssAnon", "RssShmem"] if name in fields)


class Peak:
    """The most memory that a process had while the block ran, looked at every few milliseconds."""

    def __init__(self, pid: int):
        self._pid = pid
        self._done = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self.bytes = 0

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._done.set()
        self._thread.join()

    def _watch(self) -> None:
        while True:
            self.bytes = max(self.bytes, of(self._pid))
            if self._done.wait(SAMPLE_SECONDS):
                return
