"""What a run's checkpoints do in a position suite: the game's own, or one that the user names."""

import contextlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from selfplay.arena import Analyst, Suite, ask_suite, read_suite, suite_of
from selfplay.errors import ConfigError, RunError
from selfplay.game import Game
from selfplay.run import RunDirectory, append_suite_result, read_newest_suite_result
from selfplay.telemetry import SuiteScore, suite_score

GAMES_OWN, NONE = "game", "none"


class SuiteMeter:
    """Asks every checkpoint the positions of one suite.

    Attributes:
        newest: the newest record, None before the first.
    """

    def __init__(self, game: Game[Any], run: RunDirectory, named: str, *, enabled: bool) -> None:
        """Reads the suite, and earlier records of the run, if any.

        Args:
            game: the rules.
            run: gets the records.
            named: the suite: "game" for the game's own, if it has one that can be read; "none"; or
                a file.
            enabled: whether it will ask anything; else it only reads earlier records.

        Raises:
            ConfigError: a file that was named cannot be read, is of another game, or wrong.
        """
        self._run = run
        self._game = game
        self._path: Path | None = None
        self._suite: Suite | None = None
        if enabled and named == GAMES_OWN:
            # Its moves are played when it is first asked: most processes never come to that. A
            # game's file may have been copied without it, which `selfplay suite` would say.
            with contextlib.suppress(ConfigError):
                self._path = suite_of(game)
        elif enabled and named != NONE:
            self._path = Path(named).expanduser()
            self._suite = read_suite(self._path, game)
        self._measured: int | None = None
        self.newest: dict[str, Any] | None = None
        self.reread()

    def reread(self) -> None:
        """Takes in records that other processes have stored."""
        # A damaged file must not stop training: `selfplay status` reports it.
        with contextlib.suppress(RunError):
            self.newest = read_newest_suite_result(self._run.store)

    @property
    def scores(self) -> tuple[SuiteScore, ...]:
        """The result in the newest record; empty before the first."""
        return () if self.newest is None else (suite_score(self.newest),)

    def measure(self, agent: Analyst, *, update: int, facts: Mapping[str, Any]) -> None:
        """Asks a checkpoint the whole suite, once, and stores the result in the run.

        Args:
            agent: the checkpoint.
            update: the number of updates behind it.
            facts: more to store, such as "simulations".
        """
        if self._path is None or update == self._measured:
            return
        if self._suite is None:
            self._suite = read_suite(self._path, self._game)
        record = {**ask_suite(agent, self._suite).to_dict(), **facts, "update": update}
        append_suite_result(self._run.store, record)
        self._measured = update
        self.newest = record
