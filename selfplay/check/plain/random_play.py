"""Plays a plain-Python game on the host, breadth-first and at random, and keeps what it breaks.

Nothing is compiled, so that every exception, wrong answer, changed state and call that does not
return is seen where it happens, with the moves that lead there.
"""

import contextlib
import dataclasses
import random
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.adapters.probe import (
    played,
    require_permutations,
    require_replay,
    require_same_answers,
    require_same_start,
)
from selfplay.adapters.python_game import PythonGame
from selfplay.adapters.tree import Moves, Node, checked_integer
from selfplay.check.guessing.sample import MOST_POSITIONS, PositionSample
from selfplay.check.plain.time_limit import TimeLimit
from selfplay.check.plain.timed_tree import (
    HangsError,
    Noting,
    TimedTree,
    entries,
    moves_of,
    shortest,
)
from selfplay.errors import GameContractError

_BREADTH_FIRST_MOVES = 1024
_LONGEST_MATCH = 1000
_TOLERANCE = 1e-4
# Seconds of computing, after which slow rules are looked at less closely.
_BREADTH_FIRST_SECONDS = 20.0
_MATCHES_SECONDS = 30.0
_READING_SECONDS = 20.0


@dataclasses.dataclass
class Readings:
    """What many random matches showed.

    Attributes:
        matches: the moves of each.
        positions: what was seen at every ply, who was to move, and the number of the ply.
        lengths: plies of each match.
        results: of each match, for player 0.
        last_players: who would be to move at its end.
    """

    matches: list[Moves] = dataclasses.field(default_factory=list)
    positions: list[tuple[npt.NDArray[np.float32], int, int]] = dataclasses.field(
        default_factory=list
    )
    lengths: list[int] = dataclasses.field(default_factory=list)
    results: list[float] = dataclasses.field(default_factory=list)
    last_players: list[int] = dataclasses.field(default_factory=list)

    def sample(self) -> PositionSample | None:
        """Returns the positions for `fit_guesses`, None if there are none."""
        if not self.positions:
            return None
        matches = np.repeat(np.arange(len(self.lengths)), self.lengths)
        rows = np.arange(len(matches))
        if len(rows) > MOST_POSITIONS:
            draw = np.random.default_rng(0)
            rows = np.sort(draw.choice(len(rows), MOST_POSITIONS, replace=False))
        observations, players, plies = zip(*(self.positions[row] for row in rows), strict=True)
        return PositionSample(
            observations=np.stack(observations),
            players=np.array(players),
            plies=np.array(plies),
            matches=matches[rows],
            results=np.array(self.results)[matches[rows]],
            last_players=np.array(self.last_players)[matches[rows]],
        )


class PlainRules:
    """Plays a plain-Python game on the host and keeps what it breaks.

    Attributes:
        rules: the game.
        tree: its positions; None if there is not even a first one.
        errors: the shortest moves that break each rule, by rule.
    """

    def __init__(self, rules: PythonGame[Any], limit: TimeLimit) -> None:
        """Asks for the first position.

        Args:
            rules: the game.
            limit: ends calls that take too long.
        """
        self.rules = rules
        self.tree: TimedTree | None = None
        self.errors: dict[str, GameContractError] = {}
        with contextlib.suppress(HangsError), self._noting():
            for name, least in (("num_actions", 2), ("max_plies", 1)):
                checked_integer(rules, name, least)
            self.tree = TimedTree(rules, limit)

    def look(self, starts: Sequence[int], *, seed: int) -> None:
        """Tries all first moves, then plays one random match from each start.

        Args:
            starts: seeds of first positions.
            seed: decides the moves.
        """
        if self.tree is None:
            return
        with contextlib.suppress(HangsError):
            with self._noting():
                require_permutations(self.tree)
            self._breadth_first(self.tree, starts[0])
            self._random_matches(self.tree, starts, random.Random(seed))
            self._shorten(self.tree)

    def read(self, starts: Sequence[int], *, seed: int) -> Readings:
        """Plays many random matches, without looking twice at anything.

        Args:
            starts: seeds of first positions, one for each match.
            seed: decides the moves.
        """
        found = Readings()
        if self.tree is None:
            return found
        draw = random.Random(seed)
        begin = time.process_time()
        with contextlib.suppress(HangsError):
            for start in starts:
                if time.process_time() - begin > _READING_SECONDS:
                    break
                with self._noting():
                    self._read_match(self.tree, start, draw, found)
            self._shorten(self.tree)
        return found

    def _read_match(
        self, tree: TimedTree, start: int, draw: random.Random, found: Readings
    ) -> None:
        moves: Moves = (start if tree.random_start else 0, b"")
        seen = []
        for ply in range(self.rules.max_plies):
            node = tree.node(moves)
            if node.terminal:
                break
            seen.append((tree.observation(moves).reshape(-1), node.player, ply))
            moves = tree.extend(moves, draw.choice(entries(tree, node)))
            node = tree.node(moves)
            if node.chance is not None and ply + 1 < self.rules.max_plies:
                weights = node.chance.tolist()
                moves = tree.extend(moves, draw.choices(range(len(weights)), weights)[0])
        last = tree.node(moves)
        found.matches.append(moves)
        found.positions += seen
        found.lengths.append(len(seen))
        found.results.append(last.result)
        found.last_players.append(last.player)

    def _noting(self) -> "Noting":
        return Noting(self.errors)

    def _breadth_first(self, tree: TimedTree, start: int) -> None:
        first: Moves = (start if tree.random_start else 0, b"")
        level = [(first, 0)]
        known: set[Any] = set()
        left = _BREADTH_FIRST_MOVES
        begin = time.process_time()
        with self._noting():
            require_same_start(tree, first)
        while level and left > 0:
            following = []
            for moves, ply in level:
                node = self._position(tree, moves)
                if node is None or node.terminal or ply >= self.rules.max_plies:
                    continue
                if _seen_before(node.state, known):
                    continue
                for entry in entries(tree, node):
                    left -= 1
                    if left < 0 or time.process_time() - begin > _BREADTH_FIRST_SECONDS:
                        return
                    with self._noting():
                        longer = played(tree, moves, entry)
                        following.append((longer, ply + (node.chance is None)))
            level = following

    def _random_matches(self, tree: TimedTree, starts: Sequence[int], draw: random.Random) -> None:
        begin = time.process_time()
        for start in starts:
            moves: Moves = (start if tree.random_start else 0, b"")
            with self._noting():
                require_same_start(tree, moves)
            closely = time.process_time() - begin < _MATCHES_SECONDS
            path = [moves]
            ply = 0
            while True:
                node = self._position(tree, moves, closely=closely)
                over = node is not None and (node.terminal or ply >= self.rules.max_plies)
                if node is None or over or len(path) > _LONGEST_MATCH:
                    break
                entry = draw.choice(entries(tree, node))
                longer = None
                with self._noting():
                    if closely:
                        longer = played(tree, moves, entry)
                    else:
                        longer = tree.extend(moves, entry)
                        tree.node(longer)
                if longer is None:
                    node = None
                    break
                ply += node.chance is None
                moves = longer
                path.append(moves)
            if node is not None:
                with self._noting():
                    require_replay(tree, moves)
                self._auxiliary(tree, path)

    def _position(self, tree: TimedTree, moves: Moves, *, closely: bool = True) -> Node | None:
        """Returns the position after `moves`, None if a rule is broken there."""
        with self._noting():
            node = tree.node(moves)
            tree.observation(moves)
            if closely:
                require_same_answers(tree, moves)
            return node
        return None

    def _auxiliary(self, tree: TimedTree, path: Sequence[Moves]) -> None:
        if type(self.rules).auxiliary_targets is PythonGame.auxiliary_targets:
            return
        shapes = None
        for moves in path[:: max(1, len(path) // 4)]:
            if tree.node(moves).chance is not None or tree.node(moves).terminal:
                continue
            with self._noting():
                told = tree.auxiliary(moves, path[-1], 0)
                found = {name: target.shape for name, target in told.items()}
                if shapes is not None and found != shapes:
                    problem = "auxiliary_targets changes its names or shapes"
                    tree.refuse(path[-1], problem, rule="auxiliary")
                shapes = found
                for name, target in told.items():
                    if (np.abs(target) > 1 + _TOLERANCE).any():
                        worst = float(target.flat[int(np.abs(target).argmax())])
                        problem = f"auxiliary_targets: {name!r} holds {worst:g}, but must be in "
                        # All of the match: the end belongs to it.
                        tree.refuse(path[-1], f"{problem}[-1, 1]", rule="auxiliary")

    def _shorten(self, tree: TimedTree) -> None:
        """Leaves moves out of those that break a rule, as long as they break it."""
        for rule, error in list(self.errors.items()):
            if rule in ("auxiliary", "hangs"):  # of a whole match; too slow to try
                continue

            def breaks(moves: Moves, known: GameContractError = error) -> Moves | None:
                shorter = self._breaks(tree, known.rule, moves)
                if shorter is None:
                    return None
                self.errors[known.rule] = shorter
                return moves_of(tree, shorter)

            shortest(tree, moves_of(tree, error), breaks)

    def _breaks(self, tree: TimedTree, rule: str, line: Moves) -> GameContractError | None:
        """Returns the error where these moves, or the first of them, break the rule, else None."""
        found: dict[str, GameContractError] = {}
        moves: Moves = (line[0], b"")
        with Noting(found):
            for entry in [*tree.listed(line), None]:
                node = tree.node(moves)
                tree.observation(moves)
                require_same_answers(tree, moves)
                if node.terminal:
                    break
                # What goes wrong in the last position may take any of its moves.
                for last in entries(tree, node) if entry is None else ():
                    with Noting(found):
                        played(tree, moves, last)
                if entry not in entries(tree, node):
                    break
                assert entry is not None
                moves = played(tree, moves, entry)
        return found.get(rule)


def _seen_before(state: object, known: set[Any]) -> bool:
    """Returns whether an equal state is known, and makes it known; states may have no hash."""
    try:
        if state in known:
            return True
        known.add(state)
    except Exception:
        return False
    return False
