"""`icecore bench` measures on data of its own and on any directory, says all of it as JSON, and leaves nothing behind. No time is judged."""

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from support.server import POLL_SECONDS, binary, clean_environment

MEGABYTE = 1_000_000
SECONDS = 300
LIMITS = {"digest", "copy", "create_limit", "verify_limit", "restore_limit"}
CREATES = ["create", "create_again", "create_once_more"]
OWN = dict.fromkeys(CREATES, "create_limit") | {"create_compressed": "compressed_limit"} | {"verify": "verify_limit", "restore": "restore_limit"}
TAR = {"tar_create": "create_limit", "tar_restore": "restore_limit"}
ZSTD = {"zstd_create": "create_limit", "zstd_restore": "restore_limit"}
# Only measured with the other programs.
COMPRESSED_LIMIT = {"compressed_limit": None}
# 8 MB in several shards and collections.
SMALL = ["--size-mb", "8", "--dimensions", "96", "--payload-bytes", "64", "--shards", "2", "--collections", "2", "--runs", "2"]


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """An empty directory to measure in."""
    path = tmp_path / "place"
    path.mkdir()
    return path


def run(place: Path, *arguments: object, **variables: str) -> subprocess.CompletedProcess:
    command = [str(binary()), "bench", "--dir", str(place), *map(str, arguments)]
    environment = clean_environment(**variables)
    result = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, env=environment)
    assert "panicked" not in result.stderr and list(place.iterdir()) == [], result
    return result


def run_json(place: Path, *arguments: object, **variables: str) -> dict:
    result = run(place, *arguments, "--json", **variables)
    assert result.returncode == 0 and len(result.stdout.splitlines()) == 1, result
    return json.loads(result.stdout)


def refused(place: Path, *arguments: object) -> str:
    """The one line of a measurement that is not made."""
    result = run(place, *arguments)
    lines = [line for line in result.stderr.splitlines() if line.startswith("error:")]
    assert result.returncode == 1 and len(lines) == 1 and result.stdout == "", result
    return lines[0]


def check_rows(report: dict, limits: dict[str, str], runs: int) -> None:
    """Every row has all of its runs, and numbers that follow from them."""
    rows = {row["name"]: row for row in report["rows"]}
    assert set(rows) == LIMITS | set(limits) and len(rows) == len(report["rows"])
    assert report["rounds"] == runs
    for name, row in rows.items():
        seconds = sorted(run["seconds"] for run in row["runs"])
        assert len(seconds) == runs and seconds[0] > 0, row
        assert seconds[0] <= row["median_seconds"] <= seconds[-1], row
        assert row["mb_per_second"] == pytest.approx(report["data"]["bytes"] / MEGABYTE / row["median_seconds"]), row
        assert row["limit"] == limits.get(name) and row["missing_program"] is None, row
        if row["limit"] in rows:
            assert row["of_limit"] == pytest.approx(rows[row["limit"]]["median_seconds"] / row["median_seconds"]), row
        else:
            assert row["of_limit"] is None, row
        # Memory of other programs is not known.
        known = name not in TAR | ZSTD | COMPRESSED_LIMIT
        made = "create" in name and not name.endswith("limit") or name == "compressed_limit"
        assert (row["file_bytes"] is not None and row["file_bytes"] > 0) == made, row
        assert (row["memory_peak_bytes"] is not None) == known, row
        if known:
            assert all(0 < run["memory_start_bytes"] <= run["memory_peak_bytes"] for run in row["runs"]), row
            assert row["memory_peak_bytes"] == max(run["memory_peak_bytes"] for run in row["runs"]), row


def test_data_of_its_own(place):
    report = run_json(place, *SMALL)
    check_rows(report, OWN, runs=2)
    data = report["data"]
    assert data["kind"] == "storage" and (data["collections"], data["shards"]) == (2, 2)
    # As many points as make 8 MB of vectors and payloads, in files that have more in them, such as ids.
    assert 8 * MEGABYTE <= data["points"] * (96 * 4 + 64) < data["bytes"] < 16 * MEGABYTE
    assert data["files"] >= 4
    machine = report["machine"]
    assert machine["cores"] >= 1 and isinstance(machine["hardware_sha256"], bool)
    assert machine["kernel"] == os.uname().release and machine["file_system"] and machine["device"]
    assert report["page_cache"] == "warm" and report["against"] is None and report["version"]


def test_any_directory_stays_as_it_is(place, tmp_path):
    source = tmp_path / "source"
    (source / "deep/empty").mkdir(parents=True)
    contents = {"a": os.urandom(3 * MEGABYTE), "deep/-b c": os.urandom(70_000), "deep/none": b""}
    for name, data in contents.items():
        (source / name).write_bytes(data)
    report = run_json(place, "--from", source, "--runs", "1", "--cold")
    check_rows(report, OWN, runs=1)
    data = report["data"]
    assert (data["kind"], data["path"]) == ("directory", str(source))
    assert (data["files"], data["bytes"]) == (len(contents), sum(map(len, contents.values())))
    # What comes of asking is up to the file system.
    assert report["page_cache"] in {"dropped", "partly_dropped", "kept", "unknown"}
    found = {str(path.relative_to(source)): path.read_bytes() for path in source.rglob("*") if path.is_file()}
    assert found == contents and (source / "deep/empty").is_dir()


def test_against_other_programs(place, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    for name in ["-rf", "--checkpoint-action=exec=false", "plain name"]:
        (source / name).write_bytes(os.urandom(100_000))
    if not all(map(shutil.which, ["tar", "tee", "openssl"])):
        pytest.skip("tar or openssl is not installed")
    report = run_json(place, "--from", source, "--against", "--runs", "2")
    zstd = shutil.which("zstd") is not None
    missing = [row for row in report["rows"] if row["missing_program"]]
    assert [row["missing_program"] for row in missing] == ([] if zstd else ["zstd", "zstd", "zstd"])
    report["rows"] = [row for row in report["rows"] if not row["missing_program"]]
    check_rows(report, OWN | TAR | (ZSTD | COMPRESSED_LIMIT if zstd else {}), runs=2)
    assert "tar" in report["against"]["tar"] and set(report["against"]) >= {"tar", "tee", "openssl"}


def test_programs_that_are_not_there_are_named(place, tmp_path):
    source = tmp_path / "source"
    source.mkdir()
    (source / "a").write_bytes(b"a")
    report = run_json(place, "--from", source, "--against", "--runs", "1", PATH=str(source))
    rows = {row["name"]: row for row in report["rows"]}
    for name in TAR | ZSTD | COMPRESSED_LIMIT:
        assert rows[name]["missing_program"] == "tar" and rows[name]["runs"] == [] and rows[name]["median_seconds"] is None
    assert len(rows["create"]["runs"]) == 1 and report["against"] == {}
    table = run(place, "--from", source, "--against", "--runs", "1", PATH=str(source))
    assert table.returncode == 0 and "(tar is not installed)" in table.stdout


def test_the_table_has_the_machine_and_a_line_for_each_row(place):
    result = run(place, "--size-mb", "1", "--runs", "1")
    assert result.returncode == 0, result
    for words in ["machine", "disk", "page cache", "limit of create", "limit of verify", "limit of restore", "create again", "of limit"]:
        assert words in result.stdout, words


def test_what_cannot_be_measured_is_refused(place, tmp_path, servers):
    assert "bytes free" in refused(place, "--size-mb", "1000000", "--against")
    empty = tmp_path / "empty"
    empty.mkdir()
    assert "not one byte" in refused(place, "--from", empty)
    assert "is inside" in refused(place, "--from", tmp_path)
    assert "nowhere" in refused(place, "--from", tmp_path / "nowhere")
    (empty / "link").symlink_to("/")
    assert "symbolic link" in refused(place, "--from", empty)
    server = servers.start()
    server.stop()
    assert "is a storage directory" in refused(place, "--from", server.storage)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_and_leaves_nothing(place, number):
    command = [str(binary()), "bench", "--dir", str(place), "--size-mb", "200", "--runs", "100"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=clean_environment())
    deadline = time.monotonic() + SECONDS
    # It has begun to write data.
    while not list(place.glob("*/storage/shards/*/wal/*")) and time.monotonic() < deadline and process.poll() is None:
        time.sleep(POLL_SECONDS)
    process.send_signal(number)
    out, err = process.communicate(timeout=SECONDS)
    assert process.returncode == 1 and out == "" and "error: stopped" in err, (process.returncode, err)
    assert list(place.iterdir()) == []
