"""run.toml: the file that makes a directory or a prefix of a store a run."""

import contextlib
import datetime
import os
import tomllib
from collections.abc import Iterator, Mapping
from typing import Any

import tomli_w

from selfplay.errors import ConfigError, RunError
from selfplay.game import Game
from selfplay.registry import GameSpec, fingerprint
from selfplay.run.names import RUN_FILE, is_run, no_run
from selfplay.settings.config import Config
from selfplay.store.file_lock import LOCK_FILE
from selfplay.store.files import TEMPORARY_PREFIX, storage_errors
from selfplay.store.store import Store
from selfplay.version import software_version

FORMAT = 1
_COMMENT = """\
# Written by selfplay when this run was created, and not changed since.
# The settings in force when a checkpoint was written are in its metadata.json.

"""


def new_document(
    spec: GameSpec, game: Game[Any], config: Config, *, origin: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """Returns what run.toml of a new run says.

    Args:
        spec: how `game` was made.
        game: the game.
        config: the settings of the run.
        origin: where the run came from, if from another run.
    """
    return {
        "format": FORMAT,
        "selfplay": software_version(),
        "created": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "game": {
            "spec": spec.spec,
            "name": game.name,
            "version": game.version,
            "fingerprint": fingerprint(game),
            "options": dict(spec.options),
        },
        "config": config.to_dict(),
        **({} if origin is None else {"origin": dict(origin)}),
    }


def write_run_file(store: Store, document: Mapping[str, Any]) -> None:
    """Writes run.toml, once: a run that is there already is never overwritten.

    Raises:
        RunError: there is a run already.
        ConfigError: an option of the game cannot be stored.
        StorageError: the store cannot be written.
    """
    try:
        text = _COMMENT + tomli_w.dumps(document)
    except TypeError as error:
        raise ConfigError(
            f"the options of {document['game']['spec']} cannot be stored: {error}",
            hint="options of a game are texts, numbers, true or false, and lists of those",
        ) from None
    if not store.write_new(RUN_FILE, text.encode()):
        raise RunError(f"{store.url} is a run already", hint="choose another --run")


@contextlib.contextmanager
def opened_run_file(store: Store) -> Iterator[dict[str, Any]]:
    """Yields what run.toml says; errors inside the block that it causes name it.

    Raises:
        RunError: there is no run, or run.toml is damaged or of a newer selfplay.
        StorageError: a store elsewhere cannot be reached.
    """
    file = store.label(RUN_FILE)
    document: dict[str, Any] = {}
    try:
        document = tomllib.loads(store.read(RUN_FILE).decode())
        if document["format"] > FORMAT:
            raise RunError(
                f"{file} has format {document['format']}, but this selfplay reads up to {FORMAT}",
                hint=f"it was written by selfplay {_written_by(document)}: upgrade selfplay",
            )
        yield document
    except FileNotFoundError:
        raise no_run(store) from None
    except ConfigError as error:
        raise RunError(
            f"{file} has a setting that this selfplay refuses: {error}",
            hint=f"it was written by selfplay {_written_by(document)}",
        ) from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
        problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise RunError(
            f"{file} is damaged: {problem}",
            hint="restore the file; the checkpoints and matches beside it are untouched",
        ) from None


def _written_by(document: Mapping[str, Any]) -> str:
    return str(document.get("selfplay", "unknown"))


def check_vacant(store: Store) -> None:
    """Raises `RunError` unless a run can be made in `store`: it holds nothing yet."""
    if is_run(store):
        raise RunError(f"{store.url} is a run already", hint="choose another --run")
    if store.path is None:
        foreign = store.names()
    else:
        with storage_errors(store.path):
            if store.path.exists() and not store.path.is_dir():
                raise RunError(
                    f"{store.url} is a file, not a directory", hint="choose another --run"
                )
            store.path.mkdir(parents=True, exist_ok=True)
            # A creator that was killed may have left a temporary file or the lock, nothing else.
            foreign = [
                name
                for name in sorted(os.listdir(store.path))
                if not name.startswith(TEMPORARY_PREFIX) and name != LOCK_FILE
            ]
    if foreign:
        raise RunError(
            f"{store.url} holds files that are not a selfplay run, such as {foreign[0]}",
            hint="choose another --run; selfplay writes only into its runs and empty directories",
        )
