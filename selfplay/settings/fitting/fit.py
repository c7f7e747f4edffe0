"""The rules that choose settings; "How settings are chosen" in docs/fitting.md says why each."""

import dataclasses
import math
from typing import Any

from selfplay.settings.config import Config
from selfplay.settings.fitting.facts import GameFacts, MachineFacts
from selfplay.settings.presets import Shift
from selfplay.settings.sources import Overlay

TOWERS = ((2, 16), (3, 24), (4, 32), (5, 48), (6, 64), (8, 96), (10, 128))
"""Blocks and channels of residual networks, each about twice to three times as large as the one
before."""

PERCEPTRONS = ((2, 64), (3, 96), (3, 128), (3, 256), (4, 384), (4, 512))
"""Hidden layers and units, for observations of one axis."""

POSITIONS_PER_WEIGHT = 3.0
"""That the planned time must make for a residual network to be taken."""

POSITIONS_PER_PERCEPTRON_WEIGHT = 20.0
"""The same of perceptrons. A weight of theirs learns once from a position, and not in each cell."""

POSITIONS_PER_CHANCE_WEIGHT = 80.0
"""The same of perceptrons in games of chance, where a result says less of a position."""

UNPLANNED_MINUTES = 120.0
"""Assumed of a run without a planned end."""

FEWEST_POSITIONS = 20_000
"""With fewer expected, searches are halved to make more."""

_FEWEST_SIMULATIONS = 16
_CHANCE_PART = 8
_FAST_SIMULATIONS = 2
_OPENINGS = 30_000
_OPENING_SHARE = 1 / 3
_WINDOW_PARTS = 40
_FIRST_PARTS = 250
_MEMORY_SHARE = 1 / 8
_CPU_WINDOW = 2_000_000
_ACCELERATOR_WINDOW = 5_000_000
_SAMPLES_PER_DEVICE = 32
_BATCHES = (128, 1024)
_CPU_MATCHES = (8, 64)
_ACCELERATOR_MATCHES = (64, 1024)
_SURPRISE_SHARE = 0.5
_SHORT_TERM_WEIGHT = 0.3
_CHANCE_REPLAY_RATIO = 2.0
_NETWORK_KEYS = ("kind", "module", "block", "blocks", "channels")


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class Fit:
    """The chosen settings.

    Attributes:
        settings: by section and key; only what was not set otherwise.
        positions: expected in the planned time.
        name: what they are fitted to, in words.
        reasons: three lines, for people.
    """

    settings: Overlay
    positions: float
    name: str
    reasons: tuple[str, str, str]


def fit(game: GameFacts, machine: MachineFacts, asked: Overlay, shift: Shift | None = None) -> Fit:
    """Returns the settings that are left to choose.

    Args:
        game: the rules.
        machine: that trains.
        asked: the settings that a person, a file or a preset gives, the planned length among
            them; they are never chosen, and what is chosen fits them.
        shift: of the preset.

    Raises:
        ConfigError: a setting in `asked` is out of range.
    """
    return _Fitting(game, machine, asked, shift or Shift()).result()


class _Fitting:
    """The choice in progress: each method chooses some settings, by those chosen before."""

    def __init__(
        self, game: GameFacts, machine: MachineFacts, asked: Overlay, shift: Shift
    ) -> None:
        self.game = game
        self.machine = machine
        self.asked = asked
        self.shift = shift
        self.config = Config.from_dict(_with_both_windows(asked))
        self.chosen: Overlay = {}

    def result(self) -> Fit:
        """Returns what all rules choose."""
        self._choose_batch()
        self._choose_search()
        if self._is_chance and not self.game.is_board:
            self._set("trainer", replay_ratio=_CHANCE_REPLAY_RATIO)
        self._choose_network()
        self._save_simulations()
        positions = self.positions()
        self._choose_openings()
        self._choose_window(positions)
        self._choose_matches(positions)
        self._choose_times(positions)
        # Both are measured, see docs/methods.md. Dice decide results long after a position.
        self._set("replay", surprise_share=_SURPRISE_SHARE)
        if self._is_chance:
            self._set("learner", short_term_value_weight=_SHORT_TERM_WEIGHT)
        return Fit(
            settings=self.chosen,
            positions=positions,
            name=f"{self.game.name}, {self.machine} and {self._plan_words}",
            reasons=self._reasons(positions),
        )

    # The plan.

    @property
    def minutes(self) -> float:
        """Planned minutes, or those assumed; the number of updates may end the run before."""
        return self.config.trainer.minutes or UNPLANNED_MINUTES

    @property
    def _plan_words(self) -> str:
        trainer = self.config.trainer
        plan = []
        if trainer.minutes:
            plan.append(f"{trainer.minutes:g} minutes")
        if trainer.updates:
            plan.append(f"{trainer.updates:,} updates")
        return " or ".join(plan) or "no planned end"

    def positions(self, network: tuple[int, int] | None = None, *, time: float = 1.0) -> float:
        """Returns how many positions the planned time makes.

        Args:
            network: blocks and channels; by default those in force.
            time: factor on the planned time.
        """
        trainer, learner, search = self.config.trainer, self.config.learner, self.config.search
        rollout = self.config.rollout
        share = rollout.full_search_share
        rate = self.machine.positions_per_second(
            self.game,
            multiplications=self._weights(network) * self.game.cells,
            simulations=share * search.num_simulations + (1 - share) * rollout.fast_simulations,
            replay_ratio=trainer.replay_ratio,
        )
        by_time = 60 * self.minutes * time * rate
        if not trainer.updates:
            return by_time
        by_updates = trainer.updates * time * learner.batch_size / trainer.replay_ratio
        return min(by_time, by_updates) if trainer.minutes else by_updates

    # The rules.

    def _choose_batch(self) -> None:
        """An update takes the same time for few samples of a device as for some dozens."""
        if self._any_asked("learner", ("batch_size", "learning_rate", "micro_batches")):
            return
        low, high = _BATCHES
        batch = high
        if self.machine.is_cpu:
            batch = _clipped(_power_of_two(_SAMPLES_PER_DEVICE * self.machine.devices), low, high)
        rate = Config().learner.learning_rate * (batch / low) ** (1 / 3)
        self._set("learner", batch_size=batch, learning_rate=float(f"{rate:.2g}"))

    def _choose_search(self) -> None:
        """More moves to compare need more simulations, as their square root.

        With chance an outcome says little of a position, and many matches say more than good ones.
        """
        branching = self.game.legal_actions
        considered = _clipped(_power_of_two_above(math.sqrt(2 * branching)), 16, 64)
        simulations = 2 * considered * self.shift.simulations
        if self._is_chance and not (
            self._any_asked("search", ("num_simulations",))
            or self._any_asked("rollout", ("full_search_share", "fast_simulations"))
        ):
            self._set("evaluation", simulations=simulations)
            simulations //= _CHANCE_PART
            self._set("rollout", fast_simulations=_FAST_SIMULATIONS)
        self._set("search", num_simulations=simulations)
        most = self.config.evaluation.simulations or self.config.search.num_simulations
        self._set("search", max_considered_actions=max(2, min(considered, most or simulations)))

    def _choose_network(self) -> None:
        """The largest network for whose weights the planned time makes enough positions."""
        if self._any_asked("network", _NETWORK_KEYS):
            return
        ladder: tuple[tuple[int, int], ...] = TOWERS
        enough = POSITIONS_PER_WEIGHT
        if not self.game.is_board:
            ladder, enough = PERCEPTRONS, POSITIONS_PER_PERCEPTRON_WEIGHT
            if self._is_chance:
                enough = POSITIONS_PER_CHANCE_WEIGHT
        found = ladder[0]
        for network in ladder[1:]:
            expected = self.positions(network, time=self.shift.time)
            if expected < enough * self._weights(network):
                break
            found = network
        self._set("network", blocks=found[0], channels=found[1])

    def _save_simulations(self) -> None:
        """Where play is slow, smaller searches make enough matches to learn from."""
        while (
            self.positions() < FEWEST_POSITIONS
            and not self._any_asked("search", ("num_simulations",))
            and not self._any_asked("rollout", ("full_search_share", "fast_simulations"))
            and not self.config.trainer.updates
            and self.config.search.num_simulations > _FEWEST_SIMULATIONS
        ):
            simulations = self.config.search.num_simulations // 2
            considered = min(self.config.search.max_considered_actions, simulations)
            self._set("search", num_simulations=simulations, max_considered_actions=considered)

    def _choose_openings(self) -> None:
        """Enough random moves for tens of thousands of openings, and not too much of a match."""
        branching = max(1.1, self.game.legal_actions * self.game.outcomes)
        enough = math.ceil(math.log(_OPENINGS) / math.log(branching))
        most = max(1, int(_OPENING_SHARE * self.game.plies))
        self._set("rollout", random_opening_plies=_clipped(enough, 1, min(most, 12)))

    def _choose_window(self, positions: float) -> None:
        """A short run must not wait for many positions, nor a long one forget quickly."""
        learner = self.config.learner
        least = _rounded(_clipped(positions / _WINDOW_PARTS, 2_000, 250_000))
        largest = _CPU_WINDOW if self.machine.is_cpu else _ACCELERATOR_WINDOW
        most: float = _clipped(positions / 2, 100_000, largest)
        memory = self.machine.memory
        if memory is not None:
            row = self.game.state_bytes + 8 * min(self.game.num_actions, 128) + 64
            most = min(most, _MEMORY_SHARE * memory / row)
        most = _rounded(most)
        if "min_window" in self.asked.get("replay", {}):
            most = max(most, self.config.replay.min_window)
        elif "max_window" in self.asked.get("replay", {}):
            least = min(least, self.config.replay.max_window)
        else:
            most = max(most, 2_000)
            least = min(least, most)
        self._set("replay", min_window=least, max_window=most)
        first = _clipped(positions / _FIRST_PARTS, 4 * learner.batch_size, 4_000)
        self._set("replay", first_positions=_rounded(min(first, self.config.replay.max_window)))

    def _choose_matches(self, positions: float) -> None:
        """Only ended matches are learnt from: the first ones must end early in the run."""
        if not self.machine.plays:
            return
        low, high = _CPU_MATCHES if self.machine.is_cpu else _ACCELERATOR_MATCHES
        fitting = positions / 20 / (self.machine.devices * self.game.plies)
        if self.machine.is_cpu and self.machine.memory is not None:
            tree = (self.config.search.num_simulations + 1) * self.game.node_bytes
            room = _MEMORY_SHARE * self.machine.memory / (self.machine.devices * tree)
            fitting, low = min(fitting, room), min(low, max(1, int(room)))
        if fitting < high:
            count = _clipped(_power_of_two(fitting), low, high)
            self._set("rollout", matches_per_device=count)

    def _choose_times(self, positions: float) -> None:
        """The warm-up takes a twentieth of the plan at most, and so does the first checkpoint."""
        learner, trainer = self.config.learner, self.config.trainer
        updates = positions * trainer.replay_ratio / learner.batch_size
        self._set("learner", warmup_updates=_rounded(_clipped(updates / 20, 10, 100)))
        if trainer.minutes:
            seconds = float(_rounded(_clipped(60 * trainer.minutes / 20, 10, 60)))
            self._set("trainer", checkpoint_seconds=seconds)

    # Words.

    def _reasons(self, positions: float) -> tuple[str, str, str]:
        config, game = self.config, self.game
        network, search, rollout = config.network, config.search, config.rollout
        kind = "network" if game.is_board else "perceptron"
        size = network.module or f"{network.blocks}x{network.channels}"
        plan = self._plan_words
        if plan == "no planned end":
            plan = f"{UNPLANNED_MINUTES / 60:g} hours, as no end is planned"
        weights = self._weights(None)
        each = positions / max(weights, 1)
        cut = f", {100 * game.cut_share:.0f} % are cut at that length" if game.cut_share else ""
        return (
            f"{kind} {size}: {_count(positions)} positions expected in {plan} on {self.machine}, "
            f"{_count(each) if each >= 10 else f'{each:.2g}'} for each of about {_count(weights)} "
            "weights",
            f"search of {search.num_simulations} simulations for {game.legal_actions:.3g} legal "
            f"moves on average; openings of up to {rollout.random_opening_plies} random plies",
            f"window of {_count(config.replay.min_window)} positions and more, batches of "
            f"{config.learner.batch_size}; random matches have {game.plies:.3g} plies{cut}",
        )

    # Helpers.

    @property
    def _is_chance(self) -> bool:
        return self.game.outcomes > 1

    def _weights(self, network: tuple[int, int] | None) -> float:
        """Returns the weights of the trunk of a network, without its heads."""
        blocks, channels = network or (self.config.network.blocks, self.config.network.channels)
        if self.game.is_board and self.config.network.kind != "mlp":
            return 9 * channels * (2 * blocks * channels + self.game.observation_shape[-1])
        return channels * (blocks * channels + math.prod(self.game.observation_shape))

    def _any_asked(self, section: str, keys: tuple[str, ...]) -> bool:
        return bool(set(keys) & set(self.asked.get(section, {})))

    def _set(self, section: str, **values: Any) -> None:
        """Chooses those of the settings that were not asked for."""
        left = {
            key: value for key, value in values.items() if key not in self.asked.get(section, {})
        }
        if left:
            self.chosen.setdefault(section, {}).update(left)
            changed = dataclasses.replace(getattr(self.config, section), **left)
            self.config = dataclasses.replace(self.config, **{section: changed})


def _with_both_windows(asked: Overlay) -> Overlay:
    """Returns `asked` with both sizes of the window, if one of them rules out the usual other."""
    usual, replay = Config().replay, asked.get("replay", {})
    sizes = {
        "min_window": min(usual.min_window, replay.get("max_window", usual.min_window)),
        "max_window": max(usual.max_window, replay.get("min_window", usual.max_window)),
    }
    return {**asked, "replay": {**sizes, **replay}}


def _clipped(number: float, low: int, high: int) -> int:
    return int(min(max(number, low), high))


def _power_of_two(number: float) -> int:
    """Returns the largest power of two that is not above `number`, at least 1."""
    return int(2 ** (max(1, int(number)).bit_length() - 1))


def _power_of_two_above(number: float) -> int:
    """Returns the smallest power of two that is not below `number`, at least 1."""
    return int(2 ** math.ceil(math.log2(max(1.0, number))))


def _rounded(number: float) -> int:
    """Returns `number` with two digits, as people would choose it, rounded down."""
    digits = 10 ** max(0, len(str(int(number))) - 2)
    return int(number) // digits * digits


def _count(number: float) -> str:
    return f"{_rounded(number):,}"
