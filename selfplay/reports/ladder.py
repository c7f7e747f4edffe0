"""Ratings of a run's checkpoints and of fixed opponents, from all matches that were ever stored."""

import dataclasses
import time
from collections.abc import Callable, Sequence
from typing import Any

from selfplay.arena.rating.fit import RatingTable, fit_ratings
from selfplay.errors import RunError
from selfplay.evaluation.pool import BASELINE, Pool, PoolAgent, read_pool
from selfplay.reports.ladder_matches import LadderMatches, Plan
from selfplay.run import RunDirectory, find_checkpoint, split_checkpoint_name


@dataclasses.dataclass(frozen=True, kw_only=True)
class Rated:
    """What is known of the strength of the agents of some runs.

    Attributes:
        runs: URLs of the runs.
        game: name of the game.
        pool: the agents and their matches.
        table: their ratings.
        played: how many matches were played for it now.
        seconds: how long that took.
    """

    runs: tuple[str, ...]
    game: str
    pool: Pool
    table: RatingTable
    played: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """Returns the document that `selfplay ladder --json` prints."""
        agents = []
        for rating in self.table.ratings:
            agent = self.pool.agents[rating.agent]
            agents.append(
                {
                    "agent": agent.name,
                    "run": agent.run or None,
                    "update": agent.update if agent.is_checkpoint else None,
                    "simulations": agent.simulations if agent.is_checkpoint else None,
                    "elo": rating.elo,
                    "interval": [rating.low, rating.high],
                    "matches": rating.matches,
                    "connected": rating.connected,
                    "unbounded": rating.unbounded,
                }
            )
        return {
            "runs": list(self.runs),
            "game": self.game,
            "anchor": self.table.anchor,
            "agents": agents,
            "pairings": self.pool.documents(),
            "matches": self.pool.matches,
            "dispersion": self.table.dispersion,
            "prior_elo": self.table.prior_elo,
            "played_matches": self.played,
            "played_seconds": self.seconds,
            "skipped_evaluations": self.pool.skipped,
        }


def ladder(
    names: Sequence[str],
    *,
    plan: Plan | None = None,
    say: Callable[[str], None] = lambda text: None,
    show: Callable[[str], None] = lambda text: None,
) -> Rated:
    """Returns the ratings of all agents that the runs have matches of.

    Args:
        names: "RUN", or "RUN@UPDATE" to let a certain checkpoint play; of one game.
        plan: which matches to play first, and for how long; None for none.
        say: shows a message to people.
        show: told how far the matches are.

    Raises:
        RunError: a name is no run, the runs have different games, there are no matches, or some
            do not lead to the anchor.
        CheckpointError: there is no such checkpoint.
        ConfigError: an agent to play against is none.
        StorageError: a store cannot be reached.
    """
    runs, chosen = _open(names)
    pool = read_pool(runs, say)
    played, seconds = 0, 0.0
    if plan is not None:
        matches = LadderMatches(runs, pool, plan, chosen=chosen, say=say)
        begin = time.monotonic()
        played = matches.play(lambda: _fit(runs, pool, profile=False), show)
        seconds = time.monotonic() - begin
    if not pool.matches:
        raise RunError(
            f"{' and '.join(run.url for run in runs)} has no matches to rate its checkpoints by",
            hint=f"let them play: selfplay ladder {names[0]} --minutes 5",
        )
    table = _fit(runs, pool)
    if plan is None:
        _check_connected(table, names)
    return Rated(
        runs=tuple(run.url for run in runs),
        game=runs[0].game_name,
        pool=pool,
        table=table,
        played=played,
        seconds=seconds,
    )


def _open(names: Sequence[str]) -> tuple[list[RunDirectory], dict[str, list[int]]]:
    """Returns the runs, and the updates of those checkpoints that were named, by run."""
    runs: dict[str, RunDirectory] = {}
    chosen: dict[str, list[int]] = {}
    for name in names:
        place, update = split_checkpoint_name(name)
        run = RunDirectory.open(place)
        first = next(iter(runs.values()), run)
        if run.fingerprint != first.fingerprint:
            raise RunError(
                f"{run.url} has other rules than {first.url}: {run.game_name} and "
                f"{first.game_name}",
                hint="only agents of one game can be rated together",
            )
        runs.setdefault(run.url, run)
        if update is not None:
            chosen.setdefault(run.url, []).append(find_checkpoint(name)[1])
    return list(runs.values()), chosen


def _fit(runs: Sequence[RunDirectory], pool: Pool, *, profile: bool = True) -> RatingTable:
    return fit_ratings(
        pool.pairings(), anchor=_anchor(runs, pool), agents=list(pool.agents), profile=profile
    )


def _anchor(runs: Sequence[RunDirectory], pool: Pool) -> str:
    """Returns the agent that has rating 0: random, else the weakest mcts, else the first."""
    if BASELINE in pool.agents:
        return BASELINE
    fixed = [name for name in pool.agents if name.startswith("mcts:")]
    if fixed:
        return min(fixed, key=lambda name: int(name.partition(":")[2]))
    urls = [run.url for run in runs]

    def order(agent: PoolAgent) -> tuple[int, int]:
        return urls.index(agent.run) if agent.run in urls else len(urls), agent.update

    return min(pool.agents.values(), key=order).name


def _check_connected(table: RatingTable, names: Sequence[str]) -> None:
    apart = [rating.agent for rating in table.ratings if not rating.connected]
    if apart:
        others = f" and {len(apart) - 3} more" if len(apart) > 3 else ""
        raise RunError(
            f"no matches lead from {table.anchor} to {', '.join(apart[:3])}{others}, so they "
            "cannot be compared",
            hint=f"let them meet: selfplay ladder {' '.join(names)} --minutes 5",
        )
