"""A plain-Python game as a `Game`: compiled programs carry its moves, the host its positions.

A state in a search tree, a record's replay or a checkpoint is the moves played so far and the
little that a search asks all the time: who is to move, the legal actions, whether it is over and
with what result. Only `init`, `step` and `observe` call the host, once for a whole batch; the
network runs in XLA in batches as ever. The host finds the user's own position by its moves, so
that a step costs one `apply`; one it has forgotten is played again.
"""

from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int, Int8, Int32, Key, UInt8, UInt32

from selfplay.adapters.callbacks import call_host
from selfplay.adapters.probe import probe
from selfplay.adapters.python_game import PythonGame
from selfplay.adapters.tree import HostTree, Moves, Node, checked_integer
from selfplay.errors import GameContractError
from selfplay.game import BoardView, Game, Solution, pytree

CAPACITY = 1 << 17
"""Positions kept on the host, in each process."""


@pytree
class HostedState:
    """A position of a plain-Python game.

    Attributes:
        start: seed of the random start; 0 in games that always start alike.
        ply: how many moves were played.
        moves: the moves, padded with 0.
        legal: one bit for each action, the first one highest.
        player: who is to move.
        terminal: whether the rules end the match here.
        result: of player 0, in [-1, 1].
    """

    start: UInt32[Array, ""]
    ply: Int32[Array, ""]
    moves: Int[Array, " P"]
    legal: UInt8[Array, " K"]
    player: Int8[Array, ""]
    terminal: Bool[Array, ""]
    result: Float32[Array, ""]


class HostedGame(Game[HostedState]):
    """Plays a `PythonGame` wherever a `Game` is asked for.

    Attributes:
        rules: the user's game.
    """

    def __init__(self, rules: PythonGame[Any]) -> None:
        """Wraps `rules` and plays a few matches on the host to see that they hold.

        Raises:
            GameContractError: the rules break the contract of `PythonGame`.
        """
        self.rules = rules
        self.name = rules.name
        self.version = rules.version
        self.num_actions = checked_integer(rules, "num_actions", 2)
        self.max_plies = checked_integer(rules, "max_plies", 1)
        self._tree = HostTree(rules, CAPACITY)
        self._unseen: GameContractError | None = None
        probe(self._tree)
        self._observation = jax.ShapeDtypeStruct(self._tree.observation_shape, np.float32)
        self._answer = (
            jax.ShapeDtypeStruct((self._tree.legal_bytes,), np.uint8),
            jax.ShapeDtypeStruct((), np.int8),
            jax.ShapeDtypeStruct((), np.bool_),
            jax.ShapeDtypeStruct((), np.float32),
        )

    def init(self, key: Key[Array, ""]) -> HostedState:
        """Returns the first position; `key` decides a random start."""
        start = jnp.uint32(0)
        if self._tree.random_start:
            start = jax.random.bits(key, dtype=jnp.uint32)
        legal, player, terminal, result = call_host(self._host_init, self._answer, start)
        return HostedState(
            start=start,
            ply=jnp.int32(0),
            moves=jnp.zeros(self.max_plies, self._tree.dtype),
            legal=legal,
            player=player,
            terminal=terminal,
            result=result,
        )

    def step(self, state: HostedState, action: Int32[Array, ""]) -> HostedState:
        """Returns the position after `action`; the same one if that cannot be played."""
        # Compiled programs step everything and pick afterwards: the rules are asked for what is
        # meant alone.
        bit = state.legal[action // 8] >> (7 - action % 8).astype(jnp.uint8)
        known = (action >= 0) & (action < self.num_actions) & (state.ply < self.max_plies)
        played = known & (bit & 1).astype(jnp.bool_) & ~state.terminal
        legal, player, terminal, result = call_host(
            self._host_step, self._answer, state.start, state.ply, state.moves, action, played
        )
        here = jnp.arange(self.max_plies) == state.ply
        return HostedState(
            start=state.start,
            ply=state.ply + played.astype(jnp.int32),
            moves=jnp.where(here & played, action.astype(self._tree.dtype), state.moves),
            legal=jnp.where(played, legal, state.legal),
            player=jnp.where(played, player, state.player),
            terminal=jnp.where(played, terminal, state.terminal),
            result=jnp.where(played, result, state.result),
        )

    def current_player(self, state: HostedState) -> Int32[Array, ""]:
        """Returns who is to move."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: HostedState) -> Bool[Array, " A"]:
        """Returns the legal actions."""
        return jnp.unpackbits(state.legal, count=self.num_actions).astype(jnp.bool_)

    def is_terminal(self, state: HostedState) -> Bool[Array, ""]:
        """Returns whether the rules end the match here."""
        return state.terminal

    def returns(self, state: HostedState) -> Float32[Array, "2"]:
        """Returns the result for player 0 and player 1."""
        return jnp.stack([state.result, -state.result])

    def observe(self, state: HostedState) -> Float32[Array, "..."]:
        """Returns what the player to move sees; zeros once the match is over."""
        (seen,) = call_host(
            self._host_observe, [self._observation], state.start, state.ply, state.moves
        )
        return seen

    def render(self, state: HostedState) -> str:
        """Returns the position as the user's game shows it."""
        moves = self._moves(state)
        return str(self._tree.call(moves, "render", self.own_state(state)))

    def action_to_string(self, state: HostedState, action: int) -> str:
        """Returns how a person writes `action`, as the user's game has it."""
        own = self.own_state(state)
        return str(self._tree.call(self._moves(state), "action_to_string", own, action))

    def string_to_action(self, state: HostedState, text: str) -> int:
        """Returns the action a person means by `text`, as the user's game reads it."""
        return int(self.rules.string_to_action(self.own_state(state), text))

    def board(self, state: HostedState) -> BoardView | None:
        """Returns the user's game's own board, if it has one."""
        return self.rules.board(self.own_state(state))

    def own_state(self, state: HostedState) -> Any:
        """Returns the user's own object for one (unbatched) position."""
        return self._tree.node(self._moves(state)).state

    def _moves(self, state: HostedState) -> Moves:
        state = jax.device_get(state)
        played = np.asarray(state.moves)[: int(state.ply)]
        return int(state.start), played.tobytes()

    def _host_init(self, starts: np.ndarray) -> Sequence[np.ndarray]:
        self._raise_unseen()
        return self._answers([self._tree.node((start, b"")) for start in starts.tolist()])

    def _host_step(
        self,
        starts: np.ndarray,
        plies: np.ndarray,
        moves: np.ndarray,
        actions: np.ndarray,
        played: np.ndarray,
    ) -> Sequence[np.ndarray]:
        self._raise_unseen()
        width = self._tree.dtype.itemsize
        nodes: list[Node | None] = [None] * len(starts)
        for row in np.flatnonzero(played).tolist():
            path = moves[row].tobytes()[: width * int(plies[row])]
            nodes[row] = self._tree.child((int(starts[row]), path), int(actions[row]))
        return self._answers(nodes)

    def _host_observe(
        self, starts: np.ndarray, plies: np.ndarray, moves: np.ndarray
    ) -> Sequence[np.ndarray]:
        width = self._tree.dtype.itemsize
        seen = np.empty((len(starts), *self._observation.shape), np.float32)
        for row in range(len(starts)):
            path = moves[row].tobytes()[: width * int(plies[row])]
            try:
                seen[row] = self._tree.observation((int(starts[row]), path))
            except GameContractError as error:
                # In the learner other devices wait for this one, and an exception here would leave
                # them waiting forever. The next step of any match raises it.
                seen[row] = np.nan
                self._unseen = error
        return [seen]

    def _raise_unseen(self) -> None:
        error, self._unseen = self._unseen, None
        if error is not None:
            raise error

    def _answers(self, nodes: Sequence[Node | None]) -> Sequence[np.ndarray]:
        """Returns what compiled programs carry of each position; zeros where there is none."""
        nothing = bytes(self._tree.legal_bytes)
        legal = b"".join(nothing if node is None else node.legal for node in nodes)
        return [
            np.frombuffer(legal, np.uint8).reshape(len(nodes), -1),
            np.array([0 if node is None else node.player for node in nodes], np.int8),
            np.array([False if node is None else node.terminal for node in nodes], np.bool_),
            np.array([0.0 if node is None else node.result for node in nodes], np.float32),
        ]


class SolvedHostedGame(HostedGame):
    """A plain-Python game that has a solver of its own."""

    def solve(self, state: HostedState) -> Solution | None:
        """Returns the exact solution, as the user's game has it."""
        return self.rules.solve(self.own_state(state))


def host(rules: PythonGame[Any]) -> HostedGame:
    """Returns `rules` as a `Game`.

    Raises:
        GameContractError: the rules break the contract of `PythonGame`.
    """
    solved = type(rules).solve is not PythonGame.solve
    return (SolvedHostedGame if solved else HostedGame)(rules)
