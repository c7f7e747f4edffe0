"""How much memory a run takes and how many matches suit a device, before anything is compiled."""

import dataclasses
import math
from typing import Any

import jax
import numpy as np
from jaxtyping import PyTree

from selfplay.adapters import HostedGame
from selfplay.errors import ConfigError
from selfplay.game import ChanceGame, Game
from selfplay.inference import multiplications
from selfplay.machine import host_memory
from selfplay.networks import Network, attention_heads
from selfplay.rollout import mean_simulations
from selfplay.settings import Config
from selfplay.settings.sections import LearnerConfig, NetworkConfig
from selfplay.settings.sections.rollout import CHUNK_PLIES, CPU_MATCHES

_NODE_BYTES = 20
"""Of a tree node without its children: visits, two values, parent, action."""

_CHILD_BYTES = 24
"""Of each action of a node: child, prior, visits, reward, discount, value."""

_COMPACT_NODE_BYTES = 38
"""Of a node of `selfplay.mcts.compact_tree`, likewise; with bounds, reward and discount."""

_COMPACT_CHILD_BYTES = 6
"""Of each kept action of such a node: child, prior; 2 more where actions are left out."""

_OUTCOME_BYTES = 16
"""Of each outcome of a chance node: child, probability, visits, value."""

_ACTIVATION_COPIES = 4
"""Boards of activations that live at once in a forward pass; measured on the built-in tower."""

_BACKWARD_COPIES = 3
"""Boards that each layer keeps for the backward pass."""

_WEIGHT_BYTES = 4

_ROW_BYTES = 48
"""Of a position in the replay window, beside state and policy."""

_SURPRISE_ROW_BYTES = 4
"""The same for its surprise, which weights follow from."""

_WEIGHT_ROW_BYTES = 20
"""The same for its weight, and for what is added up of it, where positions have weights."""

_EQUAL_ROW_BYTES = 170
"""The same for what finds equal positions, a dictionary above all."""

_SIDE_ROW_BYTES = 5
"""The same for its side position, beside another state and policy."""

_BASE_BYTES = 600e6
"""Of a process that does nothing yet: Python, JAX, compiled programs."""

_USABLE_SHARE = 0.9

_SELF_PLAY_SHARE = 0.5
"""Of what this process may take of an accelerator: no plan knows all that programs need."""

_FEWEST_ACCELERATOR_MATCHES = 64
_MOST_ACCELERATOR_MATCHES = 4096
_ACCELERATOR_MATCHES = 256
"""Where an accelerator does not say how much memory it has."""

_MOST_PLIES = 32
_CHUNK_MULTIPLICATIONS = 2.5e11
"""Of the network on one device in one chunk, where it may be long: a second or two in integers."""

_FLOAT_CHUNK_MULTIPLICATIONS = 1e11
"""The same on a CPU core in floating-point numbers: two or three seconds."""

_CHUNK_EVALUATIONS = 16_384
"""Positions searched on one device in one chunk, if that takes no more than 32 plies: as many as in
8 plies of 64 matches with 32 simulations. Each chunk costs the host some milliseconds."""

_SMALL_NODE = 512
"""Bytes of a tree node; with so few, rules and tree cost little beside the network."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class MatchChoice:
    """How many matches are played side by side on each device, and why so many."""

    count: int
    reason: str

    def __str__(self) -> str:
        return f"{self.count} matches a device: {self.reason}"


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryPlan:
    """Bytes that a process needs, by purpose; all devices of the process together.

    Attributes:
        tree: of the search.
        activations: of the network in the search.
        learner: weights, and in a process that learns the optimiser and what an update keeps for
            its backward pass.
        replay: the window, in host memory; 0 in a process that does not learn.
        capacity_device: memory of all devices; None if it is not known.
        capacity_host: memory of this machine or container; None if it is not known.
        shared: whether the devices are CPU cores, whose memory is the host's.
        matches: played side by side.
        choice: the reason for this number.
    """

    tree: int
    activations: int
    learner: int
    replay: int
    capacity_device: int | None
    capacity_host: int | None
    shared: bool
    matches: int
    choice: str

    @property
    def device(self) -> int:
        """Bytes on the devices."""
        return self.tree + self.activations + self.learner

    def to_dict(self) -> dict[str, Any]:
        """Returns plain values, for scripts."""
        return {**dataclasses.asdict(self), "device": self.device}

    def check(self) -> None:
        """Raises `ConfigError` if there is too little memory, before any is allocated."""
        host = self.replay + int(_BASE_BYTES) + (self.device if self.shared else 0)
        if self.capacity_host is not None and host > _USABLE_SHARE * self.capacity_host:
            largest = "replay.max_window" if self.replay > self.device else _MATCHES
            raise ConfigError(
                f"this run needs about {host / 1e9:.1f} GB of host memory, but there are "
                f"{self.capacity_host / 1e9:.1f} GB",
                hint=f"lower {largest}: {self}",
            )
        if self.shared or self.capacity_device is None:
            return
        if self.device > _USABLE_SHARE * self.capacity_device:
            raise ConfigError(
                f"this run needs about {self.device / 1e9:.1f} GB on its devices, but they have "
                f"{self.capacity_device / 1e9:.1f} GB",
                hint=f"lower {_MATCHES}: {self}",
            )

    def __str__(self) -> str:
        parts = {
            f"search tree of {self.matches} matches": self.tree,
            "network": self.activations,
            "updates" if self.replay else "weights": self.learner,
            "replay window": self.replay,
        }
        sizes = ", ".join(f"{name} {_size(count)}" for name, count in parts.items() if count)
        return f"{sizes} ({self.choice})"


_MATCHES = "rollout.matches_per_device"


def plan_memory(
    game: Game[Any], network: Network, config: Config, *, learns: bool = True
) -> MemoryPlan:
    """Returns the memory that a process of a run needs; compiles and allocates nothing.

    Args:
        game: the rules.
        network: what `config` describes.
        config: the settings.
        learns: whether it makes updates; a worker has neither an optimiser nor a replay window.
    """
    devices = jax.local_devices()
    choice = choose_matches(game, network, config)
    matches = choice.count * len(devices)
    state = jax.eval_shape(game.init, jax.random.key(0))
    shared = devices[0].platform == "cpu"
    return MemoryPlan(
        tree=matches * match_tree_bytes(game, config),
        activations=matches * board_bytes(network, config.network) * _ACTIVATION_COPIES,
        learner=_learner_bytes(network, config.network, config.learner, len(devices))
        if learns
        else _WEIGHT_BYTES * network.num_weights() * len(devices),
        replay=_replay_bytes(game, state, config) if learns else 0,
        capacity_device=None if shared else _device_memory(devices),
        capacity_host=host_memory(),
        shared=shared,
        matches=matches,
        choice=str(choice),
    )


def choose_matches(game: Game[Any], network: Network, config: Config) -> MatchChoice:
    """Returns how many matches each device of this process plays: as set, or what suits it.

    An accelerator idles between small kernels unless each has much to do. So it gets as many
    matches as fit into half of the memory that updates leave, up to 4096, as a power of two. With
    more, matches take longer to end, and their data arrives later.
    """
    asked = config.rollout.matches_per_device
    if asked:
        return MatchChoice(count=asked, reason=f"{_MATCHES} says so")
    devices = jax.local_devices()
    platform = devices[0].platform
    if platform == "cpu":
        return MatchChoice(count=CPU_MATCHES, reason="the usual number for CPU cores")
    capacity = _device_memory(devices[:1])
    if capacity is None:
        return MatchChoice(
            count=_ACCELERATOR_MATCHES, reason=f"the {platform} does not say what memory it has"
        )
    match = match_tree_bytes(game, config)
    match += board_bytes(network, config.network) * _ACTIVATION_COPIES
    learner = _learner_bytes(network, config.network, config.learner, len(devices)) // len(devices)
    room = int(_SELF_PLAY_SHARE * (_USABLE_SHARE * capacity - learner))
    fitting = max(1, room // match)
    power = 2 ** (fitting.bit_length() - 1)
    count = min(max(power, _FEWEST_ACCELERATOR_MATCHES), _MOST_ACCELERATOR_MATCHES)
    limit = "as many as fit into half of it"
    if count != power:
        limit = "which has room for more" if count < power else "fewer would leave it idle"
    return MatchChoice(
        count=count,
        reason=f"{_size(match)} each on a {platform} with {_size(capacity)}, {limit}",
    )


def choose_plies(
    game: Game[Any],
    network: Network,
    config: Config,
    *,
    remembers: bool = False,
    platform: str = "cpu",
) -> int:
    """Returns how many plies a chunk plays: as set, or what suits the inference backend.

    A chunk has 8 plies, or up to 32 where a ply has few simulations: for each chunk the host starts
    programs, writes a file and takes it in, which must not take longer than the chunk.

    Where positions are remembered, a network computes none twice with the same weights, and most
    positions of a search come up again in the next: a chunk of 32 plies computes about a fifth
    less than four of 8, and loads new weights once. But new weights wait for the end of a chunk.
    It is so long only where it ends soon: if the network takes most of the time and is small.

    Where nothing is remembered, a chunk of a large network on a CPU is shorter than 8 plies: a
    process that is asked to stop finishes its chunk first.

    Args:
        game: the rules.
        network: what `config` describes.
        config: the settings, with the number of matches that was chosen.
        remembers: whether positions are remembered, see `selfplay.inference.Traits`.
        platform: of the devices that play, as JAX names it.
    """
    rollout = config.rollout
    if rollout.plies_per_chunk:
        return rollout.plies_per_chunk
    simulations = mean_simulations(config.search, rollout)
    ply = rollout.matches_per_device * simulations * multiplications(network)
    evaluations = rollout.matches_per_device * max(simulations, 1)
    usual = min(max(CHUNK_PLIES, _power_of_two(_CHUNK_EVALUATIONS / evaluations)), _MOST_PLIES)
    if not remembers:
        if platform != "cpu":
            return usual
        return min(_power_of_two(_FLOAT_CHUNK_MULTIPLICATIONS / max(ply, 1)), usual)
    state = jax.eval_shape(game.init, jax.random.key(0))
    outcomes = game.num_outcomes if isinstance(game, ChanceGame) else 0
    node = tree_bytes(game.num_actions, 0, _bytes(state), outcomes)
    if node > _SMALL_NODE or isinstance(game, HostedGame):
        return usual
    return min(max(usual, _power_of_two(_CHUNK_MULTIPLICATIONS / max(ply, 1))), _MOST_PLIES)


def _power_of_two(number: float) -> int:
    """Returns the largest power of two that is not above `number`, at least 1."""
    return 2 ** (max(1, int(number)).bit_length() - 1)


def tree_bytes(
    num_actions: int, num_simulations: int, state_bytes: int, num_outcomes: int = 0
) -> int:
    """Returns the bytes of the search tree of one match: a node per simulation, and the root."""
    # A position is the state and its ply. Each simulation may add one chance node.
    node = _NODE_BYTES + _CHILD_BYTES * num_actions + _OUTCOME_BYTES * num_outcomes
    return (num_simulations + 1) * (node + state_bytes + 4)


def compact_tree_bytes(
    num_actions: int, num_simulations: int, state_bytes: int, max_children: int = 0
) -> int:
    """Returns the same of a compact tree, see `search.max_children`."""
    kept = min(max_children or num_actions, num_actions)
    child = _COMPACT_CHILD_BYTES
    if kept < num_actions:
        child += 2
    return (num_simulations + 1) * (_COMPACT_NODE_BYTES + child * kept + state_bytes + 4)


def match_tree_bytes(game: Game[Any], config: Config) -> int:
    """Returns the bytes of the search tree of one match with these settings on this machine."""
    state = jax.eval_shape(game.init, jax.random.key(0))
    actions, simulations = game.num_actions, config.search.num_simulations
    if isinstance(game, ChanceGame):
        return tree_bytes(actions, simulations, _bytes(state), game.num_outcomes)
    search = config.search
    if search.has_compact_tree(jax.local_devices()[0].platform):
        size = compact_tree_bytes(actions, simulations, _bytes(state), search.max_children)
        # Where searches end early, the others go on in a batch of half the size.
        return size * 3 // 2 if search.scale_simulations or search.proven != "off" else size
    return tree_bytes(actions, simulations, _bytes(state))


def board_bytes(network: Network, config: NetworkConfig) -> int:
    """Returns the bytes of the activations of the widest layer for one position."""
    tower = len(network.observation_shape) == 3 and config.kind != "mlp"
    cells = math.prod(network.observation_shape[:2]) if len(network.observation_shape) == 3 else 1
    width = max(config.channels, network.observation_shape[-1])
    if tower and (config.block == "transformer" or config.attention_every):
        # Query, key and value of a cell, and its shares of all cells for each head.
        width = max(width, 3 * config.channels, attention_heads(config.channels) * cells)
    return 4 * cells * width


def _learner_bytes(
    network: Network, config: NetworkConfig, learner: LearnerConfig, devices: int
) -> int:
    each = 4 if config.block in ("nested", "transformer") or config.attention_every else 2
    layers = each * config.blocks + 2
    samples = math.ceil(learner.batch_size / learner.micro_batches / devices) * devices
    # Weights, average, two moments, the gradient and its sum, whole on every device.
    weights = (
        (6 if learner.late_batches > 1 else 5) * _WEIGHT_BYTES * network.num_weights() * devices
    )
    return weights + samples * layers * _BACKWARD_COPIES * board_bytes(network, config)


def _replay_bytes(game: Game[Any], state: PyTree, config: Config) -> int:
    replay = config.replay
    targets = jax.eval_shape(game.auxiliary_targets, state, state)
    states = _bytes(state) * (2 if targets else 1)
    # Up to 128 actions of the policy with their shares.
    policy = 8 * min(game.num_actions, 128)
    row = states + policy + _ROW_BYTES
    row += _WEIGHT_ROW_BYTES if replay.surprise_share or replay.balanced else 0
    row += _SURPRISE_ROW_BYTES if replay.surprise_share else 0
    row += _EQUAL_ROW_BYTES if replay.average_positions > 1 else 0
    row += states + policy + _SIDE_ROW_BYTES if config.rollout.side_positions else 0
    return replay.max_window * row


def _device_memory(devices: list[Any]) -> int | None:
    limits = [(device.memory_stats() or {}).get("bytes_limit", 0) for device in devices]
    return sum(limits) or None


def _bytes(tree: PyTree) -> int:
    return sum(int(np.prod(leaf.shape)) * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))


def _size(count: int) -> str:
    if count >= 1e9:
        return f"{count / 1e9:.1f} GB"
    return f"{count / 1e6:.0f} MB" if count >= 1e6 else f"{count / 1e3:.0f} kB"
