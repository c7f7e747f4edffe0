"""TensorBoard on a run in any store: what it serves, read from its port."""

import http.server
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from selfplay.errors import SelfplayError
from selfplay.registry import GameSpec
from selfplay.reports.tensorboard import show_board
from selfplay.run import RunDirectory
from selfplay.runtime.lifetime import Lifetime
from selfplay.settings import Config
from selfplay.telemetry import TensorBoardWriter
from tests.store.fixtures import free_port
from tests.telemetry.samples import FIRST

PATIENCE_SECONDS = 300.0


def until(holds: Callable[[], bool], process: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not holds():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.1)


def steps(port: int) -> list[int]:
    """Returns the updates that TensorBoard shows; none as long as it does not answer."""
    query = "run=.&tag=rollout/matches&format=json"
    url = f"http://127.0.0.1:{port}/data/plugin/scalars/scalars?{query}"
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return [step for _, step, _ in json.loads(answer.read())]
    except OSError:
        return []


@pytest.mark.parametrize(
    "kind",
    [
        "directory",
        "redis_url",
        pytest.param("bucket_url", marks=pytest.mark.slow),
        pytest.param("gcs_url", marks=pytest.mark.slow),
    ],
)
def test_it_shows_a_run_that_goes_on(
    kind: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    root = str(tmp_path) if kind == "directory" else request.getfixturevalue(kind)
    place = f"{root}/board"
    port = free_port()
    log = tmp_path / "log"
    words = [sys.executable, "-m", "selfplay", "tensorboard", place, "--port", str(port)]
    # The command of the compose file looks every 15 seconds; here less is waited.
    code = "import sys; from selfplay.reports import tensorboard as report;"
    code += "report._MIRROR_SECONDS = 0.5;"
    code += "sys.argv[0] = 'selfplay'; from selfplay.cli.main import main; main()"
    with (
        log.open("w") as file,
        subprocess.Popen(
            [sys.executable, "-c", code, *words[3:]],
            stdout=file,
            stderr=file,
            env={**os.environ, "TMPDIR": str(tmp_path)},
        ) as process,
    ):
        try:
            # It is there before the run is, as in the compose file.
            spec = GameSpec(spec="tic_tac_toe", options={})
            run = RunDirectory.create(place, spec, spec.make(), Config())
            writer = TensorBoardWriter(run.tensorboard_path, max_file_bytes=5000)
            for update in range(20):
                writer.write(FIRST.updated(update=update))
                run.publish_files("tensorboard")
            until(lambda: steps(port) == list(range(20)), process, log)
            writer.write(FIRST.updated(update=20))
            run.publish_files("tensorboard")
            until(lambda: steps(port) == list(range(21)), process, log)
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0, log.read_text()
            writer.close()
        finally:
            process.kill()


def test_a_port_in_use_ends_it(tmp_path: Path) -> None:
    with (
        http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other,
        pytest.raises(SelfplayError, match="TensorBoard has ended with exit code"),
    ):
        show_board(
            str(tmp_path),
            host="127.0.0.1",
            port=other.server_address[1],
            lifetime=Lifetime(max_seconds=PATIENCE_SECONDS),
            say=lambda text: None,
        )
