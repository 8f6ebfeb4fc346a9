"""The queue of jobs as its database has it, read beside the server or after it."""

import sqlite3
from dataclasses import dataclass

from support.server import Server
from support.snapshots import wait_until

UNFINISHED = ("pending", "running")


@dataclass(frozen=True)
class Job:
    """A row."""

    sequence: int
    kind: str
    target: str
    state: str
    on_restart: str
    attempts: int
    checkpoint: str | None
    error: str | None


def connect(server: Server, mode: str = "ro") -> sqlite3.Connection:
    """Opens the database; `mode` is SQLite's."""
    return sqlite3.connect(f"file:{server.storage / 'control.db'}?mode={mode}", uri=True, timeout=30, isolation_level=None)


def rows(server: Server) -> list[Job]:
    """All jobs, in the order in which they were submitted."""
    connection = connect(server)
    try:
        fields = ", ".join(Job.__annotations__)
        return [Job(*row) for row in connection.execute(f"SELECT {fields} FROM jobs ORDER BY sequence")]
    finally:
        connection.close()


def finished(server: Server) -> int:
    return sum(job.state not in UNFINISHED for job in rows(server))


def wait_until_done(server: Server) -> list[Job]:
    """Waits until no job is left to be done; all jobs."""
    wait_until(lambda: all(job.state not in UNFINISHED for job in rows(server)), "all jobs are done")
    return rows(server)
