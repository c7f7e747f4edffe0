"""Checks the return values of a plain-Python game's methods."""

import operator
from collections.abc import Iterable, Mapping, Set
from typing import Any

import numpy as np
import numpy.typing as npt

_SHOWN = 80
_TOLERANCE = 1e-5


class WrongAnswerError(Exception):
    """A return value that the contract does not allow.

    Attributes:
        rule: name of the broken rule.
    """

    def __init__(self, rule: str, problem: str) -> None:
        super().__init__(problem)
        self.rule = rule


class LegalActions:
    """Reads what `legal_actions` returns into one bit for each action."""

    def __init__(self, num_actions: int) -> None:
        self._num_actions = num_actions
        self.bytes = -(-num_actions // 8)
        top = 8 * self.bytes - 1
        # A table instead of a shift, because it refuses numbers that are not actions.
        self._bits = {action: 1 << (top - action) for action in range(num_actions)}

    def __call__(self, told: Any) -> bytes:
        """Returns the legal actions as `numpy.packbits` has them, the first action highest.

        Args:
            told: any iterable of distinct integers in [0, num_actions), not empty.

        Raises:
            WrongAnswerError: it is something else.
        """
        if isinstance(told, np.ndarray):
            told = told.tolist()
        if not isinstance(told, Iterable) or isinstance(told, str | bytes):
            raise self._wrong(told, "must be a list of actions")
        bits = 0
        read: list[Any] = []
        for action in told:
            read.append(action)
            if type(action) is not int:
                action = self._integer(action, told, read)
            bit = self._bits.get(action)
            if bit is None:
                shown = told if isinstance(told, list | tuple | Set) else read
                raise self._wrong(shown, f"must hold integers from 0 to {self._num_actions - 1}")
            if bits & bit:
                shown = told if isinstance(told, list | tuple) else read
                raise self._wrong(shown, "must list each action once" + self._mask_hint(shown))
            bits |= bit
        if not bits:
            raise WrongAnswerError(
                "no-legal-action", "legal_actions is empty, but the match is not over"
            )
        return bits.to_bytes(self.bytes, "big")

    def _integer(self, action: object, told: object, read: list[Any]) -> int:
        shown = told if isinstance(told, list | tuple | Set) else read
        if isinstance(action, bool | np.bool_):
            raise self._wrong(shown, "must list the numbers of actions" + _MASK)
        try:
            return operator.index(action)  # type: ignore[arg-type]
        except TypeError:
            pass
        raise self._wrong(shown, f"must hold integers from 0 to {self._num_actions - 1}")

    def _mask_hint(self, shown: Any) -> str:
        whole = len(shown) == self._num_actions
        return _MASK if whole and all(action in (0, 1) for action in shown) else ""

    def _wrong(self, told: object, rule: str) -> WrongAnswerError:
        return WrongAnswerError("legal-actions", f"legal_actions is {shortened(told)}, but {rule}")


_MASK = "; this is a mask: [action for action, legal in enumerate(mask) if legal] is a list"


def player(told: Any) -> int:
    """Returns who is to move, 0 or 1.

    Raises:
        WrongAnswerError: it is something else.
    """
    try:
        number = operator.index(told)
    except TypeError:
        number = -1
    if number not in (0, 1):
        raise WrongAnswerError("player", f"current_player is {shortened(told)}, but must be 0 or 1")
    return number


def result(told: Any) -> float:
    """Returns the result of player 0, in [-1, 1], of what `returns` says of both.

    Raises:
        WrongAnswerError: it is not two opposite numbers in [-1, 1].
    """
    try:
        if isinstance(told, Set | Mapping | str | bytes):
            raise TypeError
        first, second = (float(number) for number in told)
    except (TypeError, ValueError):
        raise WrongAnswerError(
            "contract", f"returns is {shortened(told)}, but must be two numbers"
        ) from None
    if not (abs(first + second) < _TOLERANCE and abs(first) <= 1):
        raise WrongAnswerError(
            "returns",
            f"returns is ({first:g}, {second:g}), but must sum to 0 and be in [-1, 1]",
        )
    return first


def probabilities(told: Any, outcomes: int) -> npt.NDArray[np.float32]:
    """Returns the probability of each outcome.

    Raises:
        WrongAnswerError: it is not one number for each, of at least 0, that sum to 1.
    """
    try:
        chance = np.array(told, np.float64)
    except (TypeError, ValueError):
        chance = np.empty(0)
    if chance.shape != (outcomes,):
        raise WrongAnswerError(
            "contract",
            f"chance_probabilities is {shortened(told)}, but must be {outcomes} numbers, one for "
            "each outcome",
        )
    if not ((chance >= 0).all() and abs(chance.sum() - 1) < 1e-4):
        raise WrongAnswerError(
            "chance",
            f"chance_probabilities is {shortened(chance.tolist())}, but must be numbers of at "
            "least 0 that sum to 1",
        )
    return chance.astype(np.float32)


def observation(told: Any, shape: tuple[int, ...] | None) -> npt.NDArray[np.float32]:
    """Returns what the player to move sees.

    Args:
        told: numbers in nested lists, or an array.
        shape: what it must have; None in the first position, which decides it.

    Raises:
        WrongAnswerError: it is something else, or holds a number that is not finite.
    """
    seen = None
    try:
        # A copy: the user may go on using the array that was returned.
        given = np.array(told)
        if given.dtype.kind in "biuf":
            with np.errstate(over="ignore"):
                seen = given.astype(np.float32)
        elif given.dtype.kind == "O":
            seen = np.array(told, np.float32)
    except (TypeError, ValueError, OverflowError):
        pass
    if seen is None:
        raise WrongAnswerError(
            "contract", "observe must return numbers in nested lists of one length each"
        )
    if shape is None and (seen.ndim not in (1, 3) or not seen.size):
        raise WrongAnswerError(
            "contract",
            f"observe has shape {list(seen.shape)}, but must have [features] or "
            "[height, width, planes]",
        )
    if shape is not None and seen.shape != shape:
        raise WrongAnswerError(
            "contract",
            f"observe has shape {list(seen.shape)}, but had {list(shape)} in the first position",
        )
    if not np.isfinite(seen).all():
        place = np.unravel_index(int(np.argmin(np.isfinite(seen))), seen.shape)
        where = ", ".join(map(str, map(int, place)))
        raise WrongAnswerError(
            "finite", f"observe is {seen[place]} at [{where}], but must be finite"
        )
    return seen


def auxiliary(told: Any) -> dict[str, npt.NDArray[np.float32]]:
    """Returns auxiliary targets, by name.

    Raises:
        WrongAnswerError: they are no numbers, or not finite.
    """
    try:
        targets = {str(name): np.array(told[name], np.float32) for name in told}
    except (TypeError, ValueError, KeyError, IndexError):
        raise WrongAnswerError(
            "auxiliary", "auxiliary_targets must return numbers or nested lists of them, by name"
        ) from None
    for name, target in targets.items():
        if not np.isfinite(target).all():
            raise WrongAnswerError(
                "auxiliary",
                f"auxiliary_targets: {name!r} is {shortened(target.tolist())}, but must be finite",
            )
    return targets


def shortened(told: object) -> str:
    """Returns a return value as text, on one line."""
    try:
        text = " ".join(repr(told).split())
    except Exception:
        text = f"a {type(told).__name__}"
    return text if len(text) <= _SHOWN else f"{text[: _SHOWN - 3]}..."
