"""The options --metrics-port, --metrics-host and --log-format, and what is wrong with them."""

import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

from selfplay.cli.training.monitoring import MonitoringOptions, monitoring
from selfplay.errors import RunError, StorageError
from tests.cli.conftest import invoke  # noqa: F401

PROCESSES = ("worker", "evaluator")


@pytest.fixture
def taken() -> Iterator[int]:
    """Yields a port that somebody else has."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        yield other.getsockname()[1]


@pytest.mark.parametrize("role", PROCESSES)
def test_a_port_in_use(
    role: str,
    invoke: Callable[..., Any],  # noqa: F811
    taken: int,
    tmp_path: Path,
) -> None:
    result = invoke(role, "--run", tmp_path / "run", "--metrics-port", taken)
    assert (result.exit_code, result.stdout, result.stderr) == (
        2,
        "",
        f"error: --metrics-port {taken} is in use on 127.0.0.1\n\n"
        "hint: choose another port, or 0 for any free one\n",
    )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (("--metrics-port", "70000"), "--metrics-port is 70000, but must be between 0 and 65535"),
        (("--metrics-port", "http"), "invalid value for '--metrics-port'"),
        (
            ("--metrics-port", "0", "--metrics-host", "192.0.2.1"),
            "--metrics-host 192.0.2.1 is not an address of this machine",
        ),
        (("--log-format", "xml"), "--log-format is 'xml', but must be one of: text, json"),
    ],
)
@pytest.mark.parametrize("role", PROCESSES)
def test_wrong_values_are_named(
    role: str,
    options: tuple[str, ...],
    message: str,
    invoke: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    result = invoke(role, "--run", tmp_path / "run", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"error: {message}")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("role", PROCESSES)
def test_a_run_that_never_comes(
    role: str,
    invoke: Callable[..., Any],  # noqa: F811
    tmp_path: Path,
) -> None:
    """It is said what is waited for, and who makes it; a limit ends the wait."""
    missing = tmp_path / "missing"
    at_once = ("--jitter", "0") if role == "worker" else ()
    options = ("--idle-exit", "0.5", "--metrics-port", "0", "--log-format", "json")
    result = invoke(role, "--run", missing, *at_once, *options)
    assert result.exit_code == 0
    events = [json.loads(line) for line in result.stderr.splitlines()]
    said = [one.get("message", "") for one in events]
    assert any(text.startswith(f"waiting for the run {missing}: selfplay trainer") for text in said)
    assert ("state", "waiting for the run") in {(e["event"], e.get("message")) for e in events}


def test_json_logs_say_how_it_ended(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(typer.Exit) as ended,
        monitoring("worker", "w1", "runs/a", MonitoringOptions(log_format="json")),
    ):
        raise RunError("it went wrong", hint="try again")
    assert ended.value.exit_code == 1
    (line,) = capsys.readouterr().err.splitlines()
    event = json.loads(line)
    del event["time"]
    assert event == {
        "level": "error",
        "event": "error",
        "run": "runs/a",
        "role": "worker",
        "id": "w1",
        "message": "it went wrong",
        "hint": "try again",
    }


def test_text_logs_leave_errors_to_the_command_line(capsys: pytest.CaptureFixture[str]) -> None:
    with (
        pytest.raises(StorageError),
        monitoring("worker", "w1", "runs/a", MonitoringOptions()) as monitor,
    ):
        monitor.event("nobody", "listens")
        raise StorageError("the disk is full")
    assert capsys.readouterr().err == ""


def test_the_port_is_closed_however_it_ends() -> None:
    with (
        pytest.raises(RunError),
        monitoring("worker", "w1", "runs/a", MonitoringOptions(metrics_port=0)) as monitor,
    ):
        assert monitor._server is not None
        port = monitor._server.port
        socket.create_connection(("127.0.0.1", port), timeout=60).close()
        raise RunError("over")
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=60)
