"""The replay window: the newest positions in host memory, from which batches are sampled."""

from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import numpy.typing as npt

from selfplay.errors import RecordError
from selfplay.game import Game
from selfplay.records import MatchRecord
from selfplay.records.match import RESIGNED
from selfplay.replay.averages import average_targets
from selfplay.replay.balance import balancing_weights, groups
from selfplay.replay.equal_positions import EqualPositions
from selfplay.replay.policies import padded_policies
from selfplay.replay.rebuild import Rebuilder
from selfplay.replay.samples import Samples
from selfplay.replay.search_values import (
    outcome_known,
    outcomes,
    search_values,
    short_term_values,
)
from selfplay.replay.weights import WeightedDraws, surprise_weights
from selfplay.settings.sections.learner import SHORT_TERM_HORIZONS
from selfplay.settings.sections.replay import ReplayConfig

_MOST_ACTIONS = 128


class ReplayWindow:
    """A ring buffer of positions. Its content depends only on what was taken in, in which order."""

    def __init__(self, game: Game[Any], config: ReplayConfig, fingerprint: str = "") -> None:
        """Allocates memory for `config.max_window` positions.

        Args:
            game: the rules.
            config: settings of the window.
            fingerprint: of the rules, which every match must have; "" accepts any.
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
        self._is_target = np.zeros(ring, np.bool_)
        self._has_next = np.zeros(ring, np.bool_)
        self._outcomes = np.zeros(ring, np.float32)
        self._outcome_known = np.zeros(ring, np.bool_)
        self._search_values = np.zeros(ring, np.float32)
        self._short_term_values = np.zeros((ring, len(SHORT_TERM_HORIZONS)), np.float32)
        self._progress = np.zeros(ring, np.float32)
        self._checkpoints = np.zeros(ring, np.int64)
        self._match_numbers = np.zeros(ring, np.int64)
        self._weights = np.ones(ring, np.float32) if config.surprise_share else None
        self._groups = np.zeros(ring, np.int8) if config.balanced else None
        self._equal = EqualPositions(ring) if config.average_positions > 1 else None
        self._draws: tuple[tuple[int, int], WeightedDraws] | None = None
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
        if self.size == 0:
            return 0.0
        return float(update - self._checkpoints[self._slots(np.arange(self.size))].mean())

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
            _check_ends(matches)
        positions = self._rebuild(matches)
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
        last = np.zeros(total, np.bool_)
        last[lengths.cumsum() - 1] = True
        is_target = np.concatenate([match.is_target for match in matches])
        actions, probabilities = padded_policies(matches, self._width)
        put(self._policy_actions, actions)
        put(self._policy_probabilities, probabilities)
        put(self._is_target, is_target)
        put(self._has_next, ~last & np.roll(is_target, -1))
        put(self._outcomes, np.concatenate([outcomes(match) for match in matches]))
        put(
            self._outcome_known,
            np.concatenate([outcome_known(match) | match.proven for match in matches]),
        )
        put(
            self._search_values,
            np.concatenate([search_values(match, self.config.value_lambda) for match in matches]),
        )
        put(self._short_term_values, np.concatenate([short_term_values(one) for one in matches]))
        put(self._progress, np.concatenate([np.linspace(0, 1, one.plies) for one in matches]))
        put(self._checkpoints, np.array([m.first_checkpoint for m in matches])[match_of])
        put(self._match_numbers, self.matches_made + match_of)
        if self._weights is not None:
            share = self.config.surprise_share
            put(self._weights, np.concatenate([surprise_weights(one, share) for one in matches]))
        if self._groups is not None:
            by = self.config.balanced
            put(self._groups, np.concatenate([groups(one, by) for one in matches]))
        if self._equal is not None:
            numbers = self.positions_made + kept
            self._equal.add(numbers, jax.tree.map(lambda leaf: leaf[kept], positions.states))
        self.positions_made += total
        self.matches_made += len(matches)
        return total

    def check(self, matches: Sequence[MatchRecord]) -> None:
        """Raises `RecordError` unless `matches` could be taken in; takes in none."""
        matches = [match for match in matches if match.plies > 0]
        if matches:
            if self._final_states is not None:
                _check_ends(matches)
            self._rebuild(matches)

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
        generator = np.random.Generator(np.random.Philox(key=[seed, update]))
        if evenly or (self._weights is None and self._groups is None):
            ages = generator.integers(0, self.size, batch_size)
        else:
            ages = self._weighted().draw(generator, batch_size)
        own = self._at(self._slots(ages))
        return own if self._equal is None else self._averaged(own, ages, self._equal)

    def _weighted(self) -> WeightedDraws:
        """Returns what draws the ages of positions by their weights; kept while none is added."""
        state = (self.positions_made, self.size)
        if self._draws is None or self._draws[0] != state:
            slots = self._slots(np.arange(state[1]))
            weights = None if self._weights is None else self._weights[slots]
            if self._groups is not None:
                weights = balancing_weights(self._groups[slots], weights)
            if weights is None:
                raise AssertionError("there is nothing to weigh positions by")
            self._draws = (state, WeightedDraws(weights))
        return self._draws[1]

    def _averaged(self, own: Samples, ages: npt.NDArray[Any], equal: EqualPositions) -> Samples:
        """Returns samples whose targets are means over equal positions of the window."""
        found = equal.newest(
            self.positions_made - 1 - ages,
            oldest=self.positions_made - self.size,
            most=self.config.average_positions,
        )
        copies = (
            (rows, self._at(numbers[rows] % self.config.max_window))
            for numbers in found
            for rows in [np.flatnonzero(numbers >= 0)]
        )
        return average_targets(own, copies, self._num_actions)

    def newest(self, count: int) -> Samples:
        """Returns the newest `count` positions, at most `max_window`, the oldest of them first."""
        return self._at(self._slots(np.arange(count)[::-1]))

    def _at(self, slots: npt.NDArray[Any]) -> Samples:
        """Returns the positions at these indices of the ring."""
        following = (slots + 1) % self.config.max_window
        is_target = self._is_target[slots]
        weight = np.float32(len(slots) / max(1, is_target.sum()))
        return Samples(
            states=jax.tree.map(lambda ring: ring[slots], self._states),
            final_states=jax.tree.map(lambda ring: ring[slots], self._final_states),
            policy_actions=self._policy_actions[slots],
            policy_probabilities=self._policy_probabilities[slots],
            policy_weights=weight * is_target,
            next_actions=self._policy_actions[following],
            next_probabilities=self._policy_probabilities[following],
            next_weights=weight * self._has_next[slots],
            outcomes=self._outcomes[slots],
            draws=1 - np.abs(self._outcomes[slots]),
            outcome_weights=self._outcome_known[slots].astype(np.float32),
            search_values=self._search_values[slots],
            short_term_values=self._short_term_values[slots],
            progress=self._progress[slots],
        )

    def _slots(self, ages: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Returns ring indices; age 0 is the newest position."""
        return (self.positions_made - 1 - ages) % self.config.max_window


def _check_ends(matches: Sequence[MatchRecord]) -> None:
    """Raises `RecordError` if a match has no final state, which auxiliary targets are made from."""
    for match in matches:
        if match.ending == RESIGNED:
            raise RecordError(
                f"match {match.match_id} was resigned, but {match.game} has auxiliary targets",
                hint="they are made from the final position, so play such matches to the end",
            )
