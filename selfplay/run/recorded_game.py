"""The game of a run: what run.toml says of it, and where its rules are now."""

import contextlib
import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfplay.errors import ConfigError, RunError, SelfplayError
from selfplay.game import Game
from selfplay.registry import GameSpec, fingerprint
from selfplay.run.game_files import other_places, where_looked


@dataclasses.dataclass(frozen=True, kw_only=True)
class RecordedGame:
    """The game that a run was created with.

    Attributes:
        url: names the run in messages.
        spec: how to make the game.
        name: the game's own name.
        version: the version of its rules.
        fingerprint: of the behaviour of its rules when the run was created.
    """

    url: str
    spec: GameSpec
    name: str
    version: int
    fingerprint: str

    @classmethod
    def from_document(cls, url: str, game: Mapping[str, Any]) -> "RecordedGame":
        """Returns what the table `game` of a run.toml says."""
        return cls(
            url=url,
            spec=GameSpec(spec=game["spec"], options=dict(game["options"])),
            name=game["name"],
            version=game["version"],
            fingerprint=game["fingerprint"],
        )

    def make(self, run_path: Path | None, spec: GameSpec | None = None) -> Game[Any]:
        """Returns the game; see `RunDirectory.make_game`.

        Args:
            run_path: the directory of the run, None if it lies in a store elsewhere.
            spec: where the game is now, None to look for it.
        """
        if spec is not None:
            return self._made(GameSpec(spec.spec, spec.options or self.spec.options))
        try:
            return self._made(self.spec)
        except SelfplayError as error:
            problem = error
        others = other_places(self.spec, run_path)
        for other in others:
            with contextlib.suppress(SelfplayError):
                return self._made(other)
        if not isinstance(problem, ConfigError):
            raise problem
        looked = where_looked(self.spec, run_path)
        if others:
            files = ", ".join(other.spec for other in others)
            looked += f"; {files} cannot be loaded or has other rules"
        raise RunError(
            f"the game of {self.url} is not where it was: {problem}",
            hint="name where it is now: --game FILE.py:Class" + (f"; {looked}" if looked else ""),
        ) from problem

    def _made(self, spec: GameSpec) -> Game[Any]:
        game: Game[Any] = spec.make()
        self.check(game, spec)
        return game

    def check(self, game: Game[Any], spec: GameSpec) -> None:
        """Raises `RunError` unless `game` has the rules that the run was created with.

        Args:
            game: the game.
            spec: how it was made, for the message.
        """
        hint = "choose another --run"
        if game.name != self.name:
            raise RunError(f"{self.url} belongs to {self.name}, not {game.name}", hint=hint)
        found = fingerprint(game)
        if found == self.fingerprint:
            return
        if dict(spec.options) != dict(self.spec.options):
            stored, asked = (_options(s.options) for s in (self.spec, spec))
            raise RunError(
                f"{self.url} belongs to {self.name} with {stored}, not {asked}", hint=hint
            )
        raise RunError(
            f"the rules or the observation of {game.name} have changed since {self.url} was "
            f"created (fingerprint {self.fingerprint}, now {found})",
            hint="go on with the old rules, or train the new ones in another --run",
        )


def _options(options: Mapping[str, object]) -> str:
    return ", ".join(f"{key}={value}" for key, value in options.items()) or "no options"
