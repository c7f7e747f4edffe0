"""The commands on the page about the web board do what it says."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from starlette.testclient import TestClient

from selfplay.cli.main import app
from selfplay.registry import GameSpec, make
from selfplay.run import RunDirectory
from selfplay.serve import Library, create_app
from selfplay.settings import Config

PAGE = (Path(__file__).parents[2] / "docs" / "web.md").read_text()
LINES = [
    line for block in re.findall(r"```sh\n(.*?)```", PAGE, re.DOTALL) for line in block.splitlines()
]
ADDRESS = "http://127.0.0.1:8765"


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> TestClient:
    """The server of a run without checkpoints."""
    place = tmp_path_factory.mktemp("page") / "connect_four"
    spec = GameSpec("connect_four")
    run = RunDirectory.create(place, spec, make("connect_four"), Config())
    return TestClient(create_app(Library(runs=[run.url])), base_url=ADDRESS)


def curl(client: TestClient, line: str) -> Any:
    """Returns what curl would get."""
    program, silent, *words = shlex.split(line)
    assert (program, silent) == ("curl", "-s")
    headers, data, address = {}, None, ""
    while words:
        word = words.pop(0)
        if word == "-H":
            name, _, value = words.pop(0).partition(": ")
            headers[name] = value
        elif word == "-d":
            data = words.pop(0)
        else:
            address = word
    assert address.startswith(ADDRESS)
    return client.request("GET" if data is None else "POST", address, headers=headers, content=data)


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("curl")])
def test_requests(client: TestClient, line: str) -> None:
    answer = curl(client, line)
    assert answer.status_code == 200, answer.text
    if "event-stream" in line:
        assert answer.text.count("event: analysis") == 3
    else:
        assert answer.json() is not None


def test_an_error_is_as_printed(client: TestClient) -> None:
    line, printed = re.findall(r"```console\n\$ (.*)\n(.*)\n```", PAGE)[0]
    assert curl(client, line).json() == json.loads(printed)


@pytest.mark.parametrize("line", [line for line in LINES if line.startswith("selfplay")])
def test_commands_are_understood(line: str) -> None:
    _, name, *words = shlex.split(line)
    command = typer.main.get_command(app).commands[name]  # type: ignore[attr-defined]
    assert command.make_context(name, words).params


def test_figures_of_the_page_are_those_of_the_code() -> None:
    from selfplay.serve import bodies, server
    from selfplay.serve.analysis.agents import BUDGETS, SIZES
    from selfplay.serve.analysis.searches import MOST_WAITING

    assert ", ".join(map(str, BUDGETS)) in PAGE
    assert f"more than {MOST_WAITING} searches" in PAGE and f"up to {SIZES[-1]} at once" in PAGE
    assert f"at most {bodies.MOST_BYTES // 1024} KiB" in PAGE
    assert f"closed after {server._REQUEST_SECONDS:.0f} seconds" in PAGE
