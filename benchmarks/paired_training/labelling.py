"""Labels positions of all phases of a game with every move that keeps their value.

Two kinds of matches lead to them: in "random" ones every move is uniformly random; in "careful"
ones nine moves of ten keep the value, so that the position is mostly undecided and the right move
hard to find. Only positions in which some move is a mistake are kept. Moves are labelled by the
game's `solve`, or by brute force over the rules if the game has no solver. Positions so early that
the solver mostly gives up are left out.
"""

import dataclasses
import functools
from collections import Counter
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from benchmarks.paired_training.plan import SETS
from selfplay.arena import LiveMatch, Opening, has_solver
from selfplay.arena.openings import fingerprint_row
from selfplay.arena.view import view
from selfplay.check.solved.brute_force import BruteForce
from selfplay.errors import GameContractError, SelfplayError
from selfplay.game import ChanceGame, Game, Position, Solution

_CAREFUL = 0.9
_WANTED = 0.3
_FAILURES = 3
_BRUTE_FORCE = 20_000
"""Positions that brute force may look at, which looks at a thousand a second."""

_SEEDS = {"choose": 1_000_000, "report": 2_000_000}

Solver = Callable[[Any], tuple[int, ...] | None]
"""Returns the moves of a position that keep its value, None if it does not know."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Labelled:
    """One position.

    Attributes:
        opening: how it is reached.
        best: the moves that keep its value; at least one legal move is not among them.
    """

    opening: Opening
    best: tuple[int, ...]


def solver_of(game: Game[Any]) -> Solver | None:
    """Returns what labels positions of this game, None if nothing can."""
    if has_solver(game):
        return lambda position: _keeping(game.solve(jax.device_put(position.state)))
    if isinstance(game, ChanceGame):
        return None
    return functools.partial(_by_brute_force, BruteForce(game, max_positions=_BRUTE_FORCE))


def _keeping(solution: Solution | None) -> tuple[int, ...] | None:
    return None if solution is None else tuple(sorted(int(one) for one in solution.actions))


def _by_brute_force(values: BruteForce, position: Position[Any]) -> tuple[int, ...] | None:
    try:
        found = values.action_values(position)
    except SelfplayError:
        return None  # too many positions
    best = max(found.values())
    return tuple(action for action, value in found.items() if value > best - 1e-6)


def label(
    game: Game[Any], solver: Solver, *, count: int, say: Callable[[str], None]
) -> dict[str, list[Labelled]]:
    """Returns both sets of positions, at most `count` each, by ascending ply and evenly over plies.

    The same game gives the same sets. No position is in both, and none twice.
    """
    labeller = _Labeller(game, solver)
    seen: set[bytes] = set()
    sets: dict[str, list[Labelled]] = {}
    for name in SETS:
        by_ply: dict[int, list[Labelled]] = {}
        # Random matches first: they show how early the solver can be asked.
        numbers = sorted(range(count), key=lambda number: number % 2)
        for done, number in enumerate(numbers, start=1):
            for row, look in labeller.match(seed=_SEEDS[name] + number, careful=number % 2 == 1):
                if look not in seen:
                    seen.add(look)
                    by_ply.setdefault(len(row.opening.actions), []).append(row)
            if done % 20 == 0:
                candidates = sum(map(len, by_ply.values()))
                say(f"{name}: {done} of {count} matches, {candidates} candidates")
        sets[name] = _evenly(by_ply, count, seed=_SEEDS[name])
    return sets


def _evenly(by_ply: dict[int, list[Labelled]], count: int, *, seed: int) -> list[Labelled]:
    """Returns `count` of the positions, the same number of each ply where there are enough."""
    rng = np.random.default_rng(seed)
    kept: list[Labelled] = []
    piles = sorted(by_ply.items(), key=lambda pile: (len(pile[1]), pile[0]))
    for index, (_, rows) in enumerate(piles):
        share = (count - len(kept)) // (len(piles) - index)
        kept += [rows[row] for row in rng.permutation(len(rows))[:share]]
    return sorted(kept, key=lambda row: len(row.opening.actions))


class _Labeller:
    """Plays matches, and labels positions on the way."""

    def __init__(self, game: Game[Any], solver: Solver) -> None:
        self._game = game
        self._solver = solver
        self._known: dict[bytes, tuple[int, ...] | None] = {}
        self._failed: Counter[int] = Counter()
        self._solved: Counter[int] = Counter()

    def match(self, *, seed: int, careful: bool) -> list[tuple[Labelled, bytes]]:
        """Returns some positions of one match, each with what distinguishes its look."""
        rng = np.random.default_rng(seed)
        match = LiveMatch(self._game, seed=seed)
        wanted = []
        while not match.over:
            best = self._best(match) if careful else None
            moves = best if best and rng.random() < _CAREFUL else match.legal
            if rng.random() < _WANTED:
                wanted.append(match.fork())
            match.play(int(rng.choice(moves)))
        found = []
        # Backwards: late positions are the quickest to solve.
        for there in reversed(wanted):
            best = self._best(there)
            if best is not None and len(best) < len(there.legal):
                look = fingerprint_row(_look(self._game, there.position), 0)
                found.append((Labelled(opening=_opening(there, seed), best=best), look))
        return found

    def _best(self, match: LiveMatch) -> tuple[int, ...] | None:
        """Returns the moves that keep the value, None if that takes too long to find out."""
        name = fingerprint_row(jax.tree.map(lambda leaf: leaf[None], match.position.state), 0)
        if name in self._known:
            return self._known[name]
        legal, ply = match.legal, len(match.actions)
        # Where the solver mostly fails it is not asked, nor before that.
        if any(
            failed >= _FAILURES and failed > self._solved[later]
            for later, failed in self._failed.items()
            if later >= ply
        ):
            return None
        best = tuple(legal) if len(legal) == 1 else self._solver(match.position)
        if best is not None and not (best and set(best) <= set(legal)):
            raise GameContractError(
                f"the solver of {self._game.name} names the moves {list(best)} after "
                f"{match.actions}, but legal are {legal}"
            )
        (self._failed if best is None else self._solved)[ply] += 1
        self._known[name] = best
        return best


def _opening(match: LiveMatch, seed: int) -> Opening:
    first, second = jax.random.key_data(jax.random.key(seed)).tolist()
    return Opening(
        start_key=(first, second),
        actions=tuple(match.actions),
        outcomes=tuple(match.outcomes) if isinstance(match.game, ChanceGame) else (),
    )


@functools.partial(jax.jit, static_argnums=0)
def _look(game: Game[Any], position: Position[Any]) -> Any:
    """Returns what the player to move sees, with a leading axis of 1."""
    seen = view(game, position)
    return jax.tree.map(
        lambda leaf: jnp.asarray(leaf)[None], (game.observe(position.state), seen.mover, seen.legal)
    )
