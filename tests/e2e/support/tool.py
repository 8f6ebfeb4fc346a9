"""The program as a tool: commands that end by themselves."""

import json
import subprocess

from support.server import binary, clean_environment

TIMEOUT = 120


def run(*arguments: object) -> subprocess.CompletedProcess:
    """A command after its end, whatever that was, with what it has said."""
    command = [str(binary()), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT, env=clean_environment())


def run_json(*arguments: object, code: int = 0) -> dict:
    """What a command says as JSON, which has to end with this code."""
    result = run(*arguments, "--json")
    assert result.returncode == code, result
    assert len(result.stdout.splitlines()) == 1, "one object on one line"
    return json.loads(result.stdout)
