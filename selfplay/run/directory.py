"""The run directory: everything one training effort leaves on disk, and whose it is."""

import contextlib
import datetime
import errno
import fcntl
import os
import tomllib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from selfplay.errors import ConfigError, RunError, StorageError
from selfplay.game import Game
from selfplay.registry import GameSpec, fingerprint
from selfplay.run.checkpoints import Checkpoints, software_version
from selfplay.run.config import Config
from selfplay.run.storage import TEMPORARY_PREFIX, atomic_write, storage_errors

FORMAT = 1
RUN_FILE = "run.toml"
_LOCK_FILE = "run.lock"
_SUBDIRECTORIES = ("checkpoints", "matches", "heartbeats", "ratings", "tensorboard")
_COMMENT = """\
# Written by selfplay when this run was created, and not changed since.
# The settings in force when a checkpoint was written are in its metadata.json.

"""


class RunDirectory:
    """One run on disk. Make it with `create`, `open` or `open_or_create`.

    Attributes:
        path: the directory.
        game_spec: how to make the game.
        game_name: the game's own name.
        game_version: the version of its rules.
        fingerprint: of the behaviour of its rules when the run was created.
        config: the settings in force: those stored, with this session's overrides if any.
        created: when, in ISO 8601.
    """

    def __init__(self, path: Path, document: Mapping[str, Any]) -> None:
        """Takes a parsed run.toml; use the class methods instead."""
        game = document["game"]
        self.path = path
        self.game_spec = GameSpec(spec=game["spec"], options=dict(game["options"]))
        self.game_name: str = game["name"]
        self.game_version: int = game["version"]
        self.fingerprint: str = game["fingerprint"]
        self.created: str = document["created"]
        self.config = Config.from_dict(document["config"])

    @classmethod
    def create(cls, path: Path, spec: GameSpec, game: Game[Any], config: Config) -> "RunDirectory":
        """Makes a run in an absent or empty directory.

        Raises:
            RunError: the directory holds a run already, or something else.
            StorageError: it cannot be written.
        """
        if is_run(path):
            raise RunError(f"{path} is a run already", hint="choose another --run")
        with storage_errors(path):
            if path.exists() and not path.is_dir():
                raise RunError(f"{path} is a file, not a directory", hint="choose another --run")
            path.mkdir(parents=True, exist_ok=True)
            # A creator that was killed may have left a temporary file or the lock, nothing else.
            foreign = [
                name
                for name in sorted(os.listdir(path))
                if not name.startswith(TEMPORARY_PREFIX) and name != _LOCK_FILE
            ]
        if foreign:
            raise RunError(
                f"{path} holds files that are not a selfplay run, such as {foreign[0]}",
                hint="choose another --run; selfplay never writes into a directory of others",
            )
        document = {
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
        }
        try:
            text = _COMMENT + tomli_w.dumps(document)
        except TypeError as error:
            raise ConfigError(
                f"the options of {spec.spec} cannot be stored: {error}",
                hint="options of a game are texts, numbers, true or false, and lists of those",
            ) from None
        atomic_write(path / RUN_FILE, text.encode())
        run = cls(path, document)
        run._make_subdirectories()
        return run

    @classmethod
    def open(cls, path: Path) -> "RunDirectory":
        """Opens an existing run; writes nothing.

        Raises:
            RunError: it is no run, or its run.toml is damaged or of a newer selfplay.
        """
        file = path / RUN_FILE
        if not is_run(path):
            raise RunError(
                f"{path} is not a selfplay run" if path.exists() else f"{path} does not exist",
                hint="name a directory made by `selfplay train`, such as runs/connect_four",
            )
        try:
            document = tomllib.loads(file.read_text(encoding="utf-8"))
            written_by = document.get("selfplay", "unknown")
            if document["format"] > FORMAT:
                raise RunError(
                    f"{file} has format {document['format']}, but this selfplay reads up to "
                    f"{FORMAT}",
                    hint=f"it was written by selfplay {written_by}: upgrade selfplay",
                )
            return cls(path, document)
        except ConfigError as error:
            raise RunError(
                f"{file} has a setting that this selfplay refuses: {error}",
                hint=f"it was written by selfplay {written_by}",
            ) from None
        except OSError as error:
            raise RunError(f"{file} cannot be read: {error.strerror}") from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise RunError(
                f"{file} is damaged: {problem}",
                hint="restore the file; the checkpoints and matches beside it are untouched",
            ) from None

    @classmethod
    def open_or_create(
        cls,
        path: Path,
        spec: GameSpec,
        game: Game[Any],
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> "RunDirectory":
        """Resumes the run at `path`, or makes it.

        Args:
            path: the directory.
            spec: how `game` was made.
            game: the game.
            settings: what the user asked for (`read_settings`): laid over the defaults for a new
                run, over the stored settings for an existing one.

        Raises:
            RunError: the directory holds something else, a run of another game or of other
                rules, or a run whose network differs from `settings`.
            ConfigError: a setting is unknown or out of range.
        """
        if not is_run(path):
            return cls.create(path, spec, game, Config.from_dict(settings or {}))
        run = cls.open(path)
        run.check_game(game, spec)
        config = run.config.updated(settings or {})
        stored, asked = run.config.to_dict()["network"], config.to_dict()["network"]
        for key, value in stored.items():
            if asked[key] != value:
                raise RunError(
                    f"{path} has network.{key} = {value!r}, but {asked[key]!r} was asked for",
                    hint="the network of a run is fixed: leave the setting out, or choose "
                    "another --run",
                )
        run.config = config
        run._make_subdirectories()
        return run

    @property
    def checkpoints(self) -> Checkpoints:
        """Its checkpoints; each one saved gets the game, its rules and the config in force."""
        stamp = {
            "game": self.game_name,
            "game_version": self.game_version,
            "fingerprint": self.fingerprint,
            "game_spec": {"spec": self.game_spec.spec, "options": self.game_spec.options},
            "config": self.config.to_dict(),
        }
        return Checkpoints(self.path, stamp=stamp)

    @property
    def matches_path(self) -> Path:
        """Where finished matches lie, one directory per worker."""
        return self.path / "matches"

    @property
    def tensorboard_path(self) -> Path:
        """Where the TensorBoard event files lie."""
        return self.path / "tensorboard"

    def make_game(self) -> Game[Any]:
        """Returns the game of this run.

        Raises:
            RunError: its rules are not those the run was created with.
        """
        game: Game[Any] = self.game_spec.make()
        self.check_game(game, self.game_spec)
        return game

    def check_game(self, game: Game[Any], spec: GameSpec) -> None:
        """Raises `RunError` unless `game` has the rules that this run was created with.

        Args:
            game: the game.
            spec: how it was made, for the message.
        """
        hint = "choose another --run"
        if game.name != self.game_name:
            raise RunError(f"{self.path} belongs to {self.game_name}, not {game.name}", hint=hint)
        found = fingerprint(game)
        if found == self.fingerprint:
            return
        if dict(spec.options) != dict(self.game_spec.options):
            stored, asked = (_options(s.options) for s in (self.game_spec, spec))
            raise RunError(
                f"{self.path} belongs to {self.game_name} with {stored}, not {asked}", hint=hint
            )
        raise RunError(
            f"the rules of {game.name} have changed since {self.path} was created "
            f"(fingerprint {self.fingerprint}, now {found})",
            hint="go on with the old rules, or train the new ones in another --run",
        )

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Holds the run for the one process that may train it, and clears up after a killed one.

        The kernel releases the lock when the process ends, however it ends.

        Raises:
            RunError: another process holds it.
        """
        file = self.path / _LOCK_FILE
        with storage_errors(file):
            descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                if error.errno not in (errno.EAGAIN, errno.EACCES):
                    raise StorageError(
                        f"{file} cannot be locked: {error.strerror}",
                        hint="put the run on a file system that has file locks",
                    ) from error
                holder = os.pread(descriptor, 64, 0).decode(errors="replace").strip()
                raise RunError(
                    f"another process{f' (pid {holder})' if holder else ''} is training "
                    f"{self.path}",
                    hint="wait until it ends, stop it, or choose another --run",
                ) from None
            with storage_errors(file):
                os.ftruncate(descriptor, 0)
                os.pwrite(descriptor, f"{os.getpid()}\n".encode(), 0)
            self.checkpoints.recover()
            yield
        finally:
            os.close(descriptor)

    def _make_subdirectories(self) -> None:
        with storage_errors(self.path):
            for name in _SUBDIRECTORIES:
                (self.path / name).mkdir(exist_ok=True)


def is_run(path: Path) -> bool:
    """Returns whether the directory holds a run."""
    return (path / RUN_FILE).is_file()


def _options(options: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items()) or "no options"
