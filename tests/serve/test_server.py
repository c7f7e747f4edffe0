"""A real port: the command, who is refused, what many slow connections do."""

import contextlib
import http.client
import importlib.util
import json
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from selfplay.cli.main import app
from selfplay.errors import ConfigError
from selfplay.run import RunDirectory
from selfplay.serve import Library, create_app, open_port, run_server
from selfplay.serve import server as server_module

PATIENCE_SECONDS = 120.0
SLOW = 1000


def ask(port: int, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
    """Returns status and document of an answer."""
    with contextlib.closing(
        http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_SECONDS)
    ) as connection:
        data = None if body is None else json.dumps(body)
        kind = {} if body is None else {"content-type": "application/json"}
        connection.request(method, path, data, {**kind, **headers})
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())


@contextlib.contextmanager
def serving(library: Library) -> Iterator[int]:
    """Answers on a free port in a thread; gives its number."""
    listening = open_port("127.0.0.1", 0)
    ready = threading.Event()
    stop: list[Any] = []

    def started(stopping: Any) -> None:
        stop.append(stopping)
        ready.set()

    thread = threading.Thread(
        target=run_server, args=(create_app(library), listening), kwargs={"on_start": started}
    )
    port = listening.getsockname()[1]
    thread.start()
    try:
        assert ready.wait(PATIENCE_SECONDS)
        yield port
    finally:
        stop[0]()
        thread.join(PATIENCE_SECONDS)
        assert not thread.is_alive()


def test_a_thousand_slow_connections_hold_nobody_up(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_REQUEST_SECONDS", 3.0)
    server_module._allow_many_files()
    with contextlib.ExitStack() as stack:
        port = stack.enter_context(serving(Library(runs=[run.url])))
        slow = []
        for number in range(SLOW):
            one = stack.enter_context(socket.create_connection(("127.0.0.1", port)))
            # Nothing at all, or a request that does not end.
            if number % 2:
                one.sendall(b"GET / HTTP/1.1\r\nHost: localh")
            slow.append(one)
        begin = time.monotonic()
        status, document = ask(port, "GET", "/healthz")
        assert status == 200 and document["state"] == "serving"
        assert ask(port, "POST", "/api/v1/position", {"moves": [4]})[0] == 200
        assert time.monotonic() - begin < 30
        for one in slow[:: SLOW // 10]:
            one.settimeout(PATIENCE_SECONDS)
            assert one.recv(1) == b"", "a connection without a request is ended"


def test_a_connection_serves_many_requests(run: RunDirectory) -> None:
    with (
        serving(Library(runs=[run.url])) as port,
        contextlib.closing(http.client.HTTPConnection("127.0.0.1", port)) as connection,
    ):
        for _ in range(5):
            connection.request("GET", "/healthz")
            assert json.loads(connection.getresponse().read())["state"] == "serving"


def test_a_port_in_use_is_said() -> None:
    with contextlib.closing(open_port("127.0.0.1", 0)) as taken:
        number = taken.getsockname()[1]
        with pytest.raises(ConfigError, match=f"--port {number} is in use on 127.0.0.1"):
            open_port("127.0.0.1", number)
        words = ["serve", "tic_tac_toe", "--port", str(number)]
        result = CliRunner().invoke(app, words, prog_name="selfplay")
        assert result.exit_code == 2 and "is in use" in result.stderr


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (["--port", "70000"], "--port is 70000"),
        (["--host", "256.1.1.1"], "is not an address"),
        (["--token", "a", "--no-token"], "--token and --no-token"),
        (["--token", " "], "--token is empty"),
        (["--share", "x"], "must be AGENT=SHARE"),
        (["--share", "x=0"], "must be AGENT=SHARE"),
        (["--max-simulations", "1", "--port", "0"], "--max-simulations is 1"),
        (["--engine", "gtp:", "--port", "0"], "agent is 'gtp:'"),
    ],
)
def test_bad_options(words: list[str], problem: str) -> None:
    result = CliRunner().invoke(app, ["serve", "tic_tac_toe", *words], prog_name="selfplay")
    assert result.exit_code == 2 and problem in result.stderr


def test_without_its_packages_the_command_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    found = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name == "uvicorn" else found(name)
    )
    result = CliRunner().invoke(app, ["serve", "tic_tac_toe"], prog_name="selfplay")
    assert result.exit_code == 1 and 'pip install "selfplay-jax[web]"' in result.stderr


def test_an_unknown_game_is_said() -> None:
    words = ["serve", "tick_tack", "--port", "0"]
    result = CliRunner().invoke(app, words, prog_name="selfplay")
    assert result.exit_code == 2 and "tic_tac_toe" in result.stderr


def test_the_first_page_does_not_wait_for_what_only_the_training_page_needs() -> None:
    script = "import sys, selfplay.serve.app; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True)
    modules = set(found.stdout.decode().split())
    assert "selfplay.serve.app" in modules, found.stderr.decode()
    assert not modules & {"scipy.optimize", "tensorboardX", "matplotlib", "onnxruntime"}


def test_the_command_serves_a_run_and_ends_when_told(run: RunDirectory, tmp_path: Path) -> None:
    words = [sys.executable, "-m", "selfplay", "serve", run.url, "--port", "0"]
    words += ["--token", "secret", "--devices", "1"]
    with subprocess.Popen(
        words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ}
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            found = re.search(r"http://127\.0\.0\.1:(\d+)/#token=secret", line)
            assert found is not None, line + process.stdout.read()
            port = int(found[1])
            assert ask(port, "GET", "/api/v1/runs")[0] == 401
            bearer = {"authorization": "Bearer secret"}
            status, document = ask(
                port, "POST", "/api/v1/move", {"moves": [4], "simulations": 8}, **bearer
            )
            assert status == 200 and document["position"]["ply"] == 2, document
            process.send_signal(signal.SIGTERM)
            assert process.wait(PATIENCE_SECONDS) == 0, process.stdout.read()
        finally:
            process.kill()
