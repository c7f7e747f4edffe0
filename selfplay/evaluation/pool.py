"""All stored matches of some runs as one pool: who met whom, and what came of it."""

import dataclasses
import hashlib
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from selfplay.arena import is_engine
from selfplay.arena.rating.fit import Pairing
from selfplay.errors import RunError
from selfplay.run import (
    RunDirectory,
    find_checkpoint,
    is_run,
    read_ladder_matches,
    read_played_evaluations,
    split_checkpoint_name,
    split_simulations,
)

BASELINE = "random"
"""The agent whose rating is 0 by definition, where the pool has it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class PoolAgent:
    """One agent of a pool.

    Attributes:
        name: what to type for it, such as "random", "mcts:100" or "runs/a@1200:32".
        run: URL of the run whose checkpoint it is, "" if it is none.
        update: which checkpoint, -1 if it is none.
        simulations: of a checkpoint, per move; -1 if it is none.
        settings: of its search, other than those it was stored with, with spaces in between.
    """

    name: str
    run: str = ""
    update: int = -1
    simulations: int = -1
    settings: str = ""

    @classmethod
    def checkpoint(cls, url: str, update: int, simulations: int) -> "PoolAgent":
        """Returns the agent that searches with a checkpoint."""
        name = f"{url}@{update}:{simulations}"
        return cls(name=name, run=url, update=update, simulations=simulations)

    def with_settings(self, settings: str) -> "PoolAgent":
        """Returns the same checkpoint with other settings of its search."""
        return dataclasses.replace(self, name=f"{self.name} {settings}", settings=settings)

    @property
    def is_checkpoint(self) -> bool:
        """Returns whether it is a checkpoint of a run."""
        return self.update >= 0


def pool_agent(text: str) -> PoolAgent:
    """Returns the agent that somebody typed; only of a checkpoint it looks whether it is there.

    Args:
        text: "random", "mcts:N", "solver", an engine, or "RUN[@UPDATE][:simulations]".

    Raises:
        CheckpointError: the run has no such checkpoint.
    """
    name, simulations = split_simulations(text)
    if is_engine(text) or not is_run(split_checkpoint_name(name)[0]):
        return PoolAgent(name=text)
    place, update = find_checkpoint(name)
    run = RunDirectory.open(place)
    return run_agent(run, update, simulations)


def run_agent(run: RunDirectory, update: int, simulations: int | None = None) -> PoolAgent:
    """Returns a checkpoint of a run, by default with the simulations of the run's evaluations."""
    if simulations is None:
        simulations = run.config.search_for_matches().num_simulations
    return PoolAgent.checkpoint(run.url, update, simulations)


class Pool:
    """Agents and the pairs of matches between them; every pair is counted once.

    Attributes:
        agents: by name.
        skipped: how many stored evaluations cannot be used, because their matches are not there.
    """

    def __init__(self) -> None:
        """Makes a pool without agents."""
        self.agents: dict[str, PoolAgent] = {}
        self.skipped = 0
        self._scores: dict[tuple[str, str], list[float]] = defaultdict(list)
        self._played: dict[tuple[str, str], set[bytes]] = defaultdict(set)

    @property
    def matches(self) -> int:
        """Returns how many matches the pool has."""
        return 2 * sum(map(len, self._scores.values()))

    def add_agent(self, agent: PoolAgent) -> None:
        """Adds an agent, which need not have played."""
        self.agents.setdefault(agent.name, agent)

    def add(
        self, first: PoolAgent, second: PoolAgent, matches: Sequence[Mapping[str, Any]]
    ) -> bool:
        """Adds the matches of two agents.

        Args:
            first: the agent whose scores they have.
            second: the other one.
            matches: each with "score", of `first`, and "actions"; two in a row have the same
                opening, seats swapped.

        Returns:
            Whether they could be used: not if there are none, or no pairs of them.
        """
        if first.name == second.name or not matches or len(matches) % 2:
            return False
        if not all("score" in match for match in matches):
            return False
        self.add_agent(first)
        self.add_agent(second)
        turned = first.name > second.name
        key = (second.name, first.name) if turned else (first.name, second.name)
        for one, two in zip(matches[::2], matches[1::2], strict=True):
            score = (float(one["score"]) + float(two["score"])) / 2
            self._scores[key].append(1 - score if turned else score)
            self._played[key].add(_digest(one, two, turned=turned))
        return True

    def pairs(self, first: str, second: str) -> int:
        """Returns how many pairs of matches two agents have played."""
        return len(self._scores.get((min(first, second), max(first, second)), ()))

    def pairings(self) -> list[Pairing]:
        """Returns what came of the matches of each two agents that have met."""
        return [
            Pairing(
                first=first,
                second=second,
                pair_scores=tuple(scores),
                distinct_pairs=len(self._played[first, second]),
            )
            for (first, second), scores in self._scores.items()
        ]

    def documents(self) -> list[dict[str, Any]]:
        """Returns what documents say of the pairings: "agents", and "score" of the first."""
        return [
            {
                "agents": [one.first, one.second],
                "matches": 2 * len(one.pair_scores),
                "distinct_pairs": one.distinct_pairs,
                "score": one.score,
            }
            for one in self.pairings()
        ]


def read_pool(runs: Sequence[RunDirectory], say: Callable[[str], None] = lambda text: None) -> Pool:
    """Returns all evaluation matches and ladder matches that the runs have stored.

    Args:
        runs: the runs.
        say: is told of every damaged file, which is left out.

    Raises:
        StorageError: a store cannot be reached.
    """
    pool = Pool()

    def leave_out(error: RunError) -> None:
        pool.skipped += 1
        say(f"left out: {error}")

    for run in runs:
        for summary, matches in read_played_evaluations(run.store, leave_out):
            agent, opponent = _evaluated(run, summary)
            pool.skipped += not pool.add(agent, opponent, matches)
        for found in read_ladder_matches(run.store, leave_out):
            first, second = (_named(run, runs, agent) for agent in found["agents"])
            pool.skipped += not pool.add(first, second, found["matches"])
    return pool


def described(agent: PoolAgent, run: RunDirectory, runs: Sequence[RunDirectory]) -> dict[str, Any]:
    """Returns what a file of matches in `run` says of an agent."""
    if not agent.is_checkpoint:
        return {"agent": agent.name}
    content = {"agent": agent.name, "update": agent.update, "simulations": agent.simulations}
    if agent.run == run.url:
        # The run may be moved or copied: its own checkpoints are named without it.
        return {**content, "agent": f"@{agent.update}:{agent.simulations}"}
    created = next((other.created for other in runs if other.url == agent.run), "")
    return {**content, "run": agent.run, "created": created}


def _named(
    run: RunDirectory, runs: Sequence[RunDirectory], content: Mapping[str, Any]
) -> PoolAgent:
    """Returns the agent that `described` has described."""
    if "update" not in content:
        return PoolAgent(name=str(content["agent"]))
    url = str(content.get("run", run.url))
    if "run" in content and url not in {other.url for other in runs}:
        # It may have been moved since: a run keeps the time at which it was created.
        created = content.get("created")
        moved = [one.url for one in runs if one.created == created and one.url != run.url]
        url = moved[0] if len(moved) == 1 else url
    return PoolAgent.checkpoint(url, int(content["update"]), int(content["simulations"]))


def _evaluated(run: RunDirectory, summary: Mapping[str, Any]) -> tuple[PoolAgent, PoolAgent]:
    """Returns the two agents of an evaluation."""
    agent = run_agent(run, int(summary["update"]), summary.get("simulations"))
    opponent = str(summary["opponent"])
    if opponent.startswith("@") and opponent[1:].isdecimal():
        return agent, run_agent(run, int(opponent[1:]), agent.simulations)
    return agent, PoolAgent(name=opponent)


def _digest(one: Mapping[str, Any], two: Mapping[str, Any], *, turned: bool) -> bytes:
    """Returns what two pairs have in common if they are the same, move for move.

    The key of a random start is left out: in most games it changes nothing.
    """
    matches = [
        (tuple(match.get("actions", ())), tuple(match.get("outcomes", ()))) for match in (one, two)
    ]
    # Seen by the other agent, the second match is the one in which it was player 0.
    return hashlib.sha256(repr(matches[::-1] if turned else matches).encode()).digest()
