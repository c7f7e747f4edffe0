"""What the choice of settings depends on: a game, a machine, and rates derived from both."""

import dataclasses
import math

CPU_MULTIPLICATIONS = 3e10
"""Of float32 in an update of one CPU core per second: see "The cost of an update on a CPU core" in
docs/benchmarks.md. Self-play makes twice as many, mostly in integers."""

CPU_NODE_BYTES = 8e7
"""Bytes of tree nodes that a CPU core handles per second, rules of compiled games included: what
self-play takes beside the network in "Inference backends"."""

CPU_POSITION_SECONDS = 1.5e-4
"""Of the host for each position, to store, check and sample it; measured on Kalah with a perceptron
of 4x32, whose arithmetic takes next to nothing."""

ACCELERATOR_MULTIPLICATIONS = 1e13
"""The same in an update of an accelerator, three times as many in self-play: see "On a GPU"."""

ACCELERATOR_EVALUATIONS = 1e6
"""Network evaluations per second that an accelerator does not exceed, however small they are."""

ACCELERATOR_SAMPLES = 5e5
"""The same of samples in updates."""

_NODE_BYTES = 20
_CHILD_BYTES = 24


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class GameFacts:
    """What is known of a game before training.

    Attributes:
        name: of the game.
        num_actions: of the policy.
        max_plies: at which a match is cut.
        observation_shape: [height, width, planes] or [features].
        state_bytes: of one position.
        legal_actions: mean number in positions of random matches, at least 1.
        outcomes: of a chance event; 1 in a game without chance.
        plies: mean length of random matches, at least 1.
        cut_share: share of the random matches that reached `max_plies`, in [0, 1].
        rules_seconds: that one move takes a CPU core, beyond what compiled rules take; 0 for them.
    """

    name: str
    num_actions: int
    max_plies: int
    observation_shape: tuple[int, ...]
    state_bytes: int
    legal_actions: float
    outcomes: int = 1
    plies: float
    cut_share: float = 0.0
    rules_seconds: float = 0.0

    @property
    def cells(self) -> int:
        """Cells of the board that a residual network computes; 1 for observations of one axis."""
        return math.prod(self.observation_shape[:2]) if self.is_board else 1

    @property
    def is_board(self) -> bool:
        """Whether the observation has the axes of a board."""
        return len(self.observation_shape) == 3

    @property
    def node_bytes(self) -> int:
        """Bytes of a node of the search tree."""
        return _NODE_BYTES + _CHILD_BYTES * self.num_actions + self.state_bytes


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MachineFacts:
    """What is known of the machine that trains.

    Attributes:
        platform: of its devices, as JAX names it: "cpu", "gpu" or "tpu".
        devices: that play and learn side by side, at least 1.
        memory: bytes of the host; None if it is not known.
        plays: whether the trainer plays the matches itself; workers choose for their own machines
            how many they play side by side.
    """

    platform: str
    devices: int
    memory: int | None = None
    plays: bool = True

    @property
    def is_cpu(self) -> bool:
        """Whether the devices are CPU cores."""
        return self.platform == "cpu"

    def __str__(self) -> str:
        return f"{self.devices} x {self.platform}"

    def positions_per_second(
        self,
        game: GameFacts,
        *,
        multiplications: float,
        simulations: float,
        replay_ratio: float,
    ) -> float:
        """Returns how many positions per second are played and learnt, roughly.

        From known rates, not measured ones: two starts of a training choose alike. Busy or slow
        machines make fewer.

        Args:
            game: what is played.
            multiplications: of the network for one position.
            simulations: of the search of one move.
            replay_ratio: samples learnt for each position.
        """
        if self.is_cpu:
            evaluation = multiplications / (2 * CPU_MULTIPLICATIONS)
            evaluation += game.node_bytes / CPU_NODE_BYTES + game.rules_seconds
            sample = 3 * multiplications / CPU_MULTIPLICATIONS
            host = CPU_POSITION_SECONDS
        else:
            evaluation = multiplications / (3 * ACCELERATOR_MULTIPLICATIONS)
            evaluation += 1 / ACCELERATOR_EVALUATIONS + game.rules_seconds
            sample = 3 * multiplications / ACCELERATOR_MULTIPLICATIONS + 1 / ACCELERATOR_SAMPLES
            host = 0.0
        # The root is evaluated, too.
        return self.devices / ((simulations + 1) * evaluation + replay_ratio * sample + host)
