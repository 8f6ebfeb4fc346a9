"""A server whose backup manager acts on a cluster of other machines and keeps what it makes in one store."""

from support import manager_jobs
from support.managing import Manager, clusters
from support.server import Server


class Site:
    """The server, its cluster `east` and the store. Jobs are on that cluster and in that store, unless a test says something else."""

    def __init__(self, server: Server, urls: list[str], store: dict, **settings: str):
        self.server = server
        listed = ", ".join(f"'{url}'" for url in urls)
        self._arguments = clusters(server.home, f"{{name: east, urls: [{listed}]}}")
        self.start(**settings)
        self.storage = self.manager.done("POST", "/storage/config", store)["id"]
        self._where = {"cluster": "east", "storage_id": self.storage}

    def start(self, **settings: str) -> None:
        """Starts the server, each time on another port."""
        self.server.start(*self._arguments, **settings)
        self.manager = Manager(self.server.url)

    def restart(self, **settings: str) -> None:
        self.server.stop()
        self.start(**settings)

    def submit(self, type: str, collection: str, **more: object) -> str:
        """Makes a job; its id."""
        return manager_jobs.submit(self.server, type, collection, **self._where | more)

    def done(self, type: str, collection: str, **more: object) -> dict:
        """A job that has to succeed, after its end."""
        return manager_jobs.done(self.server, type, collection, **self._where | more)

    def failed(self, type: str, collection: str, **more: object) -> str:
        """Why a job has failed."""
        return manager_jobs.failed(self.server, type, collection, **self._where | more)

    def listed(self, **query: object) -> list[dict]:
        """The backups in the store."""
        return self.manager.done("GET", "/backups", storage_id=self.storage, **query)
