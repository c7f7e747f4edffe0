"""The positions of a plain-Python game, indexed by their moves, on the host."""

import operator
import random
import sys
import threading
from collections.abc import Callable
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from selfplay.adapters import answers, failures
from selfplay.adapters.python_game import PythonChanceGame, PythonGame
from selfplay.contract import brief
from selfplay.errors import GameContractError

_SHOWN_MOVES = 60
_TYPES = "contract"

Moves = tuple[int, bytes]
"""The seed of a start, and the moves from there as the bytes of `HostTree.dtype`.

Where chance followed a move its outcome comes next: what an entry means follows from those before.
"""


class Node:
    """One position with the rules' data about it.

    Attributes:
        state: the user's own object.
        player: who is to move; once the match is over, whoever did not move last; in an
            afterstate whoever did.
        terminal: whether the rules end the match here.
        result: of player 0, in [-1, 1].
        legal: one bit for each action, as `numpy.packbits` has them; none where terminal, and
            none in an afterstate.
        chance: in an afterstate the probability of each outcome, else None.
    """

    __slots__ = ("chance", "legal", "observation", "player", "result", "state", "terminal")

    def __init__(
        self,
        state: object,
        player: int,
        terminal: bool,
        result: float,
        legal: bytes,
        chance: npt.NDArray[np.float32] | None = None,
    ) -> None:
        self.state = state
        self.player = player
        self.terminal = terminal
        self.result = result
        self.legal = legal
        self.chance = chance
        self.observation: npt.NDArray[np.float32] | None = None


class HostTree:
    """Looks up positions, calls the rules for new ones, and drops old ones.

    A position that was dropped is replayed from the start, so results do not depend on the stored
    ones. Any number of threads may ask at once.
    """

    def __init__(self, rules: PythonGame[Any], capacity: int) -> None:
        """Prepares an empty tree.

        Args:
            rules: the user's game.
            capacity: positions kept; the least recently used half goes when it is full.
        """
        self.rules = rules
        self.outcomes = 0
        if isinstance(rules, PythonChanceGame):
            self.outcomes = checked_integer(rules, "num_outcomes", 1)
        largest = max(rules.num_actions, self.outcomes)
        self.dtype = np.dtype(np.int16 if largest <= 1 << 15 else np.int32)
        self._read_legal = answers.LegalActions(rules.num_actions)
        self.legal_bytes = self._read_legal.bytes
        self._half = capacity // 2
        self._young: dict[Moves, Node] = {}
        self._old: dict[Moves, Node] = {}
        self._lock = threading.RLock()
        rng = random.Random(0)
        before = rng.getstate()
        self.symmetries = self.call((0, b""), "symmetries", read=tuple)
        first = self._start(rng, 0)
        self.random_start = rng.getstate() != before
        self.observation_shape: tuple[int, ...] = ()
        self.observation_shape = self._seen(first.state, (0, b"")).shape

    def node(self, moves: Moves) -> Node:
        """Returns the position after `moves`."""
        with self._lock:
            node = self._recall(moves)
            return node if node is not None else self._rebuild(moves)

    def child(self, moves: Moves, entry: int) -> Node:
        """Returns the position after `moves` and then `entry`.

        That is a legal action or, if `moves` lead to an afterstate, a possible outcome.
        """
        with self._lock:
            longer = self.extend(moves, entry)
            node = self._recall(longer)
            if node is None:
                node = self._keep(longer, self._play(self.node(moves), moves, entry))
            return node

    def extend(self, moves: Moves, entry: int) -> Moves:
        """Returns `moves` and then `entry`."""
        return moves[0], moves[1] + entry.to_bytes(self.dtype.itemsize, sys.byteorder)

    def observation(self, moves: Moves) -> npt.NDArray[np.float32]:
        """Returns the observation after `moves`; zeros where nobody moves."""
        with self._lock:
            node = self.node(moves)
            if node.observation is None:
                node.observation = self._observe(node, moves)
            return node.observation

    def image(self, moves: Moves, view: int) -> Any:
        """Returns the user's own object after `moves`, under symmetry `view`; 0 is none."""
        state = self.node(moves).state
        if view == 0:
            return state
        symmetry = self.symmetries[view - 1]
        return self.called(moves, f"map_state of {symmetry.name!r}", symmetry.map_state, state)

    def observation_of_image(self, moves: Moves, view: int) -> npt.NDArray[np.float32]:
        """Returns the observation of the image of the position after `moves`."""
        with self._lock:
            node = self.node(moves)
            if view == 0 or node.terminal or node.chance is not None:
                return self.observation(moves)
            return self._seen(self.image(moves, view), moves)

    def auxiliary(
        self, moves: Moves, final: Moves, view: int
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Returns the auxiliary targets of a position whose match ends after `final`."""
        with self._lock:
            states = self.image(moves, view), self.image(final, view)
            return self.call(moves, "auxiliary_targets", *states, read=answers.auxiliary)

    def listed(self, moves: Moves) -> list[int]:
        """Returns the moves as numbers."""
        return np.frombuffer(moves[1], self.dtype).tolist()

    def call(
        self,
        moves: Moves,
        method: str,
        *arguments: object,
        read: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Returns the result of one of the user's methods; explains an error.

        Args:
            moves: of the position.
            method: its name.
            arguments: for it; the first one is a state.
            read: checks and converts the answer.
        """
        shown = "".join(f", {argument}" for argument in arguments[1:] if type(argument) is int)
        asked = f"{method}(state{shown})" if shown else method
        return self.called(moves, asked, getattr(self.rules, method), *arguments, read=read)

    def called(
        self,
        moves: Moves,
        asked: str,
        function: Callable[..., Any],
        *arguments: object,
        read: Callable[[Any], Any] | None = None,
    ) -> Any:
        """Returns the result of a user's function; `asked` is its name in messages."""
        try:
            told = function(*arguments)
            # Errors inside a generator occur here.
            return told if read is None else read(told)
        except answers.WrongAnswerError as error:
            self.refuse(moves, str(error), rule=error.rule)
        except (Exception, SystemExit) as error:
            problem = f"{asked} fails: {brief(error, method=function)}"
            self.refuse(moves, problem, error, rule="exception")

    def refuse(
        self, moves: Moves, problem: str, cause: BaseException | None = None, *, rule: str
    ) -> NoReturn:
        """Raises the error of a rule that is broken after `moves`, and keeps it."""
        played = self._told(moves)
        shown = " ".join(played[:_SHOWN_MOVES]) + (" ..." if len(played) > _SHOWN_MOVES else "")
        actions, outcomes = self.split(moves)
        error = GameContractError(
            f"{self.rules.name}: {problem}",
            hint=f"after the moves {shown}" if played else "in the first position",
            rule=rule,
            start=(moves[0],),
            moves=actions,
            outcomes=outcomes,
        )
        failures.record(error)
        raise error from cause

    def split(self, moves: Moves) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Returns the actions in `moves`, and the outcome after each, -1 for none."""
        actions: list[int] = []
        drawn: list[int] = []
        before = (moves[0], b"")
        for entry in self.listed(moves):
            if self.outcomes > 0 and self.node(before).chance is not None:
                drawn[-1] = entry
            else:
                actions.append(entry)
                drawn.append(-1)
            before = self.extend(before, entry)
        return tuple(actions), tuple(drawn)

    def _told(self, moves: Moves) -> list[str]:
        """Returns the moves as text for people, with outcomes as `roll:#NUMBER`."""
        told = []
        for action, outcome in zip(*self.split(moves), strict=True):
            told += [str(action)] + ([f"roll:#{outcome}"] if outcome >= 0 else [])
        return told

    def _recall(self, moves: Moves) -> Node | None:
        node = self._young.get(moves)
        if node is None:
            node = self._old.get(moves)
            if node is not None:
                self._keep(moves, node)
        return node

    def _keep(self, moves: Moves, node: Node) -> Node:
        if len(self._young) >= self._half:
            self._old, self._young = self._young, {}
        self._young[moves] = node
        return node

    def _rebuild(self, moves: Moves) -> Node:
        """Replays from the last stored position on the way."""
        seed, path = moves
        width = self.dtype.itemsize
        length = len(path)
        node = None
        while node is None and length > 0:
            length -= width
            node = self._recall((seed, path[:length]))
        if node is None:
            node = self._keep((seed, b""), self._start(random.Random(seed), seed))
        for entry in np.frombuffer(path[length:], self.dtype).tolist():
            node = self._play(node, (seed, path[:length]), entry)
            length += width
        return self._keep(moves, node)

    def _start(self, rng: random.Random, seed: int) -> Node:
        moves = (seed, b"")
        state = self.call(moves, "initial_state", rng)
        if state is None:
            self.refuse(moves, "initial_state returns None, but must return a state", rule=_TYPES)
        node = self._asked(state, moves, mover=1)
        if node.terminal:
            self.refuse(moves, "is_terminal is true before the first move", rule="start")
        return node

    def _play(self, parent: Node, moves: Moves, entry: int) -> Node:
        longer = self.extend(moves, entry)
        method = "apply" if parent.chance is None else "resolve"
        state = self.call(moves, method, parent.state, entry)
        if state is None:
            self.refuse(
                moves,
                f"{method}(state, {entry}) returns None, but must return the new state",
                rule=_TYPES,
            )
        if parent.chance is not None:
            return self._asked(state, longer, mover=parent.player)
        if not self.outcomes or not self._rolls(state, longer):
            return self._asked(state, longer, mover=parent.player)
        result = self.call(longer, "returns", state, read=answers.result)
        chance = self.call(
            longer,
            "chance_probabilities",
            state,
            read=lambda told: answers.probabilities(told, self.outcomes),
        )
        return Node(state, parent.player, False, result, bytes(self.legal_bytes), chance)

    def _rolls(self, state: object, moves: Moves) -> bool:
        over: bool = self.call(moves, "is_terminal", state, read=bool)
        return not over and self.call(moves, "is_chance", state, read=bool)

    def _asked(self, state: object, moves: Moves, *, mover: int) -> Node:
        """Returns a new node: calls all methods of the rules, and checks the results."""
        terminal: bool = self.call(moves, "is_terminal", state, read=bool)
        result: float = self.call(moves, "returns", state, read=answers.result)
        if terminal:
            return Node(state, 1 - mover, True, result, bytes(self.legal_bytes))
        player: int = self.call(moves, "current_player", state, read=answers.player)
        legal: bytes = self.call(moves, "legal_actions", state, read=self._read_legal)
        return Node(state, player, False, result, legal)

    def _observe(self, node: Node, moves: Moves) -> npt.NDArray[np.float32]:
        if node.terminal or node.chance is not None:
            return np.zeros(self.observation_shape, np.float32)
        return self._seen(node.state, moves)

    def _seen(self, state: object, moves: Moves) -> npt.NDArray[np.float32]:
        seen: npt.NDArray[np.float32] = self.call(
            moves,
            "observe",
            state,
            read=lambda told: answers.observation(told, self.observation_shape or None),
        )
        return seen


def legal_list(node: Node, num_actions: int) -> list[int]:
    """Returns the legal actions of a position."""
    bits = np.unpackbits(np.frombuffer(node.legal, np.uint8), count=num_actions)
    return np.flatnonzero(bits).tolist()


def checked_integer(game: PythonGame[Any], name: str, least: int) -> int:
    """Returns an integer attribute of a user's game; raises if it is wrong."""
    value: Any = getattr(game, name, None)
    if isinstance(value, bool) or not hasattr(value, "__index__") or operator.index(value) < least:
        raise GameContractError(
            f"{getattr(game, 'name', type(game).__name__)}: {name} is {value!r}, but must be an "
            f"integer of at least {least}",
            rule="contract",
        )
    return operator.index(value)
