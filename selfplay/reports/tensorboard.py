"""Runs TensorBoard on a run in any store; downloads its event files as they grow."""

import importlib.util
import subprocess
import sys
from collections.abc import Callable

from selfplay.errors import MissingExtraError, SelfplayError, StorageError
from selfplay.runtime.lifetime import Lifetime
from selfplay.store import open_store
from selfplay.store.scratch import download_changes, scratch_directory

FOLDER = "tensorboard"

_MIRROR_SECONDS = 15.0
_LOOK_SECONDS = 0.5
_LEAVING_SECONDS = 5.0


def show_board(
    place: str, *, host: str, port: int, lifetime: Lifetime, say: Callable[[str], None]
) -> None:
    """Runs TensorBoard on the event files of a run until `lifetime` ends.

    It reads a run in a directory in place. For a run in another store, it copies the event files
    into a scratch directory every 15 seconds.

    Args:
        place: the run, a path or a URL. It may not exist yet.
        host: the address to listen on.
        port: in [0, 65535]; 0 for any that is free.
        lifetime: ends it.
        say: shows a line.

    Raises:
        MissingExtraError: TensorBoard is not installed.
        SelfplayError: it ended by itself, for example because the port is in use.
    """
    if importlib.util.find_spec("tensorboard") is None:
        raise MissingExtraError(
            "the Python package tensorboard is not installed",
            hint='pip install "selfplay-jax[tensorboard]"',
        )
    store = open_store(place)
    root = store.path or scratch_directory(store.url)
    options = ["--logdir", str(root / FOLDER), "--host", host, "--port", str(port)]
    words = [sys.executable, "-m", "tensorboard.main", *options, "--reload_interval", "5"]
    with subprocess.Popen(words) as process:
        try:
            problem = ""
            next_look = 0.0
            while not lifetime.over:
                if process.poll() is not None:
                    raise SelfplayError(
                        f"TensorBoard has ended with exit code {process.returncode}",
                        hint="see its output above; --port N chooses another port",
                    )
                if store.path is None and lifetime.elapsed >= next_look:
                    before, problem = problem, ""
                    try:
                        download_changes(store, root, FOLDER)
                    except StorageError as error:
                        problem = str(error)
                    if problem and problem != before:
                        say(f"{problem}; trying again")
                    next_look = lifetime.elapsed + _MIRROR_SECONDS
                lifetime.sleep(_LOOK_SECONDS)
        finally:
            process.terminate()
            try:
                process.wait(_LEAVING_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
