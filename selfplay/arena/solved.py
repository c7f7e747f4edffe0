"""Positions whose exact solution is known: where an agent's mistakes can be counted."""

import dataclasses
import functools
import math
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int32, Key

from selfplay.arena.batches import stack, take
from selfplay.arena.openings import Opening, OpeningSet, fingerprint_row
from selfplay.arena.view import View, view
from selfplay.configuration import check_range
from selfplay.errors import GameContractError
from selfplay.game import (
    ChanceGame,
    Game,
    Position,
    Solution,
    pytree,
    random_ply,
    start,
)

_MATCHES = 256


def has_solver(game: Game[Any]) -> bool:
    """Returns whether the game's class says what perfect play is."""
    return type(game).solve is not Game.solve


@dataclasses.dataclass(frozen=True, kw_only=True)
class SolvedPositions:
    """Different positions of one game, in none of which the match is over, with their solutions.

    Attributes:
        positions: `n >= 0` of them, as NumPy arrays, by ascending ply.
        openings: how each of them was reached.
        legal: True where legal.
        best: True where a move keeps the value of the position.
        position_set: 12 hex digits that name the set: equal ids, equal positions.
        unknown: how many more positions there were that the solver has no answer to.
        skipped: how many more it was not asked about, for want of time.
    """

    positions: Position[Any]
    openings: tuple[Opening, ...]
    legal: Bool[np.ndarray, "n A"]
    best: Bool[np.ndarray, "n A"]
    position_set: str
    unknown: int = 0
    skipped: int = 0


def solve_positions(
    game: Game[Any],
    *,
    num_positions: int = 256,
    seed: int = 0,
    seconds: float = math.inf,
    progress: Callable[[], None] = lambda: None,
    clock: Callable[[], float] = time.monotonic,
) -> SolvedPositions:
    """Returns positions of random matches, spread evenly over the plies, with their solutions.

    Late positions are solved first: they are the quickest. A solver that is slower the earlier it
    is asked so answers as far back as the time allows; a call that has begun is not cut off.

    Args:
        game: has a solver.
        num_positions: at most so many, at least 1; a small game has fewer.
        seed: of the random matches: equal seeds, equal positions.
        seconds: no further position is solved once so much time has passed.
        progress: called between positions and between plies; may raise to break off.
        clock: seconds, for tests.

    Raises:
        GameContractError: `solve` fails, or names moves that are not legal.
    """
    check_range("num_positions", num_positions, low=1)
    found = _random_positions(game, num_positions, seed, progress)
    begin = clock()
    answers: list[tuple[int, Solution]] = []
    unknown = skipped = 0
    for row in reversed(range(len(found))):
        progress()
        if clock() - begin >= seconds:
            skipped = row + 1
            break
        one = found[row]
        solution = checked_solution(
            game,
            # JAX arrays, as everywhere else: `solve` may call the rules.
            jax.device_put(one.position.state),
            np.flatnonzero(one.legal).tolist(),
            after=one.opening.actions,
            hint="selfplay check compares it with brute force; "
            "evaluation.mistake_positions=0 asks it not",
        )
        if solution is None:
            unknown += 1
        else:
            answers.append((row, solution))
    answers.reverse()
    kept = [found[row] for row, _ in answers]
    best = np.zeros((len(kept), game.num_actions), bool)
    for index, (_, solution) in enumerate(answers):
        best[index, list(solution.actions)] = True
    openings = tuple(one.opening for one in kept)
    # Without a position in it the set keeps its shapes: it is cut from a batch of one.
    positions = stack([one.position for one in kept or found[:1]])
    return SolvedPositions(
        positions=take(positions, np.arange(len(kept))),
        openings=openings,
        legal=np.array([one.legal for one in kept], bool).reshape(best.shape),
        best=best,
        position_set=OpeningSet(game=game.name, version=game.version, openings=openings).id,
        unknown=unknown,
        skipped=skipped,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class _Found:
    """One position of a random match, on the host."""

    position: Position[Any]
    opening: Opening
    legal: Bool[np.ndarray, " A"]


def checked_solution(
    game: Game[Any], state: Any, legal: Sequence[int], *, after: Sequence[int], hint: str
) -> Solution | None:
    """Returns the solver's answer, None if it has none; refuses one that cannot be.

    Args:
        game: has a solver.
        state: one position, not over.
        legal: its legal actions.
        after: the moves that led there, for messages.
        hint: what to do if the solver fails.

    Raises:
        GameContractError: `solve` fails, or its answer is none.
    """
    where = f"solve of {game.name}, asked after the moves {list(after)},"
    try:
        solution = game.solve(state)
    except Exception as error:
        raise GameContractError(f"{where} fails: {error!r}", hint=hint) from error
    if solution is None:
        return None
    if not solution.actions or not set(map(int, solution.actions)) <= set(legal):
        raise GameContractError(
            f"{where} names the actions {list(solution.actions)}, but legal are {list(legal)}",
            hint=hint,
        )
    return solution


def _random_positions(
    game: Game[Any], num_positions: int, seed: int, progress: Callable[[], None]
) -> list[_Found]:
    """Returns different positions of random matches, by ascending ply.

    Positions that look alike count as one: a state may hold how it was reached.

    The matches are played twice: once to see which positions there are, and once to keep those
    that are wanted, so that never more than one ply of them is in memory.
    """
    seen: set[bytes] = set()
    rows_by_ply: list[list[int]] = []
    for now in _random_matches(game, seed):
        progress()
        rows = []
        for row in np.flatnonzero(~now.view.over).tolist():
            name = fingerprint_row((now.seen, now.view.mover, now.view.legal), row)
            if name not in seen:
                seen.add(name)
                rows.append(row)
        rows_by_ply.append(rows)
    if not seen:
        raise GameContractError(f"every match of {game.name} is over before its first move")
    wanted = _even_shares([len(rows) for rows in rows_by_ply], num_positions)
    found = []
    actions: list[np.ndarray] = []
    outcomes: list[np.ndarray] = []
    keys = np.asarray(jax.random.key_data(_start_keys(seed)))
    for ply, now in enumerate(_random_matches(game, seed)):
        progress()
        if ply > 0:
            actions.append(np.asarray(now.actions))
            outcomes.append(np.asarray(now.outcomes))
        for row in rows_by_ply[ply][: wanted[ply]]:
            opening = Opening(
                start_key=(int(keys[row, 0]), int(keys[row, 1])),
                actions=tuple(int(one[row]) for one in actions),
                outcomes=tuple(int(one[row]) for one in outcomes)
                if isinstance(game, ChanceGame)
                else (),
            )
            # Copies: what is a part of an array keeps the whole of it in memory.
            position = jax.tree.map(lambda leaf, row=row: np.array(leaf[row]), now.view.position)
            legal = np.array(now.view.legal[row])
            found.append(_Found(position=position, opening=opening, legal=legal))
    return found


def _even_shares(available: Sequence[int], total: int) -> list[int]:
    """Returns how many to take of each kind, as evenly as what is available allows."""
    shares = [0] * len(available)
    scarcest_first = sorted(range(len(available)), key=lambda kind: available[kind])
    for index, kind in enumerate(scarcest_first):
        shares[kind] = min(available[kind], total // (len(available) - index))
        total -= shares[kind]
    return shares


@pytree
class _Now:
    """Random matches after some plies, with a leading axis once they leave `jax.vmap`.

    Attributes:
        view: the position.
        seen: what the player to move sees.
        actions: the moves that led here, without meaning at ply 0.
        outcomes: what chance did then, -1 for nothing.
    """

    view: View
    seen: Array
    actions: Int32[Array, ""]
    outcomes: Int32[Array, ""]


def _random_matches(game: Game[Any], seed: int) -> Iterator[_Now]:
    """Yields the same matches after 0, 1, 2, ... uniformly random moves, until all are over."""
    key = jax.random.key(seed)
    now = jax.device_get(_begin(game, _start_keys(seed)))
    for ply in range(1, game.max_plies + 1):
        yield now
        if now.view.over.all():
            return
        keys = jax.random.split(jax.random.fold_in(key, ply), _MATCHES)
        now = jax.device_get(_move(game, now.view.position, keys))
    yield now


def _start_keys(seed: int) -> Key[Array, " N"]:
    return jax.random.split(jax.random.key(seed), _MATCHES)


@functools.partial(jax.jit, static_argnums=0)
def _begin(game: Game[Any], keys: Key[Array, " N"]) -> _Now:
    def begin(key: Key[Array, ""]) -> _Now:
        position = start(game, key)
        return _Now(
            view=view(game, position),
            seen=game.observe(position.state),
            actions=jnp.int32(-1),
            outcomes=jnp.int32(-1),
        )

    return jax.vmap(begin)(keys)


@functools.partial(jax.jit, static_argnums=0)
def _move(game: Game[Any], positions: Position[Any], keys: Key[Array, " N"]) -> _Now:
    def move(position: Position[Any], key: Key[Array, ""]) -> _Now:
        action_key, chance_key = jax.random.split(key)
        played = random_ply(game, position, key=action_key, chance_key=chance_key)
        return _Now(
            view=view(game, played.position),
            seen=game.observe(played.position.state),
            actions=played.action,
            outcomes=played.outcome,
        )

    return jax.vmap(move)(positions, keys)
