"""Settings: what is unknown is an error that says where it stands, what Qdrant knows and icecore does not need is a warning."""

import pytest

from support.server import Server


def refusal(server: Server, *arguments: object, **variables: str) -> str:
    result = server.run_to_the_end(*arguments, **variables)
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.returncode == 1 and len(lines) == 1, result
    assert not server.storage.exists() and not server.snapshots.exists()
    return lines[0]


def test_an_unknown_key_is_named_with_its_file(servers):
    server = servers.new()
    (server.home / "mine.yaml").write_text("storage:\n  snapshot_directory: /x\n")
    line = refusal(server, "--config-path", "mine.yaml")
    assert "mine.yaml" in line and "storage.snapshot_directory" in line


def test_an_unknown_variable_is_named(servers):
    assert "QDRANT__STORAGE__SNAPSHOT_DIRECTORY" in refusal(servers.new(), QDRANT__STORAGE__SNAPSHOT_DIRECTORY="/x")


@pytest.mark.parametrize(
    "text, named",
    [
        ("cluster:\n  enabled: true\n", "cluster.enabled"),
        ("service:\n  api_key: ' secret-of-mine'\n", "service.api_key"),
        ("service:\n  api_key: secret-of-mine\n  read_only_api_key: secret-of-mine\n", "service.read_only_api_key"),
        ("service:\n  read_only_api_key: ''\n", "service.read_only_api_key"),
        ("service:\n  api_key: secret-of-mine\n  jwt_rbac: true\n", "service.jwt_rbac"),
        ("service:\n  max_upload_size_mb: 0\n", "service.max_upload_size_mb"),
        ("service:\n  http_port: many\n", "service.http_port"),
        ("storage: [\n", "mine.yaml"),
    ],
)
def test_what_cannot_be_had_is_refused(servers, text, named):
    server = servers.new()
    (server.home / "mine.yaml").write_text(text)
    line = refusal(server, "--config-path", "mine.yaml")
    assert named in line and "secret-of-mine" not in line


def test_a_missing_settings_file_is_refused(servers):
    assert "nowhere.yaml" in refusal(servers.new(), "--config-path", "nowhere.yaml")


def test_keys_without_effect_are_named_in_one_warning(servers):
    server = servers.new()
    (server.home / "mine.yaml").write_text("storage:\n  hnsw_index:\n    m: 32\n  performance:\n    max_search_threads: 0\n")
    server.start("--config-path", "mine.yaml")
    warnings = [line for line in server.logs().splitlines() if "WARN" in line]
    assert len(warnings) == 1 and "storage.hnsw_index.m" in warnings[0] and "storage.performance" in warnings[0]


@pytest.mark.parametrize("variable", ["QDRANT__STORAGE__SNAPSHOTS_PATH", "QDRANT__STORAGE__SNAPSHOT_PATH"])
def test_both_spellings_of_the_directory_for_snapshots_work(servers, variable):
    server = servers.new()
    environment = server.environment()
    del environment["QDRANT__STORAGE__SNAPSHOTS_PATH"]
    server.environment = lambda **variables: environment | variables
    elsewhere = server.home / "elsewhere"
    server.start(**{variable: str(elsewhere)})
    info = server.client().create_full_snapshot()
    assert (elsewhere / info.name).is_file() and not server.snapshots.exists()


def test_variables_come_before_files(servers):
    server = servers.new()
    file = "storage:\n  snapshots_path: ./by-file\n  storage_path: ./by-file-too\n"
    (server.home / "mine.yaml").write_text(file)
    server.start("--config-path", "mine.yaml")
    assert server.snapshots.is_dir() and server.storage.is_dir()
    assert not (server.home / "by-file").exists() and not (server.home / "by-file-too").exists()
