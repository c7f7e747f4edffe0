"""A run: everything one training effort leaves behind, and whose it is."""

import contextlib
import datetime
import functools
import os
import tomllib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import tomli_w

from selfplay.checkpoints.checkpoints import Checkpoints, software_version
from selfplay.checkpoints.directory_checkpoints import DirectoryCheckpoints
from selfplay.checkpoints.remote_checkpoints import RemoteCheckpoints
from selfplay.errors import ConfigError, RunError, SelfplayError
from selfplay.game import Game
from selfplay.registry import GameSpec, fingerprint
from selfplay.run.game_files import other_places, where_looked
from selfplay.run.match_files import MatchFiles
from selfplay.run.names import RUN_FILE, is_run, no_run
from selfplay.settings.config import Config, settings_hash
from selfplay.store.directory_store import DirectoryStore
from selfplay.store.file_lock import LOCK_FILE, hold_file
from selfplay.store.files import TEMPORARY_PREFIX, storage_errors
from selfplay.store.lease import Lease
from selfplay.store.open import open_store
from selfplay.store.place import Place
from selfplay.store.scratch import download_changes, scratch_directory, upload_changes
from selfplay.store.store import Store

FORMAT = 1
_SUBDIRECTORIES = ("checkpoints", "matches", "heartbeats", "ratings", "tensorboard")
_COMMENT = """\
# Written by selfplay when this run was created, and not changed since.
# The settings in force when a checkpoint was written are in its metadata.json.

"""


class RunDirectory:
    """One run, in a directory or a store elsewhere. Use `create`, `open` or `open_or_create`.

    Attributes:
        store: what holds it.
        url: what to call it in messages.
        path: the directory; for a store elsewhere a scratch directory of this process.
        document: the whole of run.toml.
        game_spec: how to make the game.
        game_name: the game's own name.
        game_version: the version of its rules.
        fingerprint: of the behaviour of its rules when the run was created.
        config: the settings in force: those stored, with this session's overrides if any.
        created: when, in ISO 8601.
    """

    def __init__(self, place: Place | Store, document: Mapping[str, Any]) -> None:
        """Takes a parsed run.toml; use the class methods instead."""
        game = document["game"]
        self.store = open_store(place)
        self.url = self.store.url
        self.path = self.store.path or scratch_directory(self.url)
        self.document = document
        self.game_spec = GameSpec(spec=game["spec"], options=dict(game["options"]))
        self.game_name: str = game["name"]
        self.game_version: int = game["version"]
        self.fingerprint: str = game["fingerprint"]
        self.created: str = document["created"]
        self.config = Config.from_dict(document["config"])
        self._lease: Lease | None = None

    @classmethod
    def create(
        cls,
        place: Place | Store,
        spec: GameSpec,
        game: Game[Any],
        config: Config,
        *,
        origin: Mapping[str, Any] | None = None,
    ) -> "RunDirectory":
        """Makes a run in an absent or empty directory or prefix of a store.

        Args:
            place: the directory or URL.
            spec: how `game` was made.
            game: the game.
            config: its settings.
            origin: what run.toml says of where it came from, if from another run.

        Raises:
            RunError: it holds a run already, or something else.
            StorageError: it cannot be written.
        """
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
            **({} if origin is None else {"origin": dict(origin)}),
        }
        return cls.create_from(place, document)

    @classmethod
    def create_from(
        cls, place: Place | Store, document: Mapping[str, Any], *, vacant: bool = False
    ) -> "RunDirectory":
        """Makes a run whose run.toml says `document`; otherwise as `create`.

        Args:
            place: the directory or URL.
            document: all of it.
            vacant: whether the caller has seen by itself that no run lies there.
        """
        store = open_store(place)
        if not vacant:
            check_vacant(store)
        try:
            text = _COMMENT + tomli_w.dumps(document)
        except TypeError as error:
            raise ConfigError(
                f"the options of {document['game']['spec']} cannot be stored: {error}",
                hint="options of a game are texts, numbers, true or false, and lists of those",
            ) from None
        if not store.write_new(RUN_FILE, text.encode()):
            raise RunError(f"{store.url} is a run already", hint="choose another --run")
        run = cls(store, document)
        run._make_subdirectories()
        return run

    @classmethod
    def open(cls, place: Place | Store) -> "RunDirectory":
        """Opens an existing run; writes nothing.

        Raises:
            RunError: it is no run, or its run.toml is damaged or of a newer selfplay.
            StorageError: a store elsewhere cannot be reached.
        """
        store = open_store(place)
        file = store.label(RUN_FILE)
        try:
            document = tomllib.loads(store.read(RUN_FILE).decode())
            written_by = document.get("selfplay", "unknown")
            if document["format"] > FORMAT:
                raise RunError(
                    f"{file} has format {document['format']}, but this selfplay reads up to "
                    f"{FORMAT}",
                    hint=f"it was written by selfplay {written_by}: upgrade selfplay",
                )
            return cls(store, document)
        except FileNotFoundError:
            raise no_run(store) from None
        except ConfigError as error:
            raise RunError(
                f"{file} has a setting that this selfplay refuses: {error}",
                hint=f"it was written by selfplay {written_by}",
            ) from None
        except (tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError, TypeError) as error:
            problem = f"{error} is missing" if isinstance(error, KeyError) else str(error)
            raise RunError(
                f"{file} is damaged: {problem}",
                hint="restore the file; the checkpoints and matches beside it are untouched",
            ) from None

    @classmethod
    def open_or_create(
        cls,
        place: Place | Store,
        spec: GameSpec,
        game: Game[Any],
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> "RunDirectory":
        """Resumes the run at `place`, or makes it.

        Args:
            place: the directory or URL.
            spec: how `game` was made.
            game: the game.
            settings: what the user asked for (`read_settings`): laid over the defaults for a new
                run, over the stored settings for an existing one.

        Raises:
            RunError: the directory holds something else, a run of another game or of other
                rules, or a run whose network differs from `settings`.
            ConfigError: a setting is unknown or out of range.
        """
        store = open_store(place)
        if not is_run(store):
            return cls.create(store, spec, game, Config.from_dict(settings or {}))
        run = cls.open(store)
        run.check_game(game, spec)
        config = run.config.updated(settings or {})
        stored, asked = run.config.to_dict()["network"], config.to_dict()["network"]
        for key, value in stored.items():
            if asked[key] != value:
                raise RunError(
                    f"{run.url} has network.{key} = {value!r}, but {asked[key]!r} was asked for",
                    hint="the network of a run is fixed: leave the setting out, or choose "
                    "another --run",
                )
        run.config = config
        run._make_subdirectories()
        return run

    @functools.cached_property
    def checkpoints(self) -> Checkpoints:
        """Its checkpoints; each one saved gets the game, its rules and the config in force."""
        if self.store.path is not None:
            return DirectoryCheckpoints(self.store.path, stamp=self._stamp)
        return RemoteCheckpoints(self.store, stamp=self._stamp, guard=self._check_lease)

    @functools.cached_property
    def matches(self) -> MatchFiles:
        """Its finished matches."""
        return MatchFiles(self.store)

    @property
    def weights_origin(self) -> Mapping[str, Any] | None:
        """What run.toml says of the checkpoint whose weights this run began with, if it did.

        Its own checkpoint 0 holds them, without updates and with a fresh optimiser.
        """
        origin: Mapping[str, Any] = self.document.get("origin", {})
        return origin if origin.get("weights_only") else None

    @property
    def tensorboard_path(self) -> Path:
        """Where the TensorBoard event files lie."""
        return self.path / "tensorboard"

    def make_game(self, spec: GameSpec | None = None) -> Game[Any]:
        """Returns the game of this run.

        If its file is not at the recorded path, or has other rules there, it is looked for in the
        current folder, in the run directory and the two folders above it, and in the folders of
        the environment variable `SELFPLAY_GAMES`. The first file with the rules of the run counts.

        Args:
            spec: where the game is now, if somebody says so. Its options are those of the run if
                it has none.

        Raises:
            RunError: its file has moved, or its rules are not those the run was created with.
            ConfigError: `spec` names nothing.
        """
        if spec is not None:
            return self._made(GameSpec(spec.spec, spec.options or self.game_spec.options))
        try:
            return self._made(self.game_spec)
        except SelfplayError as error:
            problem = error
        others = other_places(self.game_spec, self.store.path)
        for other in others:
            with contextlib.suppress(SelfplayError):
                return self._made(other)
        if not isinstance(problem, ConfigError):
            raise problem
        looked = where_looked(self.game_spec, self.store.path)
        if others:
            files = ", ".join(other.spec for other in others)
            looked += f"; {files} cannot be loaded or has other rules"
        raise RunError(
            f"the game of {self.url} is not where it was: {problem}",
            hint="name where it is now: --game FILE.py:Class" + (f"; {looked}" if looked else ""),
        ) from problem

    def _made(self, spec: GameSpec) -> Game[Any]:
        game: Game[Any] = spec.make()
        self.check_game(game, spec)
        return game

    def check_game(self, game: Game[Any], spec: GameSpec) -> None:
        """Raises `RunError` unless `game` has the rules that this run was created with.

        Args:
            game: the game.
            spec: how it was made, for the message.
        """
        hint = "choose another --run"
        if game.name != self.game_name:
            raise RunError(f"{self.url} belongs to {self.game_name}, not {game.name}", hint=hint)
        found = fingerprint(game)
        if found == self.fingerprint:
            return
        if dict(spec.options) != dict(self.game_spec.options):
            stored, asked = (_options(s.options) for s in (self.game_spec, spec))
            raise RunError(
                f"{self.url} belongs to {self.game_name} with {stored}, not {asked}", hint=hint
            )
        raise RunError(
            f"the rules or the observation of {game.name} have changed since {self.url} was "
            f"created (fingerprint {self.fingerprint}, now {found})",
            hint="go on with the old rules, or train the new ones in another --run",
        )

    @contextlib.contextmanager
    def lock(self, on_wait: Callable[[str], None] = lambda text: None) -> Iterator[None]:
        """Holds the run for the one process that may train it, and clears up after a killed one.

        In a directory the kernel releases the lock when the process ends, however it ends. In a
        store elsewhere it is renewed all the time, and taken over after a silence.

        Args:
            on_wait: is told if a silence has to be waited for.

        Raises:
            RunError: another process holds it.
        """
        held = hold_file(self.path) if self.store.path is not None else self._hold_lease(on_wait)
        with held:
            if isinstance(self.store, DirectoryStore):
                for folder in _SUBDIRECTORIES:
                    self.store.clear_stale(folder)
            self.checkpoints.recover()
            yield

    def publish_files(self, folder: str) -> None:
        """Brings the files of a folder under `path`, such as event files, to a store elsewhere.

        Raises:
            StorageError: the store is full, cannot be reached or refuses.
        """
        if self.store.path is None:
            upload_changes(self.store, self.path, folder)

    def fetch_files(self, folder: str) -> None:
        """Brings the files of a folder from a store elsewhere to `path`.

        Raises:
            StorageError: the store cannot be reached.
        """
        if self.store.path is None:
            download_changes(self.store, self.path, folder)

    def _stamp(self) -> dict[str, Any]:
        return {
            "game": self.game_name,
            "game_version": self.game_version,
            "fingerprint": self.fingerprint,
            "game_spec": {"spec": self.game_spec.spec, "options": self.game_spec.options},
            "config": self.config.to_dict(),
            "settings_hash": settings_hash(self.config),
        }

    @contextlib.contextmanager
    def _hold_lease(self, on_wait: Callable[[str], None]) -> Iterator[None]:
        try:
            with Lease(self.store, on_wait=on_wait) as self._lease:
                yield
        finally:
            self._lease = None

    def _check_lease(self) -> None:
        if self._lease is not None:
            self._lease.check()

    def _make_subdirectories(self) -> None:
        with storage_errors(self.path):
            for name in _SUBDIRECTORIES:
                (self.path / name).mkdir(exist_ok=True)


def check_vacant(store: Store) -> None:
    """Raises `RunError` unless a run can be made there: nothing lies there yet."""
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
            hint="choose another --run; selfplay never writes into a directory of others",
        )


def _options(options: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items()) or "no options"
