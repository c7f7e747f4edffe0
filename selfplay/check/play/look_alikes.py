"""Finds positions that look the same to the player to move, but are not the same.

Many random matches are played side by side, and what the player to move sees at each ply is
remembered by its hash. Two positions with equal observations must allow the same actions, and the
same action must have the same consequence: the same end, the same result for whoever played it,
and the same actions next. Where they do not, `observe` leaves something out: a rule (a board that
the last move forces, a count of passes), or what the rules hide from one player. A network cannot
tell such positions apart, and the search, which plays on from the whole state, sees what a player
could not.
"""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.check.play.sequence import MoveSequence
from selfplay.game import Game, Position, random_ply, start

_ROWS = 512
_MOST_PLIES = 64
_FEWEST_PLIES = 8

Facts = tuple[int | bool | float, ...]


@dataclasses.dataclass(frozen=True, kw_only=True)
class LookAlike:
    """Two positions that look the same to the player to move.

    Attributes:
        kind: what differs: "legal" the legal actions; after one more move, the last one of both
            lines, "result" whether the match is over and its result, "next" the legal actions.
        lines: the moves to each, the shorter list first.
        across: whether player 0 is to move in one and player 1 in the other.
    """

    kind: str
    lines: tuple[MoveSequence, MoveSequence]
    across: bool


@dataclasses.dataclass
class _Known:
    """The first position of each look and player, and pairs that differ, by kind and players."""

    first: dict[tuple[Any, ...], tuple[Facts, int, Callable[[], MoveSequence]]] = dataclasses.field(
        default_factory=dict
    )
    pairs: dict[
        tuple[str, bool], tuple[int, Callable[[], MoveSequence], Callable[[], MoveSequence]]
    ] = dataclasses.field(default_factory=dict)

    def add(
        self,
        kind: str,
        look: tuple[Any, ...],
        player: int,
        facts: Facts,
        plies: int,
        line: Callable[[], MoveSequence],
    ) -> None:
        self.first.setdefault((kind, player, *look), (facts, plies, line))
        for other in range(2):
            known = self.first.get((kind, other, *look))
            if known is None or known[0] == facts:
                continue
            pair = self.pairs.get((kind, other != player))
            if pair is None or known[1] + plies < pair[0]:
                self.pairs[kind, other != player] = (known[1] + plies, known[2], line)


def look_alikes(
    game: Game[Any], *, seed: int = 0, batches: int = 4, plies: int = _MOST_PLIES, seconds: float
) -> list[LookAlike]:
    """Returns pairs of positions that look the same and are not, at most one of each kind.

    Args:
        game: the rules.
        seed: of the random matches.
        batches: how many times 512 matches are played.
        plies: of each match at most.
        seconds: no new ply is begun after so long, but for the first eight of the first matches.
    """
    known = _Known()
    begin, play = _compiled(game)
    end = None
    for batch in range(batches):
        keys = jax.random.split(jax.random.key(seed + batch), _ROWS)
        data = np.asarray(jax.random.key_data(keys))
        positions, seen = begin(keys)
        seen = jax.device_get(seen)
        moves: list[tuple[np.ndarray, np.ndarray]] = []
        for ply in range(min(plies, game.max_plies)):
            live = np.flatnonzero(~seen["over"] & seen["any"])
            if not live.size:
                break
            # Compiling is not counted: it is over when the first ply has been played.
            if end is not None and time.perf_counter() > end and (batch or ply >= _FEWEST_PLIES):
                return _found(known)
            key = jax.random.fold_in(jax.random.key(seed + 1000 + batch), ply)
            positions, actions, outcomes, after = jax.device_get(play(positions, key))
            end = end or time.perf_counter() + seconds
            moves.append((actions, outcomes))
            for row in live.tolist():
                look = tuple(seen["look"][row].tolist())
                legal = tuple(seen["mask"][row].tolist())
                player = int(seen["player"][row])
                known.add("legal", look, player, legal, ply, _line(data, moves, row, ply))
                if after["over"][row] and not after["terminal"][row]:
                    continue  # ended by its length
                played = (*look, *legal, int(actions[row]), int(outcomes[row]))
                line = _line(data, moves, row, ply + 1)
                over = bool(after["terminal"][row])
                result = round(float(after["results"][row][player]), 4) if over else 0
                known.add("result", played, player, (over, result), ply, line)
                if not over:
                    again = bool(after["player"][row] == player)
                    facts = (again, *after["mask"][row].tolist())
                    known.add("next", played, player, facts, ply, line)
            seen = after
    return _found(known)


def _found(known: _Known) -> list[LookAlike]:
    found = []
    for (kind, across), (_, one, other) in known.pairs.items():
        if kind == "next" and ("legal", across) in known.pairs:
            continue  # it says the same one move earlier
        first, second = sorted((one(), other()), key=lambda line: len(line.actions))
        found.append(LookAlike(kind=kind, lines=(first, second), across=across))
    return found


def _line(
    data: np.ndarray, moves: list[tuple[np.ndarray, np.ndarray]], row: int, plies: int
) -> Callable[[], MoveSequence]:
    """Returns what makes the line when it is wanted: most never are."""
    return lambda: MoveSequence(
        start=(int(data[row][0]), int(data[row][1])),
        actions=tuple(int(actions[row]) for actions, _ in moves[:plies]),
        outcomes=tuple(int(outcomes[row]) for _, outcomes in moves[:plies]),
    )


def _compiled(game: Game[Any]) -> tuple[Callable[..., Any], Callable[..., Any]]:
    def look(position: Position[Any]) -> dict[str, Any]:
        state = position.state
        terminal = game.is_terminal(state)
        mask = game.legal_action_mask(state)
        return {
            "look": _hash(game.observe(state)),
            "mask": _hash(mask),
            "any": mask.any(),
            "player": game.current_player(state).astype(jnp.int32),
            "terminal": terminal,
            "over": terminal | (position.ply >= game.max_plies),
            "results": game.returns(state).astype(jnp.float32),
        }

    def begin(key: Any) -> Any:
        position = start(game, key)
        return position, look(position)

    def play(position: Position[Any], key: Any) -> Any:
        action_key, outcome_key = jax.random.split(key)
        played = random_ply(game, position, key=action_key, chance_key=outcome_key)
        return played.position, played.action, played.outcome, look(played.position)

    every = jax.jit(lambda positions, key: jax.vmap(play)(positions, jax.random.split(key, _ROWS)))
    return jax.jit(jax.vmap(begin)), every


def _hash(array: Any) -> Any:
    """Returns two numbers that are hardly ever the same for different arrays of a shape."""
    flat = array.reshape(-1)
    if jnp.issubdtype(flat.dtype, jnp.floating):
        # Adding 0 makes 0 of -0.
        words = jax.lax.bitcast_convert_type(flat.astype(jnp.float32) + 0.0, jnp.uint32)
    else:
        words = flat.astype(jnp.uint32)
    places = jnp.arange(flat.size, dtype=jnp.uint32)
    sums = []
    for salt in (0x9E3779B1, 0x85EBCA77):
        mixed = words ^ ((places + 1) * jnp.uint32(salt))
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            mixed = (mixed ^ (mixed >> shift)) * jnp.uint32(factor)
        sums.append((mixed ^ (mixed >> 16)).sum(dtype=jnp.uint32))
    return jnp.stack(sums)
