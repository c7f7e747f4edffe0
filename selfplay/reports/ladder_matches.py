"""Plays the matches that tell most about the ratings of runs, and stores them in the runs."""

import dataclasses
import os
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from selfplay.arena import MatchTable, SolverAgent, has_solver
from selfplay.arena.rating.fit import RatingTable
from selfplay.errors import StorageError
from selfplay.evaluation.pool import BASELINE, Pool, PoolAgent, described, pool_agent, run_agent
from selfplay.evaluation.pool_matches import Choice, PoolMatches
from selfplay.evaluation.pool_players import PoolPlayers
from selfplay.game import Game
from selfplay.run import RunDirectory, append_ladder_matches
from selfplay.telemetry import words

OPPONENTS = (BASELINE, "mcts:100", "mcts:1000")
"""Who plays beside the checkpoints; and `solver`, in a game that has one."""

# Two sizes, so that at most two shapes are compiled: many at once are cheaper, few end sooner.
ROUNDS = (32, 8)
_LONG_SECONDS = 60.0


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """Which matches a ladder plays.

    Attributes:
        game: the rules of the runs.
        minutes: for how long it plays, above 0.
        checkpoints: of each run so many play, spread evenly over its updates, at least 1.
        simulations: of their search; None for as many as in the evaluations of their run.
        opponents: agents to play against, engines too.
        engines: processes of an engine, side by side.
        inference: what computes the networks; None for what their runs name.
    """

    game: Game[Any]
    minutes: float
    checkpoints: int = 10
    simulations: int | None = None
    opponents: tuple[str, ...] = OPPONENTS
    engines: int = 1
    inference: str | None = None


class LadderMatches:
    """Chooses pairings, plays them in rounds and stores each round."""

    def __init__(
        self,
        runs: Sequence[RunDirectory],
        pool: Pool,
        plan: Plan,
        *,
        chosen: Mapping[str, Sequence[int]] | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Adds those who are to play to the pool.

        Args:
            runs: whose checkpoints play; they keep the matches.
            pool: gets the matches.
            plan: who plays, and for how long.
            chosen: updates of the checkpoints that play, by run; by default spread evenly.
            say: shows a message to people.

        Raises:
            ConfigError: an opponent is no agent of this game.
            EngineError: a program cannot be started.
        """
        self._runs = runs
        self._plan = plan
        self._say = say
        players = PoolPlayers(
            plan.game,
            batch_size=ROUNDS[0] // 2,
            processes=plan.engines,
            inference=plan.inference,
            say=say,
        )
        opponents = [pool_agent(name) for name in dict.fromkeys(plan.opponents)]
        solved = "solver" not in plan.opponents and _solves_the_start(plan.game)
        optional = "solver" if solved else ""
        if optional:
            opponents.append(pool_agent(optional))
        # Before anything is played, so that what is no agent is refused now.
        for opponent in opponents:
            players.agent(opponent)
        checkpoints = [
            agent for run in runs for agent in _checkpoints(run, plan, (chosen or {}).get(run.url))
        ]
        self._matches = PoolMatches(
            plan.game,
            pool,
            # One that is named twice plays once.
            list({one.name: one for one in (*opponents, *checkpoints)}.values()),
            players.agent,
            optional=optional,
            say=say,
        )

    def play(self, fit: Callable[[], RatingTable], show: Callable[[str], None]) -> int:
        """Plays until the time is over, or nothing more can be played or stored.

        Args:
            fit: returns the ratings of the pool as it is now.
            show: told how far the matches are.

        Returns:
            How many matches were played.

        Raises:
            CheckpointError: a checkpoint is damaged.
            EngineError: a program failed.
        """
        if problem := self._unwritable():
            self._say(f"nothing is played: {problem}")
            return 0
        deadline = time.monotonic() + 60 * self._plan.minutes
        played = 0
        while len(self._matches.playing) > 1:
            pairing = self._matches.choose(fit(), per_second=True)
            each = self._matches.seconds(*pairing)
            count = ROUNDS[0] if each * ROUNDS[0] <= _LONG_SECONDS else ROUNDS[1]
            left = deadline - time.monotonic()
            if left <= 0 or (played and each * count > left):
                break
            names = " against ".join(map(_short, pairing))
            doing = f"{words.duration(left)} left, {names}"
            table = self._matches.play(*pairing, count, doing=doing, show=show)
            if table is None:
                continue
            played += count
            try:
                self._store(pairing, table)
            except StorageError as error:
                self._say(f"nothing more is played, because it cannot be stored: {error}")
                break
        return played

    def _store(self, pairing: Choice, table: MatchTable) -> None:
        run = next(
            (run for one in pairing for run in self._runs if run.url == one.run), self._runs[0]
        )
        summary = {
            "game": table.game,
            "agents": [described(one, run, self._runs) for one in pairing],
            "seed": table.seed,
            "opening_set": table.opening_set,
            "score": table.score,
            "seconds": self._matches.seconds(*pairing) * len(table.matches),
        }
        matches = [dataclasses.asdict(match) for match in table.matches]
        append_ladder_matches(run.store, summary, matches)

    def _unwritable(self) -> str:
        """Returns why matches could not be stored, "" if nothing is known against it."""
        for run in self._runs:
            path = run.store.path
            if path is None:
                continue
            folder = path / "ratings"
            if not os.access(folder if folder.exists() else path, os.W_OK):
                return f"{run.url} may not be written to, and matches are stored in their run"
        return ""


def spread(updates: Sequence[int], count: int) -> list[int]:
    """Returns at most `count` of the updates, the first and the newest and others evenly between.

    >>> spread([1, 2, 3, 4, 90, 100], 3)
    [1, 90, 100]
    """
    if len(updates) <= count:
        return list(updates)
    if count == 1:
        return [updates[-1]]
    wanted = np.linspace(updates[0], updates[-1], count)
    found = np.array(updates)
    return sorted({int(found[np.abs(found - one).argmin()]) for one in wanted})


def _solves_the_start(game: Game[Any]) -> bool:
    return has_solver(game) and SolverAgent(game).knows_the_start


def _checkpoints(run: RunDirectory, plan: Plan, chosen: Sequence[int] | None) -> list[PoolAgent]:
    """Returns the checkpoints of a run that play."""
    updates = sorted(set(chosen or spread(run.checkpoints.updates(), plan.checkpoints)))
    return [run_agent(run, update, plan.simulations) for update in updates]


def _short(agent: PoolAgent) -> str:
    return f"@{agent.update}" if agent.is_checkpoint else agent.name
