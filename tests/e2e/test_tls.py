"""TLS: every client connects with it and none without, clients may have to show who they are, and certificates are replaced while
the server runs."""

import os
import socket
import ssl
import time
import warnings
from pathlib import Path

import pytest
import requests
import trustme
from conftest import Servers
from qdrant_client import QdrantClient, models
from support.server import NotReady, Server

REPLACED_SECONDS = 30


class Authority:
    """An authority with its files in a directory."""

    def __init__(self, directory: Path, name: str):
        self._ca = trustme.CA()
        self._directory = directory
        self.file = directory / f"{name}.ca.pem"
        self._ca.cert_pem.write_to_path(self.file)

    def issue(self, name: str) -> tuple[Path, Path]:
        """The files of a new certificate for the loopback address, and of its key. Former ones of the name are replaced as tools
        do it: by a rename."""
        issued = self._ca.issue_cert("127.0.0.1", "localhost")
        cert, key = self._directory / f"{name}.pem", self._directory / f"{name}.key"
        for path, blob in ((key, issued.private_key_pem), (cert, issued.cert_chain_pems[0])):
            new = path.with_suffix(".new")
            blob.write_to_path(new)
            os.replace(new, path)
        return cert, key


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path, "one")


def settings(cert: Path, key: Path) -> dict[str, str]:
    return {"QDRANT__SERVICE__ENABLE_TLS": "true", "QDRANT__TLS__CERT": str(cert), "QDRANT__TLS__KEY": str(key)}


def encrypted(servers: Servers, authority: Authority, **more: str) -> Server:
    server = servers.new()
    server.verify = str(authority.file)
    return server.start(**settings(*authority.issue("server")), **more)


def serial(server: Server, authority: Authority) -> str:
    """The serial number of the certificate that a new connection sees."""
    context = ssl.create_default_context(cafile=str(authority.file))
    host, port = server.url.removeprefix("https://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as raw:
        with context.wrap_socket(raw, server_hostname=host) as connection:
            return connection.getpeercert()["serialNumber"]


def test_the_client_works_over_tls(servers: Servers, authority: Authority) -> None:
    server = encrypted(servers, authority, QDRANT__SERVICE__API_KEY="hush")
    assert server.url.startswith("https://")
    trusting = ssl.create_default_context(cafile=str(authority.file))
    client = QdrantClient(url=server.url, api_key="hush", verify=trusting, prefer_grpc=False, check_compatibility=False)
    client.create_collection("c", models.VectorParams(size=2, distance=models.Distance.DOT))
    points = [models.PointStruct(id=number, vector=[number, 1.0]) for number in range(1000)]
    client.upsert("c", points, wait=True)
    made = client.create_snapshot("c")
    content = requests.get(
        f"{server.url}/collections/c/snapshots/{made.name}", headers={"api-key": "hush"}, verify=server.verify, timeout=60
    ).content
    assert len(content) == made.size
    assert client.count("c").count == 1000


def test_no_answer_without_tls_or_to_who_does_not_trust(servers: Servers, authority: Authority) -> None:
    server = encrypted(servers, authority)
    with pytest.raises(requests.ConnectionError):
        requests.get(server.url.replace("https:", "http:"), timeout=10)
    with pytest.raises(requests.exceptions.SSLError):
        requests.get(server.url, timeout=10)
    old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
    with warnings.catch_warnings(action="ignore"):
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
    host, port = server.url.removeprefix("https://").rsplit(":", 1)
    with socket.create_connection((host, int(port)), timeout=10) as raw, pytest.raises(OSError):
        old.wrap_socket(raw)
    assert requests.get(server.url, verify=server.verify, timeout=10).status_code == 200


def test_clients_show_who_they_are(servers: Servers, tmp_path: Path, authority: Authority) -> None:
    server = servers.new()
    clients = Authority(tmp_path, "clients")
    server.verify = str(authority.file)
    server.certificate = tuple(map(str, clients.issue("client")))
    server.start(
        **settings(*authority.issue("server")),
        QDRANT__SERVICE__VERIFY_HTTPS_CLIENT_CERTIFICATE="true",
        QDRANT__TLS__CA_CERT=str(clients.file),
    )
    strangers = tuple(map(str, Authority(tmp_path, "strangers").issue("stranger")))
    for shown in (None, strangers):
        with pytest.raises(requests.ConnectionError):
            requests.get(server.url, verify=server.verify, cert=shown, timeout=10)
    assert requests.get(server.url, verify=server.verify, cert=server.certificate, timeout=10).status_code == 200


def test_a_replaced_certificate_is_used_without_a_restart(servers: Servers, authority: Authority) -> None:
    server = encrypted(servers, authority)
    before = serial(server, authority)
    kept = requests.Session()
    assert kept.get(server.url, verify=server.verify, timeout=10).status_code == 200
    authority.issue("server")
    deadline = time.monotonic() + REPLACED_SECONDS
    while serial(server, authority) == before:
        assert time.monotonic() < deadline, server.logs()
        time.sleep(0.1)
    # A connection that was open is not cut off.
    assert kept.get(server.url, verify=server.verify, timeout=10).status_code == 200
    # Nonsense leaves the server as it is.
    replaced = serial(server, authority)
    (server.home.parents[1] / "server.pem").write_text("nonsense")
    while "the former certificate stays in use" not in server.logs():
        assert time.monotonic() < deadline, server.logs()
        time.sleep(0.1)
    assert serial(server, authority) == replaced


def test_what_cannot_be_encrypted_does_not_start(servers: Servers, tmp_path: Path, authority: Authority) -> None:
    cert, key = authority.issue("server")
    other = Authority(tmp_path, "other").issue("other")
    for given, expected in [
        ({"QDRANT__SERVICE__ENABLE_TLS": "true"}, "tls.cert"),
        (settings(cert, tmp_path / "missing.key"), "missing.key"),
        (settings(cert, cert), "no private key"),
        (settings(cert, other[1]), "other.key"),
    ]:
        server = servers.new()
        with pytest.raises(NotReady):
            server.start(**given)
        assert expected in server.logs() and not server.storage.exists()
