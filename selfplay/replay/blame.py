"""Tells whether a match that breaks the rules has a damaged record or a faulty game.

It runs only after something went wrong, so sound runs do not pay for it.
"""

import functools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float32, Int32, PyTree

from selfplay.adapters import failures
from selfplay.errors import GameContractError
from selfplay.game import (
    ChanceGame,
    Game,
    Position,
    advance,
    is_over,
    outcome_probabilities,
    pytree,
    start,
)
from selfplay.records import MatchRecord

_TOLERANCE = 1e-5
_POSITIONS_AHEAD = 2048
_BATCH = 64
_SHOWN_MOVES = 60


@pytree
class Looked:
    """What the game says about one position.

    Attributes:
        mask: legal actions.
        player: who is to move.
        over: whether the match is over.
        returns: for player 0 and player 1.
        observation: what the player to move sees.
        state_nan: whether the state contains NaN.
    """

    mask: Bool[Array, " A"]
    player: Int32[Array, ""]
    over: Bool[Array, ""]
    returns: Float32[Array, "2"]
    observation: Array
    state_nan: Bool[Array, ""]


def broken_by(game: Game[Any], match: MatchRecord) -> GameContractError | None:
    """Returns the rule that `game` breaks in a match, or in positions that a search saw ahead.

    None means that the game keeps its contract there, so the record is at fault.

    Args:
        game: the rules.
        match: the record; its moves are played as long as they are legal.
    """
    # A damaged record may hold lists of unequal lengths.
    signs = [
        *(~(np.abs(values) <= 1 + 1e-3) for values in (match.root_values, match.raw_values)),
        # Shares that are not finite are left out of a record.
        np.diff(match.policy_offsets) == 0,
    ]
    places = [int(np.argmax(sign)) for sign in signs if sign.any()]
    ply = min(places, default=None)
    return broken_rule(game, match.start_key, match.actions, match.outcomes, strange_ply=ply)


def looks_strange(match: MatchRecord) -> bool:
    """Returns whether a match has numbers that no sound game and network produce."""
    return not (
        (np.abs(match.root_values) <= 1 + 1e-3).all()
        and (np.abs(match.raw_values) <= 1 + 1e-3).all()
        and (np.diff(match.policy_offsets) > 0).all()
        and np.abs(match.returns).max() <= 1 + _TOLERANCE
        and abs(sum(match.returns)) <= _TOLERANCE
        and ((match.players == 0) | (match.players == 1)).all()
    )


def broken_rule(
    game: Game[Any],
    start_key: tuple[int, int],
    actions: Sequence[int] | np.ndarray,
    outcomes: Sequence[int] | np.ndarray = (),
    *,
    strange_ply: int | None = None,
) -> GameContractError | None:
    """Returns the first rule that `game` breaks along some moves, or a few plies ahead of them.

    Args:
        game: the rules.
        start_key: key data of the first position.
        actions: the moves; they are played up to the first that is not legal.
        outcomes: the chance outcome after each, -1 for none; empty without chance.
        strange_ply: the ply at which a search went wrong, to look ahead from; None to look ahead
            from the last ply.
    """
    try:
        return _Replay(game, start_key).look(
            [int(action) for action in actions],
            [int(outcome) for outcome in outcomes] or [-1] * len(actions),
            strange_ply,
        )
    except GameContractError as error:
        failures.take()
        return error
    except jax.errors.JaxRuntimeError:
        # What a plain-Python game did wrong is an error of XLA's own.
        found = failures.take()
        if found is None:
            raise
        return found


class _Replay:
    """Replays one match, position by position, and looks ahead of it."""

    def __init__(self, game: Game[Any], start_key: tuple[int, int]) -> None:
        self._game = game
        self._start_key = start_key
        self._look = jax.jit(jax.vmap(functools.partial(_look, game)))
        self._play = jax.jit(
            jax.vmap(
                lambda position, action, outcome: advance(game, position, action, outcome).position
            )
        )
        self._chances: Any = None
        if isinstance(game, ChanceGame):
            self._chances = jax.jit(jax.vmap(functools.partial(outcome_probabilities, game)))

    def look(
        self, actions: list[int], outcomes: list[int], strange_ply: int | None
    ) -> GameContractError | None:
        """Returns the broken rule, None if there is none."""
        key = jax.random.wrap_key_data(jnp.asarray(self._start_key, jnp.uint32))
        position = _stacked([jax.device_get(start(self._game, key))])
        ahead: tuple[Any, int] = (position, 0)
        for ply in range(len(actions) + 1):
            seen = self._seen(position)
            found = self._broken(_row(seen, 0), actions[:ply], outcomes[:ply])
            if found is not None:
                return found
            if strange_ply is None or ply <= strange_ply:
                ahead = (position, ply)
            if bool(seen.over[0]) or ply == len(actions):
                break
            action = actions[ply]
            if not (0 <= action < self._game.num_actions and seen.mask[0][action]):
                break
            position = self._played(position, [action], [max(0, outcomes[ply])])
        return self._ahead(*ahead, actions, outcomes)

    def _ahead(
        self, position: Any, ply: int, actions: list[int], outcomes: list[int]
    ) -> GameContractError | None:
        """Returns the rule that is broken in the positions that follow, searched breadth-first."""
        level = [(_row(position, 0), actions[:ply], outcomes[:ply])]
        left = _POSITIONS_AHEAD
        while level and left > 0:
            following = []
            for begin in range(0, len(level), _BATCH):
                some = level[begin : begin + _BATCH]
                batch = _stacked([one for one, _, _ in some])
                seen = self._seen(batch)
                for row, (_, made, drawn) in enumerate(some):
                    found = self._broken(_row(seen, row), made, drawn)
                    if found is not None:
                        return found
                moves = [
                    (row, int(action))
                    for row in range(len(some))
                    if not seen.over[row]
                    for action in np.flatnonzero(seen.mask[row])
                ][:left]
                left -= len(moves)
                following += self._children(batch, some, moves)
            level = following
        return None

    def _children(
        self, batch: Any, parents: Sequence[tuple[Any, list[int], list[int]]], moves: Any
    ) -> list[tuple[Any, list[int], list[int]]]:
        """Returns the positions after moves, and after every outcome where chance follows."""
        children = []
        for begin in range(0, len(moves), _BATCH):
            some = moves[begin : begin + _BATCH]
            rows = _rows(batch, [row for row, _ in some])
            draws = self._outcomes(rows, [action for _, action in some])
            for number in range(max(map(len, draws), default=0)):
                picked = [index for index, one in enumerate(draws) if number < len(one)]
                outcomes = [draws[index][number] for index in picked]
                played = [some[index][1] for index in picked]
                after = self._played(_rows(rows, picked), played, [max(0, o) for o in outcomes])
                for place, index in enumerate(picked):
                    _, made, drawn = parents[some[index][0]]
                    children.append(
                        (
                            _row(after, place),
                            [*made, played[place]],
                            [*drawn, outcomes[place]],
                        )
                    )
        return children

    def _outcomes(self, positions: Any, actions: list[int]) -> list[list[int]]:
        if self._chances is None:
            return [[-1]] * len(actions)
        filled, count = _filled(positions)
        likely = np.asarray(self._chances(filled, np.resize(np.array(actions, np.int32), _BATCH)))
        return [np.flatnonzero(likely[row] > 0).tolist() or [-1] for row in range(count)]

    def _seen(self, positions: Any) -> Any:
        filled, count = _filled(positions)
        return _rows(jax.device_get(self._look(filled)), range(count))

    def _played(self, positions: Any, actions: list[int], outcomes: list[int]) -> Any:
        filled, count = _filled(positions)
        arrays = [np.resize(np.array(one, np.int32), _BATCH) for one in (actions, outcomes)]
        return _rows(jax.device_get(self._play(filled, *arrays)), range(count))

    def _broken(
        self, seen: Any, actions: list[int], outcomes: list[int]
    ) -> GameContractError | None:
        """Returns the rule that is broken in one position, None if there is none."""
        returns = [float(number) for number in seen.returns]
        told = "[" + ", ".join(f"{number:g}" for number in returns) + "]"
        finite = np.isfinite(np.asarray(seen.observation, np.float64))
        rules = [
            (
                "returns",
                all(abs(number) <= 1 + _TOLERANCE for number in returns)
                and abs(sum(returns)) <= _TOLERANCE,
                f"returns is {told}, but must be two numbers in [-1, 1] that sum to 0",
            ),
            ("finite", not seen.state_nan, "the state holds NaN"),
            (
                "player",
                bool(seen.over) or int(seen.player) in (0, 1),
                f"current_player is {int(seen.player)}, but must be 0 or 1",
            ),
            (
                "no-legal-action",
                bool(seen.over) or bool(seen.mask.any()),
                "legal_action_mask allows no action, but the match is not over",
            ),
            (
                "finite",
                bool(seen.over) or bool(finite.all()),
                "observe holds a number that is not finite"
                if finite.all()
                else _where(np.asarray(seen.observation), finite),
            ),
        ]
        for rule, holds, problem in rules:
            if not holds:
                return broken_contract(
                    self._game,
                    rule,
                    problem,
                    start_key=self._start_key,
                    actions=actions,
                    outcomes=outcomes,
                )
        return None


def broken_contract(
    game: Game[Any],
    rule: str,
    problem: str,
    *,
    start_key: tuple[int, int],
    actions: Sequence[int],
    outcomes: Sequence[int],
) -> GameContractError:
    """Returns the error for a game that breaks a rule of its contract.

    Args:
        game: the rules.
        rule: its name, as `selfplay check` calls it.
        problem: what the game did and what it must do.
        start_key: key data of the first position.
        actions: the moves that lead there.
        outcomes: the chance outcome after each, -1 for none.
    """
    moves = []
    for action, outcome in zip(actions, outcomes, strict=True):
        moves += [str(action)] + ([f"roll:#{outcome}"] if outcome >= 0 else [])
    shown = " ".join(moves[:_SHOWN_MOVES]) + (" ..." if len(moves) > _SHOWN_MOVES else "")
    place = f"after the moves {shown}" if moves else "in the first position"
    return GameContractError(
        f"{game.name}: {problem}",
        hint=f"{place}, which breaks the rule {rule}; selfplay check GAME shows it",
        rule=rule,
        start=start_key,
        moves=tuple(actions),
        outcomes=tuple(outcomes),
    )


def _look(game: Game[Any], position: Position[Any]) -> Looked:
    state = position.state
    nan = [
        jnp.isnan(leaf).any()
        for leaf in jax.tree.leaves(state)
        if jnp.issubdtype(leaf.dtype, jnp.inexact)
    ]
    return Looked(
        mask=game.legal_action_mask(state),
        player=game.current_player(state).astype(jnp.int32),
        over=is_over(game, position),
        returns=game.returns(state).astype(jnp.float32),
        observation=game.observe(state),
        state_nan=jnp.stack(nan).any() if nan else jnp.bool_(False),
    )


def _where(observation: np.ndarray, finite: np.ndarray) -> str:
    place = np.unravel_index(int(np.argmin(finite)), finite.shape)
    where = ", ".join(map(str, map(int, place)))
    return f"observe is {float(observation[place])} at [{where}], but must be finite"


def _stacked(trees: Sequence[PyTree]) -> Any:
    return jax.tree.map(lambda *leaves: np.stack(leaves), *trees)


def _row(tree: PyTree, row: int) -> Any:
    return jax.tree.map(lambda leaf: np.asarray(leaf)[row], tree)


def _rows(tree: PyTree, rows: Sequence[int] | range) -> Any:
    index = np.asarray(rows, np.int64)
    return jax.tree.map(lambda leaf: np.asarray(leaf)[index], tree)


def _filled(positions: Any) -> tuple[Any, int]:
    """Returns positions repeated to fill the compiled batch, and how many there were."""
    count = len(jax.tree.leaves(positions)[0])
    return _rows(positions, np.resize(np.arange(count), _BATCH).tolist()), count
