"""Who can sit down at a board: random moves, a search, an exact solver."""

import copy
import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

import jax
import numpy as np
from jaxtyping import Array, Float32, Int32, Key, PyTree

from selfplay.arena.batches import fixed_batches, row_on_device, stack
from selfplay.arena.searcher import Searcher
from selfplay.configuration import check_range
from selfplay.errors import ConfigError
from selfplay.game import Game, Position, random_legal_action
from selfplay.mcts import Evaluator, SearchTree, random_playout_evaluator
from selfplay.parallel import REPLICATED, sharding
from selfplay.settings.sections import SearchConfig

# On a CPU a batch costs what its rows cost, copies too, and half the matches wait for either agent.
DEFAULT_BATCH_SIZE = 32
PLAIN_MCTS = SearchConfig(algorithm="uct", puct_constant=1.4)
RESIGN = -1
"""What a `HistoryAgent` may answer instead of an action: it gives the match up."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Analysis:
    """What an agent thinks of one position; None where it has no opinion of that kind.

    Attributes:
        action: the move it plays.
        policy: probability of each action, 0 on illegal ones.
        value: expected result in [-1, 1], for the player to move.
        visits: simulations through each action.
        qvalues: value of each action in [-1, 1], for the player to move; 0 if unvisited.
        raw_value: the network's value without search.
        raw_policy: the network's policy without search, 0 on illegal actions.
        tree: what the search grew, without a batch axis, if the agent keeps it.
        proven: whether the search proved `value` to be exact.
    """

    action: int
    policy: Float32[np.ndarray, " A"]
    value: float | None = None
    visits: Int32[np.ndarray, " A"] | None = None
    qvalues: Float32[np.ndarray, " A"] | None = None
    raw_value: float | None = None
    raw_policy: Float32[np.ndarray, " A"] | None = None
    tree: SearchTree | None = None
    proven: bool = False


@runtime_checkable
class Agent(Protocol):
    """Plays one side of many matches of one game."""

    name: str

    def select(self, positions: Position[Any], *, key: Key[Array, ""]) -> Int32[np.ndarray, " n"]:
        """Returns a legal action for each of `n >= 1` positions, none over; consumes `key`."""


@runtime_checkable
class Analyst(Agent, Protocol):
    """An agent that can say why."""

    def analyse(self, positions: Position[Any], *, key: Key[Array, ""]) -> list[Analysis]:
        """Returns the analysis of each of `n >= 1` positions, none over; consumes `key`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MoveHistory:
    """How a match came to where it stands.

    Attributes:
        first: its first position, without a batch axis.
        moves: who made each move since, 0 or 1, and how the game writes it.
        forced: plies whose move was the only legal one.
    """

    first: Position[Any]
    moves: tuple[tuple[int, str], ...]
    forced: frozenset[int] = frozenset()


@runtime_checkable
class HistoryAgent(Agent, Protocol):
    """An agent that must be told the moves, such as a program that knows nothing of our states."""

    def follow(
        self, positions: Position[Any], histories: Sequence[MoveHistory], *, key: Key[Array, ""]
    ) -> Int32[np.ndarray, " n"]:
        """Returns a legal action or `RESIGN` for each of `n >= 1` positions; consumes `key`.

        Args:
            positions: none over.
            histories: how each of them came about.
            key: consumed.
        """


def analyse_one(agent: Analyst, position: Position[Any], *, key: Key[Array, ""]) -> Analysis:
    """Returns the analysis of a single position, without a batch axis; consumes `key`."""
    return agent.analyse(stack([position]), key=key)[0]


class RandomAgent:
    """Plays uniformly random legal moves."""

    def __init__(
        self, game: Game[Any], *, name: str = "random", batch_size: int = DEFAULT_BATCH_SIZE
    ) -> None:
        self.name = name
        self._game = game
        self._batch_size = batch_size

    def select(self, positions: Position[Any], *, key: Key[Array, ""]) -> Int32[np.ndarray, " n"]:
        """Returns a random legal action for each of `n` positions; consumes `key`."""
        chosen = []
        for index, batch in enumerate(fixed_batches(positions, self._batch_size)):
            keys = jax.random.split(jax.random.fold_in(key, index), self._batch_size)
            actions = _random_actions(self._game, batch.positions.state, keys)
            chosen.append(np.asarray(actions)[: batch.meant])
        return np.concatenate(chosen)

    def analyse(self, positions: Position[Any], *, key: Key[Array, ""]) -> list[Analysis]:
        """Returns the uniform policy over the legal moves of each position; consumes `key`."""
        analyses: list[Analysis] = []
        actions = self.select(positions, key=key)
        for batch in fixed_batches(positions, self._batch_size):
            legal = np.asarray(_legal_masks(self._game, batch.positions.state))[: batch.meant]
            for mask in legal:
                policy = (mask / mask.sum()).astype(np.float32)
                analyses.append(Analysis(action=int(actions[len(analyses)]), policy=policy))
        return analyses


class SearchAgent:
    """Plays the best move that a search finds, without noise or sampling.

    Equal keys, equal moves. With a network as evaluator the key decides nothing but exact ties.
    """

    def __init__(
        self,
        name: str,
        game: Game[Any],
        evaluate: Evaluator,
        params: PyTree,
        config: SearchConfig,
        *,
        batch_size: int = DEFAULT_BATCH_SIZE,
        keep_trees: bool = False,
    ) -> None:
        """Prepares an agent.

        Args:
            name: shown in tables.
            game: the rules.
            evaluate: rates positions: a network, or random playouts.
            params: weights for `evaluate`, `()` if it needs none.
            config: how hard to search; 0 simulations play the evaluator's likeliest move.
            batch_size: positions searched at once.
            keep_trees: whether an `Analysis` has its tree.
        """
        check_range("batch_size", batch_size, low=1)
        self.name = name
        self.game = game
        self.config = config.for_matches()
        self._evaluate = evaluate
        self._search = Searcher(
            game,
            evaluate,
            self.config,
            batch_size=batch_size,
            keep_trees=keep_trees,
            reuse_trees=self.config.reuse_tree,
        )
        self._params = _on_all_devices(params, self._search)

    def with_params(self, name: str, params: PyTree) -> "SearchAgent":
        """Returns an agent that thinks as this one with other weights; compiles nothing."""
        agent = copy.copy(self)
        agent.name = name
        agent._params = _on_all_devices(params, self._search)
        return agent

    def resized(
        self, *, num_simulations: int | None = None, batch_size: int, keep_trees: bool
    ) -> "SearchAgent":
        """Returns an agent with the same evaluator and weights that searches otherwise.

        Args:
            num_simulations: per move, named at the end of `name`; None for as many as now.
            batch_size: positions searched at once.
            keep_trees: whether an `Analysis` has its tree.
        """
        # Whoever asks for this asks about positions of many matches.
        config = dataclasses.replace(self.config.for_matches(num_simulations), reuse_tree=False)
        name = f"{self.name.rpartition(':')[0] or self.name}:{config.num_simulations}"
        return SearchAgent(
            name,
            self.game,
            self._evaluate,
            self._params,
            config,
            batch_size=batch_size,
            keep_trees=keep_trees,
        )

    def select(self, positions: Position[Any], *, key: Key[Array, ""]) -> Int32[np.ndarray, " n"]:
        """Returns the best action of each of `n` positions; consumes `key`."""
        return np.asarray(self._search(self._params, positions, key=key).actions)

    def analyse(self, positions: Position[Any], *, key: Key[Array, ""]) -> list[Analysis]:
        """Returns what the search found in each of `n` positions; consumes `key`."""
        found, trees = self._search.with_trees(self._params, positions, key=key)
        return [
            Analysis(
                action=int(found.actions[row]),
                policy=np.asarray(found.policy[row]),
                value=float(found.value[row]),
                visits=np.asarray(found.visits[row]),
                qvalues=np.asarray(found.qvalues[row]),
                raw_value=float(found.raw_value[row]),
                raw_policy=np.asarray(found.raw_policy[row]),
                tree=jax.tree.map(lambda leaf, row=row: leaf[row], trees),
                proven=bool(found.proven[row]),
            )
            for row in range(len(found.actions))
        ]


class SolverAgent:
    """Plays perfectly by the game's own `solve`, one of the best moves at random.

    Where `solve` has no answer it refuses to move: no move of it is anything but perfect.
    """

    def __init__(self, game: Game[Any], *, name: str = "solver") -> None:
        if type(game).solve is Game.solve:
            raise ConfigError(
                f"agent is {name!r}, but {game.name} has no solver",
                hint="write `solve` in the game, or use mcts:1000",
            )
        self.name = name
        self._game = game

    @property
    def knows_the_start(self) -> bool:
        """Returns whether `solve` answers at the first position of a match."""
        return self._game.solve(self._game.init(jax.random.key(0))) is not None

    def select(self, positions: Position[Any], *, key: Key[Array, ""]) -> Int32[np.ndarray, " n"]:
        """Returns a perfect action for each of `n` positions; consumes `key`."""
        analyses = self.analyse(positions, key=key)
        return np.array([analysis.action for analysis in analyses], np.int32)

    def analyse(self, positions: Position[Any], *, key: Key[Array, ""]) -> list[Analysis]:
        """Returns the exact value and best moves of each position; consumes `key`."""
        random = np.random.default_rng(np.asarray(jax.random.key_data(key)).tolist())
        analyses = []
        for row in range(int(np.shape(positions.ply)[0])):
            position = row_on_device(positions, row)
            solution = self._game.solve(position.state)
            if solution is None:
                raise ConfigError(
                    f"agent is {self.name!r}, but the solver of {self._game.name} has no answer "
                    f"at ply {position.ply}",
                    hint="it knows later or smaller positions: begin closer to the end of a match, "
                    "as with --opening-plies or --openings in selfplay arena",
                )
            policy = np.zeros(self._game.num_actions, np.float32)
            policy[list(solution.actions)] = 1 / len(solution.actions)
            action = int(random.choice(list(solution.actions)))
            analyses.append(Analysis(action=action, policy=policy, value=float(solution.value)))
        return analyses


def mcts_agent(
    game: Game[Any], num_simulations: int, *, batch_size: int = DEFAULT_BATCH_SIZE
) -> SearchAgent:
    """Returns plain Monte Carlo tree search: UCT with one random playout per simulation."""
    return SearchAgent(
        f"mcts:{num_simulations}",
        game,
        random_playout_evaluator(game),
        (),
        PLAIN_MCTS.for_matches(num_simulations),
        batch_size=batch_size,
    )


def _on_all_devices(params: PyTree, searcher: Searcher) -> PyTree:
    # Once, and not with every search.
    return jax.device_put(params, sharding(searcher.mesh, REPLICATED))


@functools.partial(jax.jit, static_argnums=0)
def _random_actions(game: Game[Any], states: PyTree, keys: Key[Array, " B"]) -> Array:
    return jax.vmap(lambda state, key: random_legal_action(game, state, key=key))(states, keys)


@functools.partial(jax.jit, static_argnums=0)
def _legal_masks(game: Game[Any], states: PyTree) -> Array:
    return jax.vmap(game.legal_action_mask)(states)
