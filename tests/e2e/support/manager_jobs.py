"""The jobs of the backup manager's API, asked for as its web client does."""

import requests

from support.server import Server
from support.snapshots import TIMEOUT, call, wait_until

ENDED = ("completed", "failed", "cancelled")


def post(server: Server, path: str, **body: object) -> requests.Response:
    return call(server, "POST", f"/api/v1{path}", json=body)


def subject(kind: str) -> dict:
    """What a job of the kind says of its subject beside the collection: kinds of shards are tried on shard 1."""
    return {"shard_id": 1} if kind.startswith("shard") else {}


def submit(server: Server, type: str, collection: str, **more: object) -> str:
    """Makes a job; its id."""
    answer = post(server, "/jobs", type=type, collection_name=collection, **more)
    assert answer.status_code == 200, answer.text
    body = answer.json()
    assert set(body) == {"result", "status", "time"} and body["status"] == "ok", body
    return body["result"]["id"]


def job(server: Server, id: str) -> dict:
    answer = call(server, "GET", f"/api/v1/jobs/{id}")
    assert answer.status_code == 200, answer.text
    return answer.json()["result"]


def listed(server: Server, **query: object) -> dict:
    answer = call(server, "GET", "/api/v1/jobs", params=query)
    assert answer.status_code == 200, answer.text
    return answer.json()


def ended(server: Server, id: str, status: str | None = None, seconds: float = TIMEOUT) -> dict:
    """The job after its end, which has to be this one."""
    wait_until(lambda: job(server, id)["status"] in ENDED, f"job {id} has ended", seconds)
    found = job(server, id)
    assert status is None or found["status"] == status, found
    return found


def done(server: Server, type: str, collection: str, **more: object) -> dict:
    """A job that has to succeed, after its end."""
    return ended(server, submit(server, type, collection, **more), "completed")


def failed(server: Server, type: str, collection: str, **more: object) -> str:
    """Why a job has failed."""
    return ended(server, submit(server, type, collection, **more), "failed")["error"]


def error(answer: requests.Response, status: int) -> str:
    """The text of a refusal, which has the form of all refusals."""
    assert answer.status_code == status, answer.text
    body = answer.json()
    assert set(body) == {"status", "time"} and isinstance(body["time"], float), body
    return body["status"]["error"]
