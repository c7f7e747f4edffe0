"""The positions of a plain-Python game by the moves that lead to them, on the host."""

import operator
import random
import sys
import threading
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from selfplay.adapters import failures
from selfplay.adapters.python_game import PythonChanceGame, PythonGame
from selfplay.contract import brief
from selfplay.errors import GameContractError

_SHOWN_MOVES = 60

Moves = tuple[int, bytes]
"""The seed of a start, and the moves from there as the bytes of `HostTree.dtype`.

Where chance followed a move its outcome comes next: what an entry means follows from those before.
"""


class Node:
    """One position and all that the rules say of it.

    Attributes:
        state: the user's own object.
        player: who is to move; once the match is over, whoever did not move last; in an
            afterstate whoever did.
        terminal: whether the rules end the match here.
        result: of player 0, in [-1, 1].
        legal: one bit for each action, as `numpy.packbits` has them; none where terminal, and
            none in an afterstate.
        chance: in an afterstate how likely each outcome is, else None.
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
    """Finds positions, asks the rules about new ones, and forgets old ones.

    A position that was forgotten is played again from the start, so nothing depends on what is
    remembered. Any number of threads may ask at once.
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
        self.legal_bytes = -(-rules.num_actions // 8)
        top = 8 * self.legal_bytes - 1
        # A table, and not a shift: it refuses what is no action.
        self._bits = {action: 1 << (top - action) for action in range(rules.num_actions)}
        self._half = capacity // 2
        self._young: dict[Moves, Node] = {}
        self._old: dict[Moves, Node] = {}
        self._lock = threading.RLock()
        rng = random.Random(0)
        before = rng.getstate()
        self.symmetries = tuple(rules.symmetries())
        first = self._start(rng, 0)
        self.random_start = rng.getstate() != before
        told = self.call((0, b""), "observe", first.state)
        self.observation_shape = self._numbers(told, (0, b"")).shape
        if len(self.observation_shape) not in (1, 3):
            self.refuse(
                (0, b""),
                f"observe has shape {list(self.observation_shape)}, but must have [features] or "
                "[height, width, planes]",
            )

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
        """Returns what the player to move sees after `moves`; zeros where nobody moves."""
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
        try:
            return symmetry.map_state(state)
        except Exception as error:
            self.refuse(moves, f"map_state of {symmetry.name!r} fails: {brief(error)}", error)

    def observation_of_image(self, moves: Moves, view: int) -> npt.NDArray[np.float32]:
        """Returns what the player to move sees in the image of the position after `moves`."""
        with self._lock:
            node = self.node(moves)
            if view == 0 or node.terminal or node.chance is not None:
                return self.observation(moves)
            return self._fitting(self.call(moves, "observe", self.image(moves, view)), moves)

    def auxiliary(
        self, moves: Moves, final: Moves, view: int
    ) -> dict[str, npt.NDArray[np.float32]]:
        """Returns the auxiliary targets of a position whose match ends after `final`."""
        with self._lock:
            states = self.image(moves, view), self.image(final, view)
            told = self.call(moves, "auxiliary_targets", *states)
            try:
                return {str(name): np.array(told[name], np.float32) for name in told}
            except (TypeError, ValueError):
                self.refuse(
                    moves, "auxiliary_targets must return numbers or nested lists of them, by name"
                )

    def listed(self, moves: Moves) -> list[int]:
        """Returns the moves as numbers."""
        return np.frombuffer(moves[1], self.dtype).tolist()

    def call(self, moves: Moves, method: str, *arguments: object) -> Any:
        """Returns what one of the user's methods says, and explains it if it fails."""
        try:
            return getattr(self.rules, method)(*arguments)
        except Exception as error:
            shown = "".join(f", {argument}" for argument in arguments[1:])
            asked = f"{method}(state{shown})" if shown else method
            self.refuse(moves, f"{asked} fails: {brief(error)}", error)

    def refuse(self, moves: Moves, problem: str, cause: Exception | None = None) -> NoReturn:
        """Raises the error for a rule that is broken after `moves`, and keeps it."""
        played = self._told(moves)
        shown = " ".join(played[:_SHOWN_MOVES]) + (" ..." if len(played) > _SHOWN_MOVES else "")
        error = GameContractError(
            f"{self.rules.name}: {problem}",
            hint=f"after the moves {shown}" if played else "in the first position",
        )
        failures.record(error)
        raise error from cause

    def _told(self, moves: Moves) -> list[str]:
        """Returns the moves as a person can read them: outcomes as `roll:#NUMBER`."""
        told = []
        before = (moves[0], b"")
        for entry in self.listed(moves):
            rolled = self.outcomes > 0 and self.node(before).chance is not None
            told.append(f"roll:#{entry}" if rolled else str(entry))
            before = self.extend(before, entry)
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
        """Plays on from the last position on the way that is still known."""
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
        node = self._asked(self.call(moves, "initial_state", rng), moves, mover=1)
        if node.terminal:
            self.refuse(moves, "is_terminal is true before the first move")
        return node

    def _play(self, parent: Node, moves: Moves, entry: int) -> Node:
        longer = self.extend(moves, entry)
        if parent.chance is not None:
            state = self.call(moves, "resolve", parent.state, entry)
            return self._asked(state, longer, mover=parent.player)
        state = self.call(moves, "apply", parent.state, entry)
        if not self.outcomes or not self._rolls(state, longer):
            return self._asked(state, longer, mover=parent.player)
        result = self._result(self.call(longer, "returns", state), longer)
        chance = self._probabilities(state, longer)
        return Node(state, parent.player, False, result, bytes(self.legal_bytes), chance)

    def _rolls(self, state: object, moves: Moves) -> bool:
        over = self.call(moves, "is_terminal", state)
        return not over and bool(self.call(moves, "is_chance", state))

    def _asked(self, state: object, moves: Moves, *, mover: int) -> Node:
        """Returns a new node: asks the rules all there is to know, and checks the answers."""
        terminal = bool(self.call(moves, "is_terminal", state))
        result = self._result(self.call(moves, "returns", state), moves)
        if terminal:
            return Node(state, 1 - mover, True, result, bytes(self.legal_bytes))
        player = self.call(moves, "current_player", state)
        if player not in (0, 1):
            self.refuse(moves, f"current_player is {player!r}, but must be 0 or 1")
        legal = self._legal(self.call(moves, "legal_actions", state), moves)
        return Node(state, int(player), False, result, legal)

    def _result(self, returns: Any, moves: Moves) -> float:
        try:
            first, second = (float(number) for number in returns)
        except (TypeError, ValueError):
            self.refuse(moves, f"returns is {returns!r}, but must be two numbers")
        if not (abs(first + second) < 1e-5 and abs(first) <= 1):
            self.refuse(
                moves, f"returns is ({first:g}, {second:g}), but must sum to 0 and be in [-1, 1]"
            )
        return first

    def _probabilities(self, state: object, moves: Moves) -> npt.NDArray[np.float32]:
        told = self.call(moves, "chance_probabilities", state)
        try:
            chance = np.array(told, np.float64)
        except (TypeError, ValueError):
            chance = np.empty(0)
        if chance.shape != (self.outcomes,):
            self.refuse(
                moves,
                f"chance_probabilities is {_shortened(told)}, but must be {self.outcomes} numbers, "
                "one for each outcome",
            )
        if not ((chance >= 0).all() and abs(chance.sum() - 1) < 1e-4):
            self.refuse(
                moves,
                f"chance_probabilities is {_shortened(chance.tolist())}, but must be numbers of "
                "at least 0 that sum to 1",
            )
        return chance.astype(np.float32)

    def _legal(self, actions: Iterable[int], moves: Moves) -> bytes:
        bits = 0
        try:
            for action in actions:
                bits |= self._bits[action]
        except (KeyError, TypeError):
            self.refuse(
                moves,
                f"legal_actions is {_shortened(actions)}, but must hold integers from 0 to "
                f"{self.rules.num_actions - 1}",
            )
        if not bits:
            self.refuse(moves, "legal_actions is empty, but the match is not over")
        return bits.to_bytes(self.legal_bytes, "big")

    def _observe(self, node: Node, moves: Moves) -> npt.NDArray[np.float32]:
        if node.terminal or node.chance is not None:
            return np.zeros(self.observation_shape, np.float32)
        return self._fitting(self.call(moves, "observe", node.state), moves)

    def _fitting(self, told: Any, moves: Moves) -> npt.NDArray[np.float32]:
        seen = self._numbers(told, moves)
        if seen.shape != self.observation_shape:
            self.refuse(
                moves,
                f"observe has shape {list(seen.shape)}, but had {list(self.observation_shape)} "
                "in the first position",
            )
        return seen

    def _numbers(self, told: Any, moves: Moves) -> npt.NDArray[np.float32]:
        try:
            # A copy: the user may go on using the array that was returned.
            return np.array(told, np.float32)
        except (TypeError, ValueError):
            self.refuse(moves, "observe must return numbers in nested lists of one length each")


def legal_list(node: Node, num_actions: int) -> list[int]:
    """Returns the legal actions of a position."""
    bits = np.unpackbits(np.frombuffer(node.legal, np.uint8), count=num_actions)
    return np.flatnonzero(bits).tolist()


def _shortened(actions: object) -> str:
    text = repr(actions)
    return text if len(text) <= 80 else f"{text[:77]}..."


def checked_integer(game: PythonGame[Any], name: str, least: int) -> int:
    """Returns an integer attribute of a user's game, or says what is wrong with it."""
    value: Any = getattr(game, name, None)
    if isinstance(value, bool) or not hasattr(value, "__index__") or operator.index(value) < least:
        raise GameContractError(
            f"{getattr(game, 'name', type(game).__name__)}: {name} is {value!r}, but must be an "
            f"integer of at least {least}"
        )
    return operator.index(value)
