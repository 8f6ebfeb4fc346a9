"""Configurations of stores in the backup manager: what is kept, what is refused, and secrets that nobody sees again."""

import re
from concurrent.futures import ThreadPoolExecutor

import pytest

from support.managing import Manager

MASK = "*" * 11
ACCESS, SECRET = "AKIAHUSHACCESSKEY", "hush-secret-key-of-the-bucket"
UUID4 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
S3 = {
    "name": "bucket",
    "type": "s3",
    "s3_endpoint": "http://127.0.0.1:9000",
    "s3_bucket": "archives",
    "s3_region": "eu-central-1",
    "s3_access_key": ACCESS,
    "s3_secret_key": SECRET,
}


@pytest.fixture
def server(servers):
    return servers.start(QDRANT__LOG_LEVEL="TRACE")


@pytest.fixture
def manager(server) -> Manager:
    return Manager(server.url)


def create(manager: Manager, body: dict) -> dict:
    return manager.done("POST", "/storage/config", body)


def local(path: object, name: str = "local", **more: object) -> dict:
    return {"name": name, "type": "local", "path": str(path)} | more


def defaults(manager: Manager) -> list[str]:
    return [one["name"] for one in manager.done("GET", "/storage/config") if one["is_default"]]


def test_a_configuration_is_created_listed_changed_and_deleted(manager, tmp_path):
    assert manager.done("GET", "/storage/config") == []
    made = create(manager, local(tmp_path / "a", unknown="ignored", s3_bucket=""))
    assert set(made) == {"id", "name", "type", "path", "is_default", "created_at", "updated_at"}
    assert UUID4.fullmatch(made["id"]) and RFC3339.fullmatch(made["created_at"]) and made["updated_at"] == made["created_at"]
    assert (made["name"], made["type"], made["path"], made["is_default"]) == ("local", "local", str(tmp_path / "a"), False)
    assert manager.done("GET", "/storage/config") == [made]
    changed = manager.done("PUT", f"/storage/config/{made['id']}", {"name": "renamed"})
    assert changed == made | {"name": "renamed", "updated_at": changed["updated_at"]}
    assert changed["updated_at"] >= made["updated_at"]
    assert manager.done("DELETE", f"/storage/config/{made['id']}") is True
    assert manager.done("GET", "/storage/config") == []


def test_configurations_outlive_the_server(server, manager, tmp_path):
    made = [create(manager, local(tmp_path / "a", is_default=True)), create(manager, S3)]
    server.kill()
    again = Manager(server.start().url)
    assert again.done("GET", "/storage/config") == made


def test_secrets_are_in_no_answer_no_log_and_no_file(server, manager):
    made = manager.send("POST", "/storage/config", json=S3)
    id = made.result["id"]
    assert made.result["s3_access_key"] == MASK and "s3_secret_key" not in made.result
    answers = [
        made,
        manager.send("GET", "/storage/config"),
        manager.send("PUT", f"/storage/config/{id}", json={"s3_access_key": ACCESS, "s3_secret_key": SECRET}),
        manager.send("PUT", f"/storage/config/{id}", json={"s3_access_key": ACCESS + "2"}),
        manager.send("POST", "/storage/test", json=S3),
        manager.send("POST", "/storage/config", json=S3 | {"s3_bucket": None}),
        manager.send("POST", "/storage/config", json=S3 | {"s3_endpoint": f"http://{ACCESS}:{SECRET}@h"}),
        manager.send("POST", "/storage/config", json=S3 | {"s3_secret_key": [SECRET]}),
        manager.send("GET", "/metrics"),
    ]
    server.stop()
    seen = [answer.raw.content for answer in answers] + [server.logs().encode()]
    files = [path for path in server.home.rglob("*") if path.is_file()]
    assert any(path.name == "stores.json" for path in files)
    for text in seen + [path.read_bytes() for path in files]:
        assert ACCESS.encode() not in text and SECRET.encode() not in text
    for name in ("stores.json", "secrets.key"):
        assert (server.storage / name).stat().st_mode & 0o777 == 0o600


def test_a_mask_that_is_sent_back_changes_nothing(server, manager):
    made = create(manager, S3)
    sealed = lambda: re.search(r'"keys": "([0-9a-f]+)"', (server.storage / "stores.json").read_text()).group(1)
    before = sealed()
    body = {"name": "renamed", "s3_access_key": MASK, "s3_secret_key": "", "s3_endpoint": "http://127.0.0.1:9001"}
    changed = manager.done("PUT", f"/storage/config/{made['id']}", body)
    assert (changed["name"], changed["s3_endpoint"], changed["s3_access_key"]) == ("renamed", "http://127.0.0.1:9001", MASK)
    assert changed["s3_bucket"] == S3["s3_bucket"] and sealed() == before
    manager.done("PUT", f"/storage/config/{made['id']}", {"s3_secret_key": "another"})
    assert sealed() != before


def test_keys_need_the_encryption_key_that_they_were_encrypted_with(servers):
    server = servers.start(ICECORE__MANAGER__ENCRYPTION_KEY="0" * 64)
    manager = Manager(server.url)
    made = create(manager, S3)
    assert not (server.storage / "secrets.key").exists()
    before = (server.storage / "stores.json").read_bytes()
    server.stop()
    for key in ({"ICECORE__MANAGER__ENCRYPTION_KEY": "1" * 64}, {}):
        again = Manager(server.start(**key).url)
        assert again.done("GET", "/storage/config") == [made]
        status, text = again.refused("PUT", f"/storage/config/{made['id']}", {"s3_secret_key": "another"})
        assert status == 500 and "cannot be decrypted" in text and str(server.home) not in text
        server.stop()
    assert (server.storage / "stores.json").read_bytes() == before
    again = Manager(server.start(ICECORE__MANAGER__ENCRYPTION_KEY="0" * 64).url)
    again.done("PUT", f"/storage/config/{made['id']}", {"s3_secret_key": "another"})


def test_there_is_one_default_and_it_stays(manager, tmp_path):
    one = create(manager, local(tmp_path / "1", "one", is_default=True))
    two = create(manager, local(tmp_path / "2", "two", is_default=True))
    assert defaults(manager) == ["two"]
    path = f"/storage/config/{two['id']}"
    unset = (400, "Update failed: Cannot unset default storage without setting another as default")
    assert manager.refused("PUT", path, {"is_default": False}) == unset
    assert manager.refused("DELETE", path) == (400, "Cannot delete default storage config")
    manager.done("PUT", f"/storage/config/{one['id']}", {"is_default": True})
    assert defaults(manager) == ["one"]
    assert manager.done("PUT", path, {"is_default": False})["is_default"] is False
    assert manager.done("DELETE", path) is True


def test_there_is_one_default_whoever_asks_at_once(server, manager, tmp_path):
    made = [create(manager, local(tmp_path / str(number), str(number))) for number in range(8)]
    make_default = lambda one: Manager(server.url).done("PUT", f"/storage/config/{one['id']}", {"is_default": True})
    with ThreadPoolExecutor(8) as threads:
        for _ in range(5):
            list(threads.map(make_default, made))
            assert len(defaults(manager)) == 1


def test_what_is_not_there(manager):
    for id in ("5c56c793-69f3-4fbf-87e6-c4bf54c28c26", "x", "%2e%2e"):
        assert manager.refused("PUT", f"/storage/config/{id}", {"name": "a"}) == (404, "Configuration not found")
        assert manager.refused("DELETE", f"/storage/config/{id}") == (404, "Storage config not found")


def test_what_cannot_be_a_store_is_refused(server, manager, tmp_path):
    (tmp_path / "link").symlink_to(server.storage)
    for body in [
        local(tmp_path, ""),
        local("relative"),
        local(""),
        {"name": "a", "type": "local"},
        local(server.storage),
        local(server.storage / "staging"),
        local(server.home),
        local(server.snapshots / "c"),
        local(tmp_path / "link" / "a"),
        local(f"{tmp_path}/a/../b"),
        S3 | {"s3_bucket": None},
        S3 | {"s3_secret_key": None},
        S3 | {"s3_access_key": MASK},
        S3 | {"s3_endpoint": "not a url"},
        {"name": "", "type": "invalid"},
        {"name": "a", "type": "ftp"},
        {"name": "a"},
        {"type": "local", "path": "/a"},
    ]:
        status, text = manager.refused("POST", "/storage/config", body)
        assert status == 400 and text, body
    assert manager.done("GET", "/storage/config") == [] and not (server.storage / "stores.json").exists()
    made = create(manager, local(tmp_path / "a"))
    for body in [{"type": "s3"}, {"path": "relative"}, {"name": " "}, {"path": str(server.storage)}]:
        assert manager.refused("PUT", f"/storage/config/{made['id']}", body)[0] == 400
    assert manager.done("GET", "/storage/config") == [made]


def test_the_least_that_a_bucket_needs(manager):
    made = create(manager, {"name": "a", "type": "S3", "s3_bucket": "b"})
    assert made["type"] == "s3" and "s3_access_key" not in made


def test_a_directory_is_tried(server, manager, tmp_path):
    tried = lambda path: manager.done("POST", "/storage/test", local(path))
    assert tried(tmp_path / "new" / "deep") == {"success": True, "message": "Directory created successfully"}
    assert tried(tmp_path / "new" / "deep") == {"success": True, "message": "Local storage path is accessible"}
    assert (tmp_path / "new" / "deep").is_dir() and not list((tmp_path / "new" / "deep").iterdir())
    file = tmp_path / "file"
    file.write_text("")
    assert tried(file) == {"success": False, "message": f"Path is not a directory: {file}"}
    assert tried(file / "a") == {"success": False, "message": f"Cannot create directory: {file / 'a'}"}
    assert tried("/proc/self") == {"success": False, "message": "Directory is not writable: /proc/self"}
    assert tried("/proc/none/a") == {"success": False, "message": "Cannot create directory: /proc/none/a"}
    assert tried(server.storage / "a")["success"] is False and not (server.storage / "a").exists()


def test_a_bucket_is_tried(manager):
    tried = lambda body: manager.done("POST", "/storage/test", body)
    assert tried({"name": "a", "type": "s3"}) == {"success": False, "message": "Failed: S3 endpoint is required"}
    unreachable = tried(S3 | {"s3_endpoint": "http://127.0.0.1:1"})
    assert unreachable["success"] is False and unreachable["message"].startswith("Failed to connect: ")


def test_damaged_configurations_stop_the_start_and_stay(server, manager, tmp_path):
    create(manager, local(tmp_path / "a"))
    server.stop()
    document = server.storage / "stores.json"
    damaged = document.read_text().replace(str(tmp_path / "a"), str(tmp_path / "b"))
    document.write_text(damaged)
    ended = server.run_to_the_end()
    assert ended.returncode != 0 and "stores.json" in ended.stderr and "damaged" in ended.stderr
    assert document.read_text() == damaged
