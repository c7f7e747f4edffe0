"""The replay window: the newest positions in host memory, from which batches are sampled."""

import itertools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from selfplay.errors import RecordError
from selfplay.game import Game
from selfplay.records import MatchRecord
from selfplay.replay.averages import average_targets
from selfplay.replay.balance import balancing_weights, groups
from selfplay.replay.columns import columns, empty_columns
from selfplay.replay.equal_positions import EqualPositions
from selfplay.replay.policies import padded_policies
from selfplay.replay.rebuild import Rebuilder
from selfplay.replay.record_checks import check_ends
from selfplay.replay.renewal import HeldTargets, Place, renewed
from selfplay.replay.samples import Samples
from selfplay.replay.side_positions import SideRing
from selfplay.replay.weights import WeightSums
from selfplay.settings.sections.replay import ReplayConfig

_MOST_ACTIONS = 128


class ReplayWindow:
    """A ring buffer of positions. Its content depends only on what was taken in, in which order."""

    def __init__(
        self,
        game: Game[Any],
        config: ReplayConfig,
        fingerprint: str = "",
        *,
        side_positions: bool = False,
    ) -> None:
        """Allocates memory for `config.max_window` positions.

        Args:
            game: the rules.
            config: settings of the window.
            fingerprint: of the rules, which every match must have; "" accepts any.
            side_positions: whether to learn from side positions, too, where records have some.
        """
        self.config = config
        self._rebuild = Rebuilder(game, fingerprint)
        state = jax.eval_shape(game.init, jax.random.key(0))
        has_targets = bool(jax.eval_shape(game.auxiliary_targets, state, state))
        self._num_actions = game.num_actions
        self._width = min(game.num_actions, _MOST_ACTIONS)
        ring = config.max_window

        def empty(leaf: Any) -> npt.NDArray[Any]:
            return np.zeros((ring, *leaf.shape), leaf.dtype)

        self._states = jax.tree.map(empty, state)
        self._final_states = jax.tree.map(empty, state) if has_targets else None
        self._policy_actions = np.zeros((ring, self._width), np.int32)
        self._policy_probabilities = np.zeros((ring, self._width), np.float32)
        self._columns = empty_columns(ring, config)
        self._progress = np.zeros(ring, np.float32)
        self._checkpoints = np.zeros(ring, np.int64)
        self._match_numbers = np.zeros(ring, np.int64)
        self._groups = np.zeros(ring, np.int8) if config.balanced else None
        self._places: dict[str, Place] = {}
        self._equal = EqualPositions(ring) if config.average_positions > 1 else None
        self._sides = SideRing(game, ring, self._width) if side_positions else None
        self._weight_sums: WeightSums | None = None
        self._balanced_for: tuple[int, int] | None = None
        self._oldest = 0
        self.positions_made = 0
        self.matches_made = 0

    def begin_at(self, positions_made: int, matches_made: int) -> None:
        """Continues the counts of an earlier session, whose last positions are taken in next."""
        self._oldest = self.positions_made = positions_made
        self.matches_made = matches_made

    @property
    def size(self) -> int:
        """Number of the newest positions that may be sampled now."""
        window = self.config.window(self.positions_made)
        held = min(self.positions_made - self._oldest, window)
        if self.config.max_matches and self.matches_made > self.config.max_matches:
            newest = np.arange(self.positions_made - held, self.positions_made)
            numbers = self._match_numbers[newest % self.config.max_window]
            held = int((numbers >= self.matches_made - self.config.max_matches).sum())
        return held

    @property
    def ready(self) -> bool:
        """Whether there are enough positions to train on."""
        return self.positions_made >= self.config.first_positions

    def mean_age(self, update: int) -> float:
        """Returns the mean age of the window's positions, in updates."""
        size = self.size
        if size == 0:
            return 0.0
        made_by = sum(int(part.sum()) for part in self._parts(self._checkpoints, size))
        return update - made_by / size

    def ingest(self, matches: Sequence[MatchRecord]) -> int:
        """Takes in finished matches in place of the oldest positions.

        Returns:
            The number of positions taken in.

        Raises:
            RecordError: a match does not follow the rules; none of `matches` is taken in.
        """
        matches = [match for match in matches if match.plies > 0]
        if not matches:
            return 0
        if self._final_states is not None:
            check_ends(matches)
        positions = self._rebuild(matches)
        sides = None if self._sides is None else self._sides.rebuild(matches, positions)
        total = sum(match.plies for match in matches)
        lengths = np.array([match.plies for match in matches])
        match_of = np.repeat(np.arange(len(matches)), lengths)
        # A group larger than the ring keeps its newest positions.
        first = max(0, total - self.config.max_window)
        kept = np.arange(first, total)
        slots = (self.positions_made + kept) % self.config.max_window

        def put(ring: npt.NDArray[Any], values: npt.NDArray[Any]) -> None:
            ring[slots] = values[kept]

        jax.tree.map(put, self._states, positions.states)
        if self._final_states is not None:
            jax.tree.map(
                lambda ring, leaf: put(ring, leaf[match_of]),
                self._final_states,
                positions.final_states,
            )
        actions, probabilities = padded_policies(matches, self._width)
        put(self._policy_actions, actions)
        put(self._policy_probabilities, probabilities)
        self._put_columns(slots, kept, matches)
        if self._sides is not None and sides is not None:
            self._sides.put(slots, kept, matches, sides)
        if self._weight_sums is not None and self._groups is None:
            self._weight_sums.add(self._columns["weights"][slots])
        put(self._progress, np.concatenate([np.linspace(0, 1, one.plies) for one in matches]))
        put(self._checkpoints, np.array([m.first_checkpoint for m in matches])[match_of])
        put(self._match_numbers, self.matches_made + match_of)
        if self._groups is not None:
            by = self.config.balanced
            put(self._groups, np.concatenate([groups(one, by) for one in matches]))
        if self._equal is not None:
            numbers = self.positions_made + kept
            self._equal.add(numbers, jax.tree.map(lambda leaf: leaf[kept], positions.states))
        for match, end in zip(matches, lengths.cumsum().tolist(), strict=True):
            number = self.positions_made + end - match.plies
            # The places are in order of their numbers, even if a match comes twice.
            self._places.pop(match.match_id, None)
            self._places[match.match_id] = Place(number, match.plies)
        self.positions_made += total
        self.matches_made += len(matches)
        self._forget_places()
        return total

    def renew(self, matches: Sequence[MatchRecord]) -> list[str]:
        """Takes newer targets of positions that the window holds, wherever `matches` have some.

        A position keeps the target of the newest weights. The value targets of earlier plies of its
        match follow from the new root value. Matches that the window does not hold are left out.

        Args:
            matches: with the ids of matches that were taken in, and `reanalysis_checkpoints`.

        Returns:
            The ids of the matches that the window holds.

        Raises:
            RecordError: a match does not follow the rules, or is not the one that was taken in
                under its id; nothing is changed.
        """
        held = [match for match in matches if match.match_id in self._places]
        if not held:
            return []
        positions = self._rebuild(held)
        places = [self._places[match.match_id] for match in held]
        starts = np.cumsum([0, *(match.plies for match in held)])
        for match, place, start in zip(held, places, starts.tolist(), strict=False):
            rows = np.arange(start, start + match.plies)
            if match.plies != place.plies or not self._holds(place, positions.states, rows):
                raise RecordError(
                    f"match {match.match_id} is not the one that the run holds under that id",
                    hint="a file of matches that were searched again keeps the moves of each match",
                )
        actions, probabilities = padded_policies(held, self._width)
        for match, place, start in zip(held, places, starts.tolist(), strict=False):
            numbers = np.arange(place.first, place.first + place.plies)
            slots = numbers % self.config.max_window
            merged, newer = renewed(match, self._held_targets(numbers))
            at, plies = slots[newer], np.flatnonzero(newer)
            self._policy_actions[at] = actions[start + plies]
            self._policy_probabilities[at] = probabilities[start + plies]
            self._checkpoints[at] = match.reanalysis_checkpoints[newer]
            present = self._present(numbers)
            self._put_columns(slots[present], np.flatnonzero(present), [merged])
        self._weight_sums = self._balanced_for = None
        return [match.match_id for match in held]

    def _put_columns(
        self, slots: npt.NDArray[Any], kept: npt.NDArray[Any], matches: Sequence[MatchRecord]
    ) -> None:
        """Writes the columns of the positions `kept` of `matches` to these indices of the ring."""
        for name, values in columns(matches, self.config).items():
            self._columns[name][slots] = values[kept]

    def _present(self, numbers: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
        """Returns which positions are still in the ring."""
        oldest = max(self._oldest, self.positions_made - self.config.max_window)
        return np.asarray(numbers >= oldest)

    def _held_targets(self, numbers: npt.NDArray[Any]) -> HeldTargets:
        slots = numbers % self.config.max_window
        held = {name: ring[slots] for name, ring in self._columns.items()}
        return HeldTargets(
            present=self._present(numbers),
            checkpoints=self._checkpoints[slots],
            root_values=held["root_values"],
            proven=held["proven"],
            is_target=held["is_target"],
            surprises=held.get("surprises"),
        )

    def _holds(self, place: Place, states: Any, rows: npt.NDArray[Any]) -> bool:
        """Returns whether the states in `rows` are those that lie at a place, as far as it does."""
        numbers = np.arange(place.first, place.first + place.plies)
        present = self._present(numbers)
        slots = numbers[present] % self.config.max_window
        pairs = zip(jax.tree.leaves(self._states), jax.tree.leaves(states), strict=True)
        return all(_agree(ring[slots], leaf[rows[present]]) for ring, leaf in pairs)

    def _forget_places(self) -> None:
        """Forgets matches that have left the ring, the oldest first."""
        oldest = self.positions_made - self.config.max_window
        places = self._places.items()
        gone = itertools.takewhile(lambda held: held[1].first + held[1].plies <= oldest, places)
        for match_id in [match_id for match_id, _ in gone]:
            del self._places[match_id]

    def check(self, matches: Sequence[MatchRecord]) -> None:
        """Raises `RecordError` unless `matches` could be taken in; takes in none."""
        matches = [match for match in matches if match.plies > 0]
        if matches:
            if self._final_states is not None:
                check_ends(matches)
            positions = self._rebuild(matches)
            if self._sides is not None:
                self._sides.rebuild(matches, positions)

    def sample(self, batch_size: int, *, seed: int, update: int, evenly: bool = False) -> Samples:
        """Returns `batch_size` positions, drawn with replacement.

        The draw depends only on `seed`, `update` and the content of the window, so a resumed run
        draws what the uninterrupted one would have drawn.

        Args:
            batch_size: at least 1.
            seed: of the run.
            update: that the samples are for.
            evenly: whether all positions have the same chance, whatever `replay.surprise_share`
                and `replay.balanced` say.
        """
        ages = self._ages(batch_size, seed, update, evenly=evenly)
        slots = self._slots(ages)
        aside = None if evenly else self._aside(slots, seed, update)
        own = self._at(slots, aside=aside)
        return own if self._equal is None else self._averaged(own, ages, self._equal, aside)

    def batches(self, batch_size: int, *, seed: int, updates: Sequence[int]) -> Samples:
        """Returns what `sample` returns for each of `K` updates, leaves [K, B, ...].

        Args:
            batch_size: at least 1.
            seed: of the run.
            updates: that the samples are for, at least one.
        """
        if self._equal is None:
            each_slots = [self._slots(self._ages(batch_size, seed, one)) for one in updates]
            pairs = zip(each_slots, updates, strict=True)
            aside = [self._aside(slots, seed, update) for slots, update in pairs]
            drawn = self._at(
                np.concatenate(each_slots),
                batch_size,
                aside=None if self._sides is None else np.concatenate(aside),
            )
            shape = len(updates), batch_size
            found: Samples = jax.tree.map(lambda leaf: leaf.reshape(*shape, *leaf.shape[1:]), drawn)
        else:
            each = [self.sample(batch_size, seed=seed, update=update) for update in updates]
            found = jax.tree.map(lambda *leaves: np.stack(leaves), *each)
        return found

    def _aside(self, slots: npt.NDArray[Any], seed: int, update: int) -> Any:
        """Returns which of the positions drawn give way to their side positions; None if none."""
        return None if self._sides is None else self._sides.drawn(slots, seed=seed, update=update)

    def drawn(self, batch_size: int, *, seed: int, update: int) -> npt.NDArray[Any]:
        """Returns which positions `sample` draws: their numbers, 0 for the first of the run."""
        return self.positions_made - 1 - self._ages(batch_size, seed, update)

    def _ages(
        self, batch_size: int, seed: int, update: int, *, evenly: bool = False
    ) -> npt.NDArray[Any]:
        generator = np.random.Generator(np.random.Philox(key=[seed, update]))
        weighted = "weights" in self._columns or self._groups is not None
        if evenly or not weighted:
            return generator.integers(0, self.size, batch_size)
        size = self.size
        return self._weighted(size).draw(generator, batch_size, newest=size)

    def _weighted(self, size: int) -> WeightSums:
        """Returns what draws the ages of the newest `size` positions by their weights."""
        if self._groups is not None:
            # A new position changes the weights of its group.
            state = self.positions_made, size
            if self._weight_sums is None or self._balanced_for != state:
                own = self._columns.get("weights")
                weights = None if own is None else self._oldest_first(own, size)
                weights = balancing_weights(self._oldest_first(self._groups, size), weights)
                self._weight_sums, self._balanced_for = WeightSums(size), state
                self._weight_sums.add(weights)
        elif self._weight_sums is None:
            held = min(self.positions_made - self._oldest, self.config.max_window)
            self._weight_sums = WeightSums(self.config.max_window)
            self._weight_sums.add(self._oldest_first(self._columns["weights"], held))
        return self._weight_sums

    def _averaged(
        self,
        own: Samples,
        ages: npt.NDArray[Any],
        equal: EqualPositions,
        aside: npt.NDArray[np.bool_] | None,
    ) -> Samples:
        """Returns samples whose targets are means over equal positions of the window.

        Side positions, whose rows are `aside`, keep their own targets.
        """
        if aside is None:
            aside = np.zeros(len(ages), np.bool_)
        found = equal.newest(
            self.positions_made - 1 - ages,
            oldest=self.positions_made - self.size,
            most=self.config.average_positions,
        )
        copies = (
            (rows, self._at(numbers[rows] % self.config.max_window))
            for numbers in found
            for rows in [np.flatnonzero((numbers >= 0) & ~aside)]
        )
        alone = np.flatnonzero(aside)
        itself = [(alone, jax.tree.map(lambda leaf: leaf[alone], own))] if len(alone) else []
        return average_targets(own, itertools.chain(itself, copies), self._num_actions)

    def newest(self, count: int) -> Samples:
        """Returns the newest `count` positions, at most `max_window`, the oldest of them first."""
        return self._at(self._slots(np.arange(count)[::-1]))

    def _at(
        self,
        slots: npt.NDArray[Any],
        batch_size: int | None = None,
        *,
        aside: npt.NDArray[np.bool_] | None = None,
    ) -> Samples:
        """Returns the positions at these indices of the ring.

        Args:
            slots: the indices.
            batch_size: how many make a batch; all of them by default.
            aside: which of them give way to their side positions; None if none.
        """
        batch_size = batch_size or max(1, len(slots))
        following = (slots + 1) % self.config.max_window
        held = {name: ring[slots] for name, ring in self._columns.items()}
        rings = (self._states, self._policy_actions, self._policy_probabilities)
        states, actions, probabilities = jax.tree.map(lambda ring: ring[slots], rings)
        if self._sides is not None and aside is not None:
            self._sides.replace(states, actions, probabilities, held, slots=slots, aside=aside)
        is_target = held["is_target"]
        targets = is_target.reshape(-1, batch_size).sum(axis=1)
        weight = np.repeat(batch_size / np.maximum(1, targets), batch_size).astype(np.float32)
        return Samples(
            states=states,
            final_states=jax.tree.map(lambda ring: ring[slots], self._final_states),
            policy_actions=actions,
            policy_probabilities=probabilities,
            policy_weights=weight * is_target,
            next_actions=self._policy_actions[following],
            next_probabilities=self._policy_probabilities[following],
            next_weights=weight * held["has_next"],
            outcomes=held["outcomes"],
            draws=1 - np.abs(held["outcomes"]),
            outcome_weights=held["outcome_known"].astype(np.float32),
            search_values=held["search_values"],
            short_term_values=held["short_term_values"],
            progress=self._progress[slots],
        )

    def _oldest_first(self, ring: npt.NDArray[Any], count: int) -> npt.NDArray[Any]:
        """Returns the newest `count` entries of a ring, the oldest of them first."""
        return np.concatenate(self._parts(ring, count))

    def _parts(self, ring: npt.NDArray[Any], count: int) -> list[npt.NDArray[Any]]:
        """Returns the newest `count` entries of a ring as two parts of it, the older one first.

        Parts of an array are much faster than indices, because the window may hold millions.
        """
        end = self.positions_made % self.config.max_window
        return [ring[len(ring) - max(0, count - end) :], ring[max(0, end - count) : end]]

    def _slots(self, ages: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Returns ring indices; age 0 is the newest position."""
        return (self.positions_made - 1 - ages) % self.config.max_window


def _agree(left: npt.NDArray[Any], right: npt.NDArray[Any]) -> bool:
    """Returns whether two leaves of states are equal; numbers may differ by rounding."""
    if np.issubdtype(left.dtype, np.inexact):
        return bool(np.allclose(left, right, rtol=1e-4, atol=1e-5, equal_nan=True))
    return bool(np.array_equal(left, right))
