"""Matches between agents of a pool: which tell most, how long they take, and playing them."""

import dataclasses
import statistics
import time
import zlib
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from selfplay.arena import Agent, MatchTable, Standing, play_matches
from selfplay.arena.rating.fit import RatingTable
from selfplay.arena.rating.information import information_gains
from selfplay.errors import CheckpointError, ConfigError
from selfplay.evaluation.pool import BASELINE, Pool, PoolAgent
from selfplay.game import Game
from selfplay.run import RunDirectory

# Seconds of a match per simulation of a move, before any was played; its order will do.
_FIRST_GUESS = 1e-4


class Choice(NamedTuple):
    """Two agents that are to meet."""

    first: PoolAgent
    second: PoolAgent


class PoolMatches:
    """Plays rounds between agents of a pool, and adds them to it.

    Attributes:
        playing: the agents that can play.
    """

    def __init__(
        self,
        game: Game[Any],
        pool: Pool,
        playing: Sequence[PoolAgent],
        player: Callable[[PoolAgent], Agent],
        *,
        optional: str = "",
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Adds the agents to the pool.

        Args:
            game: the rules.
            pool: gets the matches.
            playing: the agents that can play.
            player: makes one of them play.
            optional: name of an agent that plays no more once it has no answer: a solver.
            say: shows a message to people.
        """
        self.playing = list(playing)
        self._game = game
        self._pool = pool
        self._player = player
        self._optional = optional
        self._say = say
        self._seconds: dict[tuple[str, str], float] = {}
        for agent in playing:
            pool.add_agent(agent)

    def choose(self, table: RatingTable, *, per_second: bool) -> Choice:
        """Returns the two agents whose next match tells most about the ratings.

        Args:
            table: the ratings of the pool as it is now.
            per_second: whether a match that takes twice as long must tell twice as much.
        """
        gains = information_gains(table, [agent.name for agent in self.playing])
        best, chosen = -1.0, Choice(self.playing[0], self.playing[1])
        for number, first in enumerate(self.playing):
            for other in range(number + 1, len(self.playing)):
                second = self.playing[other]
                worth = float(gains[number, other])
                if per_second:
                    worth /= self.seconds(first, second)
                if worth > best:
                    best, chosen = worth, Choice(first, second)
        return chosen

    def seconds(self, first: PoolAgent, second: PoolAgent) -> float:
        """Returns the seconds that a match of two agents takes, a guess before their first."""
        kinds = _kinds(first, second)
        if kinds in self._seconds:
            return self._seconds[kinds]
        known = [seconds / sum(map(_effort, pair)) for pair, seconds in self._seconds.items()]
        return sum(map(_effort, kinds)) * (statistics.median(known) if known else _FIRST_GUESS)

    def play(
        self,
        first: PoolAgent,
        second: PoolAgent,
        count: int,
        *,
        doing: str,
        show: Callable[[str], None],
    ) -> MatchTable | None:
        """Plays a round and adds it to the pool.

        Args:
            first: one agent.
            second: the other one.
            count: how many matches, even.
            doing: what the round is, in words.
            show: told that, and how far the matches are.

        Returns:
            The matches; None if the optional agent had no answer, or the trainer has removed a
            checkpoint meanwhile: these agents play no more then.
        """
        met = self._pool.pairs(first.name, second.name)
        # Of this pairing and its matches so far alone: no two rounds have the same openings.
        seed = zlib.crc32(f"{first.name} {second.name} {met}".encode())
        players = self._players(first, second)
        if players is None:
            return None
        begin = time.monotonic()

        def progress(standing: Standing) -> None:
            show(f"{doing}: {standing}")

        try:
            table = play_matches(
                self._game, *players, num_matches=count, seed=seed, progress=progress
            )
        except ConfigError as error:
            if self._optional not in (first.name, second.name):
                raise
            self._leave(self._optional, str(error))
            return None
        self._seconds[_kinds(first, second)] = (time.monotonic() - begin) / count
        self._pool.add(first, second, [dataclasses.asdict(match) for match in table.matches])
        return table

    def _players(self, *agents: PoolAgent) -> list[Agent] | None:
        """Returns agents that are ready to play; None if one of them cannot any more."""
        ready = []
        for agent in agents:
            try:
                ready.append(self._player(agent))
            except CheckpointError as error:
                # A run in training removes checkpoints.
                if not agent.is_checkpoint or _is_there(agent):
                    raise
                self._leave(agent.name, str(error))
                return None
        return ready

    def _leave(self, name: str, reason: str) -> None:
        self._say(f"{name} plays no more: {reason}")
        self.playing = [agent for agent in self.playing if agent.name != name]


def _is_there(agent: PoolAgent) -> bool:
    return agent.update in RunDirectory.open(agent.run).checkpoints.updates()


def _kinds(first: PoolAgent, second: PoolAgent) -> tuple[str, str]:
    """Returns what decides how long a match takes: not which checkpoint of a run it is."""
    one, two = sorted(
        f"{agent.run}:{agent.simulations}" if agent.is_checkpoint else agent.name
        for agent in (first, second)
    )
    return one, two


def _effort(kind: str) -> float:
    """Returns roughly how many simulations a move of a kind of agent costs."""
    number = kind.rpartition(":")[2]
    return 1.0 + (float(number) if number.isdecimal() else 100.0 * (kind != BASELINE))
