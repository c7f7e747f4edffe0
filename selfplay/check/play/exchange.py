"""Finds changes of a state that hand the turn to the other player, and how far each is trusted.

The twin of a match (`selfplay.check.play.ply`) starts from the first position with the other
player to move. The rules may never reach such a state: where the mover follows from a count of
plies, a state with the other mover contradicts itself, and what follows from it says nothing of the
game. So a change is used only if the rules carry it on: in positions of random matches it must turn
who is to move, there and after the next move.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.check.play.arrays import LARGEST_SLOT_ARRAY
from selfplay.game import (
    ChanceGame,
    Game,
    Position,
    Symmetry,
    advance,
    outcome_probabilities,
    pick_outcome,
)

_MOST_BITS = 32
_LONGEST_SHIFT = 4
_MOST_PAIRS = 64
_MOST_EXCHANGES = 8
_OFTEN_GROWN = 1 / 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Slot:
    """One number of the state, in a field of at most eight.

    Attributes:
        leaf: index of the field among the leaves of the state.
        element: index in the flattened field.
        name: as a person writes it, such as "state.player".
    """

    leaf: int
    element: int
    name: str

    def of(self, states: Any) -> np.ndarray:
        """Returns the numbers of a batch of states on the host."""
        leaf = np.asarray(jax.tree.leaves(states)[self.leaf])
        return leaf.reshape(len(leaf), -1)[:, self.element]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """What is done to one number of the state.

    Attributes:
        slot: the number.
        text: what is done, for people.
        function: from the numbers of a batch to those after the change; of NumPy or of JAX.
        bits: which bits of an integer it turns; 0 if it does something else.
        is_mover: whether the number, or the bit, says who is to move and nothing else, in every
            position that was looked at.
    """

    slot: Slot
    text: str
    function: Callable[[Any], Any]
    bits: int
    is_mover: bool

    def apply(self, states: Any) -> Any:
        """Returns a batch of states after the change."""
        leaves, structure = jax.tree.flatten(states)
        leaf = np.array(leaves[self.slot.leaf])
        flat = leaf.reshape(len(leaf), -1)
        flat[:, self.slot.element] = self.function(flat[:, self.slot.element])
        leaves[self.slot.leaf] = flat.reshape(leaf.shape)
        return jax.tree.unflatten(structure, leaves)

    def traced(self, state: Any) -> Any:
        """Returns one state after the change, in compiled code."""
        leaves, structure = jax.tree.flatten(state)
        leaf = leaves[self.slot.leaf]
        flat = leaf.reshape(-1)
        flat = flat.at[self.slot.element].set(self.function(flat[self.slot.element]))
        leaves[self.slot.leaf] = flat.reshape(leaf.shape)
        return jax.tree.unflatten(structure, leaves)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Exchange:
    """A change of the state that turns who is to move, and which the rules carry on.

    Attributes:
        changes: what is done, one number after the other.
        mover_alone: whether only numbers change that say who is to move. Then the twin is the same
            match with the other player to begin, and whatever the rules do otherwise is a fault.
            Else the twin is trusted only where the rules go on alike to the end of every match.
        symmetry: what then maps the state; None if nothing does. Where the players begin in
            opposite corners, only a board that is rotated too looks the same to both.
    """

    changes: tuple[Change, ...]
    mover_alone: bool
    symmetry: Symmetry[Any] | None = None

    @property
    def name(self) -> str:
        """Returns what is changed, such as "state.player changed"."""
        changed = " and ".join(change.text for change in self.changes)
        if self.symmetry is None:
            return changed
        return f"{changed}, then {self.symmetry.name!r}" if changed else f"{self.symmetry.name!r}"

    def apply(self, states: Any) -> Any:
        """Returns a batch of states on the host handed to the other player."""
        for change in self.changes:
            states = change.apply(states)
        if self.symmetry is not None:
            states = jax.device_get(jax.vmap(self.symmetry.map_state)(states))
        return states

    def traced(self, state: Any) -> Any:
        """Returns one state handed to the other player, in compiled code."""
        for change in self.changes:
            state = change.traced(state)
        return state if self.symmetry is None else self.symmetry.map_state(state)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Turn:
    """What is known of how a state says who is to move.

    Attributes:
        exchanges: how to hand a state to the other player, the most natural one first.
        movers: numbers of the state that only say who is to move, as leaf, element and bits (0 for
            all of the number).
        counters: numbers of the state that count something: they only ever grow by one or begin at
            0 again, as leaf and element.
        seats: [observation] True where a number of it is the same whenever the same player is to
            move, but not the same for both.
        why_none: why there is no exchange; empty if there is one.
    """

    exchanges: tuple[Exchange, ...] = ()
    movers: tuple[tuple[int, int, int], ...] = ()
    counters: tuple[tuple[int, int], ...] = ()
    seats: np.ndarray | bool = False
    why_none: str = ""

    @property
    def hand_over(self) -> Callable[[Any], Any] | None:
        """Returns how the same position is handed to the other player in compiled code."""
        exchanges = [one for one in self.exchanges if one.mover_alone]
        return exchanges[0].traced if exchanges else None


def find_turn(game: Game[Any], states: Sequence[Any]) -> Turn:
    """Returns how to hand a state to the other player, as far as random matches show it.

    Args:
        game: the rules.
        states: states of random matches that are not over, as host arrays.
    """
    if not states:
        return Turn(why_none="no position could be looked at")
    look = _Look(game, states)
    turning, others = look.changes()
    movers = tuple(
        (change.slot.leaf, change.slot.element, change.bits)
        for change in turning
        if change.is_mover
    )
    ranked: list[tuple[int, Exchange]] = []
    sure, doubtful = [], []
    for change in turning:
        carried = look.carried((change,))
        exchange = Exchange(changes=(change,), mover_alone=change.is_mover)
        if carried == 1:
            sure.append(exchange)
        elif change.is_mover and (carried >= 0.5 or look.one_moves_next):
            # The rules carry it on but for a move here and there: that may be the fault itself.
            doubtful.append(exchange)
    pairs = itertools.chain(itertools.combinations(turning, 2), itertools.product(turning, others))
    for first, second in itertools.islice(pairs, _MOST_PAIRS):
        if first.slot == second.slot:
            continue
        if look.carried((first, second)) == 1:
            both = first.is_mover and second.is_mover
            sure.append(Exchange(changes=(first, second), mover_alone=both))
    ranked = [(not one.mover_alone, one) for one in (*sure, *doubtful)]
    ranked.sort(key=lambda pair: (pair[0], len(pair[1].changes)))
    exchanges = tuple(one for _, one in ranked[:_MOST_EXCHANGES])
    why = ""
    if not exchanges:
        why = (
            "who is to move next follows from something else than "
            + " or ".join(sorted({change.slot.name for change in turning}))
            if turning
            else "no number of the state hands the turn to the other player"
        )
    return Turn(
        exchanges=exchanges,
        movers=movers,
        counters=look.counters(),
        seats=look.seats(),
        why_none=why,
    )


class _Look:
    """Positions of random matches, and what the rules say of them after a change."""

    def __init__(self, game: Game[Any], states: Sequence[Any]) -> None:
        self._states = jax.tree.map(lambda *leaves: np.stack(leaves), *states)
        self._player = jax.jit(jax.vmap(game.current_player))
        self._observations = np.asarray(jax.jit(jax.vmap(game.observe))(self._states))
        masks = jax.jit(jax.vmap(game.legal_action_mask))(self._states)
        # Not always the first legal action: in many games that is a move of one kind.
        draw = np.random.default_rng(0).random(masks.shape)
        self._actions = np.argmax(np.where(masks, draw, -1), axis=1).astype(np.int32)
        self._movers = np.asarray(self._player(self._states))

        def follow(state: Any, action: Any) -> Any:
            position: Position[Any] = Position(state=state, ply=jnp.int32(0))
            outcome = jnp.int32(0)
            if isinstance(game, ChanceGame):
                outcome = pick_outcome(
                    outcome_probabilities(game, position, action), jnp.float32(0.5)
                )
            after = advance(game, position, action, jnp.maximum(outcome, 0)).position.state
            return after, game.current_player(after), game.is_terminal(after)

        self._follow = jax.jit(jax.vmap(follow))
        after, next_movers, over = jax.device_get(self._follow(self._states, self._actions))
        self._after, self._next_movers, self._goes_on = after, next_movers, ~over
        self.one_moves_next = len(set(next_movers[~over].tolist())) < 2

    def seats(self) -> np.ndarray | bool:
        """Returns which numbers of the observation only tell the players apart."""
        views = [self._observations[self._movers == player] for player in range(2)]
        if not all(len(rows) for rows in views):
            return False
        constant = [(rows == rows[0]).all(axis=0) for rows in views]
        return np.asarray(constant[0] & constant[1] & (views[0][0] != views[1][0]))

    def counters(self) -> tuple[tuple[int, int], ...]:
        """Returns which numbers only ever grow by one or begin at 0 again.

        A bit mask grows by one when its lowest bit is set, but never from an odd number. What only
        grows from even numbers counts if it grows often, as a ply modulo 2 does.
        """
        found = []
        for slot in self._slots():
            before, after = slot.of(self._states).astype(np.int64), slot.of(self._after)
            grows = after == before + 1
            counts = (before[grows] % 2 == 1).any() or grows.mean() >= _OFTEN_GROWN
            if counts and (grows | (after == before) | (after == 0)).all():
                found.append((slot.leaf, slot.element))
        return tuple(found)

    def changes(self) -> tuple[list[Change], list[Change]]:
        """Returns the changes of one number that turn who is to move, and those that do not."""
        turning: list[Change] = []
        others: list[Change] = []
        for slot in self._slots():
            kept = len(turning)
            for change in self._tries(slot):
                movers = np.asarray(self._player(change.apply(self._states)))
                if not (movers == 1 - self._movers).all():
                    if change.bits == 0:
                        others.append(change)
                elif not any(_alike(change, one, self._states) for one in turning[kept:]):
                    turning.append(change)
        return turning, others

    def carried(self, changes: Sequence[Change]) -> float:
        """Returns in which share of the positions the other player is to move next, too."""
        states = self._states
        for change in changes:
            states = change.apply(states)
        if not (np.asarray(self._player(states)) == 1 - self._movers).all():
            return 0.0
        after, movers, _ = jax.device_get(self._follow(states, self._actions))
        if all(
            np.array_equal(one, other)
            for one, other in zip(jax.tree.leaves(after), jax.tree.leaves(self._after), strict=True)
        ):
            return 0.0  # it only repeats what stands elsewhere in the state
        if not self._goes_on.any():
            return 1.0
        return float(np.mean(movers[self._goes_on] == 1 - self._next_movers[self._goes_on]))

    def _slots(self) -> Iterator[Slot]:
        for index, (path, leaf) in enumerate(jax.tree_util.tree_leaves_with_path(self._states)):
            size = int(np.prod(leaf.shape[1:], dtype=np.int64))
            if size > LARGEST_SLOT_ARRAY or leaf.dtype.kind not in "iub":
                continue
            for element in range(size):
                place = f"[{element}]" if leaf.ndim > 1 else ""
                name = f"state{jax.tree_util.keystr(path)}{place}"
                yield Slot(leaf=index, element=element, name=name)

    def _tries(self, slot: Slot) -> Iterator[Change]:
        """Yields what may turn the mover, the most natural change first."""
        before, after = slot.of(self._states), slot.of(self._after)
        values = {int(value) for value in (*before, *after)}
        name, kind = slot.name, before.dtype

        def change(
            text: str,
            function: Callable[[Any], Any],
            said: np.ndarray | None,
            bits: int = 0,
        ) -> Change:
            is_mover = False
            if said is not None:
                pairs = set(zip(said.tolist(), self._movers.tolist(), strict=True))
                is_mover = len(pairs) == len({n for n, _ in pairs}) == len({m for _, m in pairs})
            return Change(slot=slot, text=text, function=function, bits=bits, is_mover=is_mover)

        if values <= {0, 1}:
            yield change(f"{name} changed", lambda old: (old == 0).astype(kind), before)
            return
        if values <= {-1, 1}:
            yield change(f"{name} changed", lambda old: -old, before)
            return
        if values <= {1, 2}:
            yield change(f"{name} changed", lambda old: (3 - old).astype(kind), before)
            return
        if (after.astype(np.int64) - before == 1).all():
            for more in range(1, _LONGEST_SHIFT + 1):
                yield change(f"{name} {more} higher", functools.partial(_shifted, more), None)
            return
        for bit in range(min(_MOST_BITS, 8 * kind.itemsize)):
            power = np.int64(1 << bit).astype(kind)
            yield change(
                f"bit {bit} of {name} changed",
                functools.partial(_turned_bit, power),
                (before & power) != 0,
                1 << bit,
            )


def _shifted(more: int, old: Any) -> Any:
    return (old + more).astype(old.dtype)


def _turned_bit(power: Any, old: Any) -> Any:
    return old ^ power


def _alike(one: Change, other: Change, states: Any) -> bool:
    return np.array_equal(one.slot.of(one.apply(states)), other.slot.of(other.apply(states)))
