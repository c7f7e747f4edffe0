"""The agents of a pool as players: checkpoints of one run share what is compiled."""

from collections.abc import Callable
from typing import Any, NamedTuple

import jax

from selfplay.arena import Agent, SearchAgent, load_network, parse_opponent
from selfplay.arena.batches import stack
from selfplay.arena.stored import CheckpointPlayers
from selfplay.evaluation.pool import PoolAgent
from selfplay.game import Game, start
from selfplay.settings import Config, SearchConfig, read_settings

# Weights of so many checkpoints are held at once; loading one again takes a moment.
_HELD = 4


class _Held(NamedTuple):
    """An agent of a checkpoint, and what releases it."""

    agent: SearchAgent
    players: CheckpointPlayers


class PoolPlayers:
    """Makes agents play that a pool names; each is compiled before its first match."""

    def __init__(
        self,
        game: Game[Any],
        *,
        batch_size: int,
        processes: int = 1,
        inference: str | None = None,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Makes no agent yet.

        Args:
            game: the rules.
            batch_size: positions that each is asked about at once.
            processes: of an engine, side by side.
            inference: what computes the networks; by default what their runs name.
            say: shows a message to people.
        """
        self._game = game
        self._batch_size = batch_size
        self._processes = processes
        self._inference = inference
        self._say = say
        self._fixed: dict[str, Agent] = {}
        self._players: dict[tuple[str, SearchConfig], CheckpointPlayers] = {}
        self._held: dict[str, _Held] = {}

    def agent(self, agent: PoolAgent) -> Agent:
        """Returns an agent, ready to play. One that has not been asked for lately may be freed.

        Raises:
            ConfigError: the name is no agent of this game.
            CheckpointError: the checkpoint is not there any more, or damaged.
            EngineError: a program cannot be started.
        """
        if agent.is_checkpoint:
            return self._checkpoint(agent)
        if agent.name not in self._fixed:
            made = parse_opponent(
                agent.name,
                self._game,
                batch_size=self._batch_size,
                processes=self._processes,
                inference=self._inference,
                say=self._say,
            )
            self._fixed[agent.name] = made
            if isinstance(made, SearchAgent):
                self._compile(made)
        return self._fixed[agent.name]

    def _checkpoint(self, agent: PoolAgent) -> SearchAgent:
        if agent.name in self._held:
            self._held[agent.name] = held = self._held.pop(agent.name)
            return held.agent
        stored = load_network(f"{agent.run}@{agent.update}", game=self._game)
        search = searches_as(stored.config, agent.settings).for_matches(agent.simulations)
        # The network of a run is fixed, its search is not.
        key = (agent.run, search)
        is_new = key not in self._players
        if is_new:
            self._players[key] = CheckpointPlayers(
                stored,
                search,
                batch_size=self._batch_size,
                inference=self._inference,
                say=self._say,
            )
        players = self._players[key]
        made = players.agent(agent.name, stored.weights)
        if is_new:
            self._compile(made)
        self._held[agent.name] = _Held(made, players)
        while len(self._held) > _HELD:
            oldest = self._held.pop(next(iter(self._held)))
            oldest.players.release(oldest.agent)
        return made

    def _compile(self, agent: SearchAgent) -> None:
        """Asks for one move, so that the seconds of the first matches are those of all others."""
        key = jax.random.key(0)
        agent.select(stack([start(self._game, key)]), key=key)


def searches_as(config: Config, settings: str) -> SearchConfig:
    """Returns the search of a config with other settings, as "search.value_scale=0.3 ...".

    Raises:
        ConfigError: a setting is unknown or out of range.
    """
    return config.updated(read_settings(environ={}, overrides=settings.split())).search
