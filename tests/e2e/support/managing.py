"""Requests to the backup manager's API as its web client sends them, with the envelope of every answer checked."""

from pathlib import Path

import requests

from support.contract import TIMEOUT, Answer, Api, answer
from support.server import Server

PREFIX = "/api/v1"


class Manager:
    """The manager of a server, acting on one of its clusters."""

    def __init__(self, url: str, cluster: str | None = None, **headers: str):
        self.url = url + PREFIX
        self.cluster = cluster
        self.headers = headers

    def send(self, method: str, path: str, params: dict | None = None, **arguments: object) -> Answer:
        """Sends a request below the prefix, and checks the envelope of its answer."""
        query = (params or {}) | ({"cluster": self.cluster} if self.cluster else {})
        headers = self.headers | arguments.pop("headers", {})
        return answer(requests.request(method, self.url + path, params=query, headers=headers, timeout=TIMEOUT, **arguments))

    def done(self, method: str, path: str, body: object = None, **params: object) -> object:
        """The result of a request that has to succeed, for which there is one status."""
        found = self.send(method, path, params=params, json=body)
        assert found.status == 200, (method, path, found)
        return found.result

    def refused(self, method: str, path: str, body: object = None, **params: object) -> tuple[int, str]:
        """Status and sentence of a request that has to fail."""
        found = self.send(method, path, params=params, json=body)
        assert found.status >= 400, (method, path, found)
        return found.status, found.error


def filled(server: Server, collection: str = "c", label: str = "before") -> Api:
    """The server's own API, with a collection of two shards."""
    api = Api(server)
    api.create_collection(collection)
    api.upsert(collection, label)
    return api


def clusters(home: Path, *items: str) -> list[str]:
    """The arguments for a server with these items in its list of clusters."""
    path = home / "clusters.yaml"
    path.write_text("clusters:\n" + "".join(f"- {item}\n" for item in items))
    return ["--config-path", str(path)]
