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


def local_store(path: Path) -> dict:
    """The configuration of a store in a directory, which is made."""
    path.mkdir()
    return {"name": path.name, "type": "local", "path": str(path)}


def s3_store(endpoint: str, bucket: str, region: str, access_key: str, secret_key: str) -> dict:
    """The configuration of a store in a bucket."""
    place = {"s3_endpoint": endpoint, "s3_bucket": bucket, "s3_region": region}
    return {"name": "bucket", "type": "s3", **place, "s3_access_key": access_key, "s3_secret_key": secret_key}


def add_default_store(server: Server, store: dict) -> None:
    """Has the store tested, and makes it the one that is meant where none is named."""
    body = store | {"is_default": True}
    tested = Manager(server.url).done("POST", "/storage/test", body)
    assert tested["success"], tested
    Manager(server.url).done("POST", "/storage/config", body)


def clusters(home: Path, *items: str) -> list[str]:
    """The arguments for a server with these items in its list of clusters."""
    path = home / "clusters.yaml"
    path.write_text("clusters:\n" + "".join(f"- {item}\n" for item in items))
    return ["--config-path", str(path)]
