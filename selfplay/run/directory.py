"""A run: everything that belongs to one training effort, in one directory or store."""

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from selfplay.checkpoints.checkpoints import Checkpoints
from selfplay.checkpoints.directory_checkpoints import DirectoryCheckpoints
from selfplay.checkpoints.remote_checkpoints import RemoteCheckpoints
from selfplay.errors import RunError
from selfplay.game import Game
from selfplay.registry import GameSpec
from selfplay.run.match_files import REANALYSES, MatchFiles
from selfplay.run.names import is_run
from selfplay.run.recorded_game import RecordedGame
from selfplay.run.run_file import (
    check_vacant,
    new_document,
    opened_run_file,
    write_run_file,
)
from selfplay.settings.config import Config, settings_hash
from selfplay.store.directory_store import DirectoryStore
from selfplay.store.file_lock import hold_file
from selfplay.store.files import storage_errors
from selfplay.store.lease import Lease
from selfplay.store.open import open_store
from selfplay.store.place import Place
from selfplay.store.scratch import download_changes, scratch_directory, upload_changes
from selfplay.store.store import Store

_SUBDIRECTORIES = ("checkpoints", "matches", "heartbeats", "ratings", "tensorboard")


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

    >>> import tempfile, selfplay
    >>> spec = selfplay.GameSpec("tic_tac_toe")
    >>> config = selfplay.load_config(preset="quick", environ={})
    >>> with tempfile.TemporaryDirectory() as parent:
    ...     run = RunDirectory.create(f"{parent}/run", spec, spec.make(), config)
    ...     RunDirectory.open(f"{parent}/run").make_game().name
    'tic_tac_toe'
    """

    def __init__(self, place: Place | Store, document: Mapping[str, Any]) -> None:
        """Takes a parsed run.toml; use the class methods instead."""
        self.store = open_store(place)
        self.url = self.store.url
        self.path = self.store.path or scratch_directory(self.url)
        self.document = document
        self._recorded_game = game = RecordedGame.from_document(self.url, document["game"])
        self.game_spec = game.spec
        self.game_name = game.name
        self.game_version = game.version
        self.fingerprint = game.fingerprint
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
        document = new_document(spec, game, config, origin=origin)
        return cls.create_from(place, document)

    @classmethod
    def create_from(
        cls, place: Place | Store, document: Mapping[str, Any], *, vacant: bool = False
    ) -> "RunDirectory":
        """Makes a run whose run.toml says `document`; otherwise as `create`.

        Args:
            place: the directory or URL.
            document: all of it.
            vacant: whether the caller has checked already that the place is vacant.
        """
        store = open_store(place)
        if not vacant:
            check_vacant(store)
        write_run_file(store, document)
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
        with opened_run_file(store) as document:
            return cls(store, document)

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
            settings: what the user asked for (`read_settings`). They replace defaults in a new
                run, and stored settings in an existing one.

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
        """Its checkpoints. Their metadata names the game, its rules and the settings in force."""
        if self.store.path is not None:
            return DirectoryCheckpoints(self.store.path, stamp=self._stamp)
        return RemoteCheckpoints(self.store, stamp=self._stamp, guard=self._check_lease)

    @functools.cached_property
    def matches(self) -> MatchFiles:
        """Its finished matches."""
        return MatchFiles(self.store)

    @functools.cached_property
    def reanalyses(self) -> MatchFiles:
        """Matches of it whose positions were searched again, with their new targets."""
        return MatchFiles(self.store, REANALYSES)

    @property
    def weights_origin(self) -> Mapping[str, Any] | None:
        """What run.toml says of the checkpoint whose weights this run began with, if any.

        Checkpoint 0 of this run holds those weights, with a fresh optimiser.
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
            spec: where the game is now; None to look for it. Without options it gets those of the
                run.

        Raises:
            RunError: its file has moved, or its rules are not those the run was created with.
            ConfigError: `spec` names nothing.
        """
        return self._recorded_game.make(self.store.path, spec)

    def check_game(self, game: Game[Any], spec: GameSpec) -> None:
        """Raises `RunError` unless `game` has the rules that this run was created with.

        Args:
            game: the game.
            spec: how it was made, for the message.
        """
        self._recorded_game.check(game, spec)

    @contextlib.contextmanager
    def lock(self, on_wait: Callable[[str], None] = lambda text: None) -> Iterator[None]:
        """Locks the run for one process that trains it, and clears up after a killed one.

        In a directory the kernel releases the lock when the process ends, however it ends. In a
        remote store the lock is a lease: its holder renews it, and without renewal another process
        takes it over.

        Args:
            on_wait: shows a message if this process must wait to see whether the holder is alive.

        Raises:
            RunError: another process holds it.
        """
        held = hold_file(self.path) if self.store.path is not None else self._hold_lease(on_wait)
        with held:
            if isinstance(self.store, DirectoryStore):
                for folder in (*_SUBDIRECTORIES, REANALYSES):
                    self.store.clear_stale(folder)
            self.checkpoints.recover()
            yield

    def publish_files(self, folder: str) -> None:
        """Uploads the files of a folder under `path`, such as event files, to a remote store.

        Raises:
            StorageError: the store is full, cannot be reached or refuses.
        """
        if self.store.path is None:
            upload_changes(self.store, self.path, folder)

    def fetch_files(self, folder: str) -> None:
        """Downloads the files of a folder from a remote store to `path`.

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
