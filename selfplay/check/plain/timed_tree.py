"""Positions of a plain-Python game with a time limit for every call, and the errors found."""

import functools
import random
import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from selfplay.adapters import failures
from selfplay.adapters.python_game import PythonGame
from selfplay.adapters.tree import HostTree, Moves, Node, legal_list
from selfplay.check.plain.time_limit import StillRunningError, TimeLimit
from selfplay.check.play.sequence import MoveSequence
from selfplay.errors import GameContractError

_CAPACITY = 1 << 17
_SHORTENING_SECONDS = 10.0
_SHORTENING_TRIES = 2000


class TimedTree(HostTree):
    """Positions of a game; a call that takes too long breaks the law "hangs".

    Attributes:
        limit: ends calls that take too long.
    """

    def __init__(self, rules: PythonGame[Any], limit: TimeLimit) -> None:
        """Asks for the first position.

        Args:
            rules: the user's game.
            limit: ends calls that take too long.

        Raises:
            GameContractError: the first position breaks a rule.
        """
        self.limit = limit
        super().__init__(rules, _CAPACITY)

    def called(
        self,
        moves: Moves,
        asked: str,
        function: Callable[..., Any],
        *arguments: object,
        read: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Does as `HostTree.called`, and refuses a function that does not return."""
        ask = functools.partial(super().called, moves, asked, function, *arguments, read=read)
        try:
            return self.limit.run(ask)
        except StillRunningError:
            seconds = f"{self.limit.cpu_seconds:g} seconds"
            self.refuse(moves, f"{asked} has not returned after {seconds}", rule="hangs")


class HangsError(Exception):
    """A method does not return: to look further would take too long."""


class Noting:
    """Keeps an error that is raised in its context, if no shorter one of its rule is known."""

    def __init__(self, errors: dict[str, GameContractError]) -> None:
        self._errors = errors

    def __enter__(self) -> None:
        """Does nothing."""

    def __exit__(self, kind: object, error: BaseException | None, where: object) -> bool:
        """Keeps a broken rule and goes on."""
        if not isinstance(error, GameContractError):
            return False
        failures.take()
        known = self._errors.get(error.rule)
        if known is None or len(error.moves) < len(known.moves):
            self._errors[error.rule] = error
        if error.rule == "hangs":
            raise HangsError from error
        return True


def entries(tree: HostTree, node: Node) -> list[int]:
    """Returns what may come next: the legal actions, or the possible outcomes."""
    if node.chance is not None:
        return np.flatnonzero(node.chance).tolist()
    return legal_list(node, tree.rules.num_actions)


def own_states(tree: HostTree, moves: Moves) -> Iterator[Any]:
    """Yields the user's own states along `moves`, whatever the rules say of them."""
    before: Moves = (moves[0], b"")
    state = tree.call(before, "initial_state", random.Random(moves[0]))
    yield state
    for entry in tree.listed(moves):
        method = "apply" if tree.node(before).chance is None else "resolve"
        state = tree.call(before, method, state, entry)
        yield state
        before = tree.extend(before, entry)


def shortest(tree: HostTree, line: Moves, breaks: Callable[[Moves], Moves | None]) -> Moves:
    """Returns moves that are as few as leaving some out of `line` gives.

    Args:
        tree: knows how moves are written.
        line: the moves.
        breaks: returns its argument, or the first moves of it, if they show what is to be shown.
    """
    begin = time.process_time()
    tries = 0
    listed = tree.listed(line)
    size = max(1, len(listed) // 2)
    while listed:
        shorter = None
        for first in range(len(listed) - size + 1):
            tries += 1
            if time.process_time() - begin > _SHORTENING_SECONDS or tries > _SHORTENING_TRIES:
                return line
            candidate = np.array(listed[:first] + listed[first + size :], tree.dtype)
            shorter = breaks((line[0], candidate.tobytes()))
            if shorter is not None and len(shorter[1]) < len(line[1]):
                line, listed = shorter, tree.listed(shorter)
                break
            shorter = None
        if shorter is None and size == 1:
            return line
        size = max(1, min(size // 2 if shorter is None else size, len(listed) // 2))
    return line


def moves_of(tree: HostTree, line: GameContractError | MoveSequence) -> Moves:
    """Returns the moves that lead to where a rule is broken; a start's seed stands last."""
    actions = line.actions if isinstance(line, MoveSequence) else line.moves
    listed = [
        entry
        for action, outcome in zip(actions, line.outcomes, strict=True)
        for entry in ((action,) if outcome < 0 else (action, outcome))
    ]
    return (line.start or (0,))[-1], np.array(listed, tree.dtype).tobytes()
