"""A plain-Python game as a `Game`: compiled programs hold its moves, the host its positions.

A state in a search tree, a replay or a checkpoint holds the moves played so far and what a search
needs all the time: who is to move, the legal actions, whether the match is over, and its result.
Only `init`, `step` and `observe` call the host, once for a whole batch. The host looks up the
user's own state by its moves, so a step costs one `apply`; a state that is no longer stored is
rebuilt from the start. In a game of chance the moves include the outcomes, and the host also
computes probabilities and outcomes.
"""

import dataclasses
import functools
import os
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int, Int8, Int32, Key, UInt8, UInt32

from selfplay.adapters.callbacks import HostQuestion
from selfplay.adapters.origin import Origin, origin_of
from selfplay.adapters.pool import FEWEST_CORES, PATIENCE, Pool, wanted_processes
from selfplay.adapters.probe import probe
from selfplay.adapters.python_game import PythonChanceGame, PythonGame
from selfplay.adapters.rows import HostRows
from selfplay.adapters.tree import HostTree, Moves, checked_integer
from selfplay.adapters.turns import Turns
from selfplay.game import BoardView, ChanceGame, EngineSetup, Game, Solution, Symmetry, pytree
from selfplay.startup import cores_in_use

CAPACITY = 1 << 17
"""Positions kept on the host, in each process."""


@pytree
class HostedState:
    """A position of a plain-Python game, or an afterstate of one with chance.

    Attributes:
        start: seed of the random start; 0 in games that always start alike.
        length: how many moves were played, and outcomes drawn.
        moves: the moves, each followed by the outcome where chance came next; padded with 0.
        legal: one bit for each action, the first one highest; none in an afterstate.
        player: who is to move.
        terminal: whether the rules end the match here.
        result: of player 0, in [-1, 1].
        view: under which symmetry the position is seen, 0 for none. The moves stay as they were
            played; only inputs and outputs are transformed.
    """

    start: UInt32[Array, ""]
    length: Int32[Array, ""]
    moves: Int[Array, " L"]
    legal: UInt8[Array, " K"]
    player: Int8[Array, ""]
    terminal: Bool[Array, ""]
    result: Float32[Array, ""]
    view: UInt8[Array, ""]


class HostedGame(Game[HostedState]):
    """Wraps a `PythonGame` as a `Game`.

    Attributes:
        rules: the user's game.
    """

    def __init__(self, rules: PythonGame[Any], origin: Origin | None = None) -> None:
        """Wraps `rules` and tests them in a few matches on the host.

        Args:
            rules: the user's game.
            origin: how other processes can create the same rules; None to use this process only.

        Raises:
            GameContractError: the rules break the contract of `PythonGame`.
        """
        self.rules = rules
        self.name = rules.name
        self.title = rules.title
        self.version = rules.version
        self.hidden_information = rules.hidden_information
        self.num_actions = checked_integer(rules, "num_actions", 2)
        self.max_plies = checked_integer(rules, "max_plies", 1)
        self._tree = HostTree(rules, CAPACITY)
        self._longest = self.max_plies * (2 if self._tree.outcomes else 1)
        probe(self._tree)
        self._turns = Turns(self._tree.symmetries, self.num_actions, self._tree.outcomes)
        self._rows = HostRows(self._tree)
        self._answers = self._rows if origin is None else _shared(self._rows, origin)
        self._ask = {
            question: HostQuestion(
                functools.partial(self._answers.ask, question),
                [jax.ShapeDtypeStruct(kind.shape, kind.dtype) for kind in kinds],
            )
            for question, kinds in self._rows.gives.items()
        }

    def init(self, key: Key[Array, ""]) -> HostedState:
        """Returns the first position; `key` decides a random start."""
        start = jnp.uint32(0)
        if self._tree.random_start:
            start = jax.random.bits(key, dtype=jnp.uint32)
        legal, player, terminal, result = self._ask["init"](start)
        return HostedState(
            start=start,
            length=jnp.int32(0),
            moves=jnp.zeros(self._longest, self._tree.dtype),
            legal=legal,
            player=player,
            terminal=terminal,
            result=result,
            view=jnp.uint8(0),
        )

    def step(self, state: HostedState, action: Int32[Array, ""]) -> HostedState:
        """Returns the position after `action`; the same one if that cannot be played."""
        # Compiled programs step everything and pick afterwards: the rules are asked for what is
        # meant alone.
        bit = state.legal[action // 8] >> (7 - action % 8).astype(jnp.uint8)
        known = (action >= 0) & (action < self.num_actions) & (state.length < self._longest)
        played = known & (bit & 1).astype(jnp.bool_) & ~state.terminal
        entry = self._turns.back(state.view, action)
        answer = self._ask["step"](state.start, state.length, state.moves, entry, played)
        return self._grown(state, entry, played, answer)

    def _grown(
        self,
        state: HostedState,
        entry: Int32[Array, ""],
        happens: Bool[Array, ""],
        answer: Sequence[Array],
    ) -> HostedState:
        """Returns `state` with one entry more and what the host says of it, where it happens."""
        legal, player, terminal, result = answer
        legal = self._turns.mask(state.view, legal)
        here = jnp.arange(self._longest) == state.length
        return HostedState(
            start=state.start,
            length=state.length + happens.astype(jnp.int32),
            moves=jnp.where(here & happens, entry.astype(self._tree.dtype), state.moves),
            legal=jnp.where(happens, legal, state.legal),
            player=jnp.where(happens, player, state.player),
            terminal=jnp.where(happens, terminal, state.terminal),
            result=jnp.where(happens, result, state.result),
            view=state.view,
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
        """Returns the observation of the player to move; zeros where nobody moves."""
        (seen,) = self._ask["observe"](state.start, state.length, state.moves, state.view)
        return seen

    def symmetries(self) -> Sequence[Symmetry[HostedState]]:
        """Returns the symmetries of the user's game, for positions as compiled programs have them.

        They turn a position that is not turned yet.
        """
        return [
            dataclasses.replace(symmetry, map_state=functools.partial(self._turned, number + 1))
            for number, symmetry in enumerate(self._tree.symmetries)
        ]

    def _turned(self, view: int, state: HostedState) -> HostedState:
        legal = self._turns.mask(jnp.uint8(view), state.legal)
        return dataclasses.replace(state, legal=legal, view=jnp.full_like(state.view, view))

    def auxiliary_targets(self, state: HostedState, final_state: HostedState) -> dict[str, Array]:
        """Returns the auxiliary targets of the user's game, from the end of the match."""
        if not self._rows.targets:
            return {}
        told = self._ask["auxiliary"](
            state.start,
            state.length,
            state.moves,
            state.view,
            final_state.length,
            final_state.moves,
        )
        return dict(zip(self._rows.targets, told, strict=True))

    def render(self, state: HostedState) -> str:
        """Returns the position as the user's game shows it."""
        moves = self._moves(state)
        return str(self._tree.call(moves, "render", self.own_state(state)))

    def action_to_string(self, state: HostedState, action: int) -> str:
        """Returns the text of `action` in the user's game."""
        own = self.own_state(state)
        return str(self._tree.call(self._moves(state), "action_to_string", own, action))

    def string_to_action(self, state: HostedState, text: str) -> int:
        """Returns the action of `text` in the user's game."""
        return int(self.rules.string_to_action(self.own_state(state), text))

    def board(self, state: HostedState) -> BoardView | None:
        """Returns the user's game's own board, if it has one."""
        return self.rules.board(self.own_state(state))

    def engine_setup(self, first: HostedState) -> EngineSetup:
        """Returns the engine set-up of the user's game."""
        return self.rules.engine_setup(self.own_state(first))

    def own_state(self, state: HostedState) -> Any:
        """Returns the user's own object for one (unbatched) position."""
        return self._tree.image(self._moves(state), int(state.view))

    def _moves(self, state: HostedState) -> Moves:
        state = jax.device_get(state)
        played = np.asarray(state.moves)[: int(state.length)]
        return int(state.start), played.tobytes()


class HostedChanceGame(HostedGame, ChanceGame[HostedState]):
    """Wraps a `PythonChanceGame` as a `ChanceGame`."""

    rules: PythonChanceGame[Any]

    def __init__(self, rules: PythonChanceGame[Any], origin: Origin | None = None) -> None:
        """Wraps `rules`; arguments and errors as in `HostedGame`."""
        super().__init__(rules, origin)
        self.num_outcomes = self._tree.outcomes

    def is_chance(self, state: HostedState) -> Bool[Array, ""]:
        """Returns whether this is an afterstate in which an outcome is to be drawn."""
        # Where a player is to move, some action is legal: the host refuses other rules.
        return ~state.terminal & (state.legal == 0).all()

    def chance_probabilities(self, state: HostedState) -> Float32[Array, " C"]:
        """Returns the probability of each outcome; zeros where no outcome follows."""
        asked = self.is_chance(state)
        (likely,) = self._ask["chance"](state.start, state.length, state.moves, asked)
        return self._turns.chances(state.view, likely)

    def resolve(self, state: HostedState, outcome: Int32[Array, ""]) -> HostedState:
        """Returns the position after `outcome`; the same one if it is impossible."""
        known = (outcome >= 0) & (outcome < self.num_outcomes)
        asked = known & self.is_chance(state)
        entry = self._turns.outcome_back(state.view, outcome)
        drawn, *answer = self._ask["resolve"](state.start, state.length, state.moves, entry, asked)
        return self._grown(state, entry, drawn, answer)

    def outcome_to_string(self, state: HostedState, outcome: int) -> str:
        """Returns the text of `outcome` in the user's game."""
        own = self.own_state(state)
        return str(self._tree.call(self._moves(state), "outcome_to_string", own, outcome))


class SolvedHostedGame(HostedGame):
    """A plain-Python game with a solver."""

    def solve(self, state: HostedState) -> Solution | None:
        """Returns the exact solution, as the user's game has it."""
        return self.rules.solve(self.own_state(state))


class SolvedHostedChanceGame(SolvedHostedGame, HostedChanceGame):
    """A plain-Python game of chance with a solver."""


def host(
    rules: PythonGame[Any], *, maker: str | None = None, arguments: Sequence[Any] = ()
) -> HostedGame:
    """Returns `rules` as a `Game`, a `ChanceGame` if they are a `PythonChanceGame`.

    Args:
        rules: the user's game.
        maker: "module:function" that returns equal rules, for processes on other cores; None if
            there is none, and all runs in this process.
        arguments: for `maker`.

    Raises:
        GameContractError: the rules break the contract of `PythonGame`.
    """
    origin = None if maker is None else origin_of(rules, maker, arguments)
    solved = type(rules).solve is not PythonGame.solve
    if isinstance(rules, PythonChanceGame):
        return (SolvedHostedChanceGame if solved else HostedChanceGame)(rules, origin)
    return (SolvedHostedGame if solved else HostedGame)(rules, origin)


def _shared(rows: HostRows, origin: Origin) -> HostRows | Pool:
    """Returns the rows of the game, with as many processes as the user or machine wants."""
    wanted = wanted_processes(os.environ)
    if wanted is not None:
        return rows if wanted < 2 else Pool(rows, origin, processes=wanted, patience=0.0)
    cores = cores_in_use()
    if cores < FEWEST_CORES:
        return rows
    return Pool(rows, origin, processes=cores, patience=PATIENCE)
