"""Records what moves do: which were ever legal, and which only passed the turn to the other player.

A move may leave the board as it was: a pass, or pushing along a row that is full of the mover's own
pieces. It is a mistake if the rules ignore the move. That is concluded if in all other positions
the same move puts something new into a field that it leaves unchanged here, if more than one move
in seven changes nothing, or if two passes with the same effect are legal together.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from selfplay.check.play.sequence import MoveSequence

_ENOUGH = 3
_ENOUGH_OF_ALL = 16
_MOST_MASKS = 4096
_OFTEN = 0.15


@dataclasses.dataclass
class _Effect:
    """What a move did each time that it did anything.

    Attributes:
        times: how often.
        renews: [fields] whether other contents stood in the field after it, each time.
        touches: [fields] whether the field was another after it, at least once.
    """

    times: int
    renews: np.ndarray
    touches: np.ndarray

    def add(self, changed: np.ndarray) -> None:
        """Counts one more time."""
        self.times += 1
        self.renews = self.renews & (changed == 2)
        self.touches = self.touches | (changed > 0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Ignored:
    """A legal move that the rules ignore.

    Attributes:
        action: the move.
        line: the moves that show it; it is the last one.
        other: another move that comes to the same in the same position; None if this one does
            something everywhere else.
    """

    action: int
    line: MoveSequence
    other: int | None = None


class MoveEffects:
    """Counts what moves do.

    Attributes:
        legal: [actions] whether the action was legal in any position.
    """

    def __init__(self, num_actions: int) -> None:
        self.legal = np.zeros(num_actions, bool)
        self._illegal = np.zeros(num_actions, bool)
        self._effects: dict[int, _Effect] = {}
        self._quiet: dict[int, list[tuple[MoveSequence, np.ndarray]]] = {}
        self._masks: dict[bytes, MoveSequence] = {}

    def add(
        self,
        probe: Any,
        actions: Sequence[int],
        before: Sequence[MoveSequence],
        after: Sequence[MoveSequence],
    ) -> None:
        """Counts the moves of a batch.

        Args:
            probe: host copy of `probe.Probe`; it may have more rows than there are moves.
            actions: what was played.
            before: the moves before each.
            after: the same with the move.
        """
        for row, action in enumerate(actions):
            if not probe.before.over[row]:
                mask = np.asarray(probe.before.mask[row])
                self.legal |= mask
                self._illegal |= ~mask
                if len(self._masks) < _MOST_MASKS:
                    self._masks.setdefault(np.packbits(mask).tobytes(), before[row])
            if not probe.played[row]:
                continue
            if probe.outcome[row] >= 0:
                continue  # what a roll of the dice left as it was is no pass
            changed = np.asarray(probe.changed[row])
            if probe.quiet[row]:
                self._quiet.setdefault(action, []).append((after[row], changed))
            elif probe.after.over[row] or probe.unchanged[row]:
                continue
            elif action in self._effects:
                self._effects[action].add(changed)
            else:
                self._effects[action] = _Effect(1, changed == 2, changed > 0)

    @property
    def always_legal(self) -> np.ndarray:
        """[actions] whether the action was legal in all positions, while others were not."""
        return ~self._illegal if self._illegal.any() else np.zeros_like(self.legal)

    def ignored(self) -> list[Ignored]:
        """Returns moves that the rules ignore, those with the fewest moves before them first."""
        found = []
        everything = self._of_all()
        often = self._often_quiet(everything)
        for action, examples in self._quiet.items():
            effect = self._effects.get(action)
            if effect is None:
                continue
            if effect.times < _ENOUGH:
                effect = everything
            if effect.times < _ENOUGH:
                continue
            lines = [
                line
                for line, changed in examples
                if often or (effect.renews & (changed == 0)).any()
            ]
            if lines:
                shortest = min(lines, key=lambda line: len(line.actions))
                found.append(Ignored(action=action, line=shortest))
        found += self._passes(everything)
        return sorted(found, key=lambda one: len(one.line.actions))

    def _often_quiet(self, everything: _Effect) -> bool:
        """Returns whether moves that are no passes are ignored too often for chance."""
        if everything.times < _ENOUGH_OF_ALL:
            return False
        # A token that walks one field is no counter: something else must have stayed as it was.
        # The last entry is the observation.
        quiet = sum(
            bool((everything.touches & (changed == 0))[:-1].any())
            for action, examples in self._quiet.items()
            if action in self._effects
            for _, changed in examples
        )
        return quiet > _OFTEN * (quiet + everything.times)

    def _passes(self, everything: _Effect) -> list[Ignored]:
        """Returns two moves that never do anything and are legal in the same position, if any."""
        passes = [action for action in self._quiet if action not in self._effects]
        if len(passes) < 2 or everything.times < _ENOUGH_OF_ALL:
            return []
        size = len(self.legal)
        for packed, line in sorted(self._masks.items(), key=lambda pair: len(pair[1].actions)):
            mask = np.unpackbits(np.frombuffer(packed, np.uint8), count=size).astype(bool)
            legal = [action for action in passes if mask[action]]
            if len(legal) > 1:
                return [Ignored(action=legal[1], line=line.then(legal[1], -1), other=legal[0])]
        return []

    def _of_all(self) -> _Effect:
        effects = list(self._effects.values())
        if not effects:
            return _Effect(0, np.zeros(0, bool), np.zeros(0, bool))
        return _Effect(
            sum(effect.times for effect in effects),
            np.logical_and.reduce([effect.renews for effect in effects]),
            np.logical_or.reduce([effect.touches for effect in effects]),
        )
