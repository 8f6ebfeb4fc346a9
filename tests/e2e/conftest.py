"""Fixtures: servers that end with the test, and requests whose bodies are compared."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from support import s3
from support.server import Server


class Servers:
    """Makes servers in directories of their own and knows which are still running."""

    def __init__(self, root: Path):
        self._root = root
        self._made: list[Server] = []

    def new(self, name: str | None = None) -> Server:
        """A server that is not started yet, in a fresh home directory."""
        server = Server(self._root / (name or f"server-{len(self._made)}"))
        self._made.append(server)
        return server

    def start(self, *arguments: object, **variables: str) -> Server:
        """A fresh server that answers."""
        return self.new().start(*arguments, **variables)

    def end(self) -> None:
        """Stops what is running; every server has to end well, and all are ended whatever happens."""
        failures = []
        for server in self._made:
            if not server.running():
                continue
            try:
                server.stop()
            except Exception as error:
                failures.append(f"{server.home.name}: {error}")
            finally:
                server.kill()
        # Shown by pytest only beside a failure.
        for server in self._made:
            print(f"--- {server.home.name}\n{server.logs()[-4000:]}")
        assert not failures, "\n".join(failures)


@pytest.fixture
def servers(tmp_path: Path) -> Iterator[Servers]:
    """Servers for one test."""
    made = Servers(tmp_path / "servers")
    yield made
    made.end()


@pytest.fixture(scope="module")
def module_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Servers]:
    """Servers that the tests of a module share."""
    made = Servers(tmp_path_factory.mktemp("servers"))
    yield made
    made.end()


@pytest.fixture(scope="module")
def buckets() -> Iterator[s3.S3]:
    """An S3 server that the tests of a module share."""
    with s3.serving() as serving:
        yield serving


@pytest.fixture
def bucket(buckets: s3.S3) -> s3.Bucket:
    """A bucket for one test; nothing stores in it that was not told of it."""
    return buckets.bucket()


MEASURED = "measured"


@pytest.fixture
def report(request: pytest.FixtureRequest) -> Callable[[str], None]:
    """Keeps a measurement for the summary, where it stands also when the test passes."""
    return lambda line: request.node.user_properties.append((MEASURED, line))


def pytest_terminal_summary(terminalreporter) -> None:
    """Prints the measurements."""
    calls = [test for tests in terminalreporter.stats.values() for test in tests if getattr(test, "when", None) == "call"]
    lines = [value for test in calls for name, value in test.user_properties if name == MEASURED]
    if lines:
        terminalreporter.section(MEASURED)
        terminalreporter.write_line("\n".join(lines))
