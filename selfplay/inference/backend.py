"""What computes the network for the search: the contract of a backend.

A `Backend` is a way to compute the network, an entry of `selfplay.settings.choices.BACKENDS`. An
`Inference` is one network computed that way. What they need and can do is said in their `Traits`;
no other package asks for the name of a backend.
"""

import abc
import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Float32, Key, PyTree

from selfplay.game import Game
from selfplay.mcts import Evaluation
from selfplay.networks import Network, Weights
from selfplay.settings.sections import NetworkConfig

Ranges = Float32[np.ndarray, "ranges 2"]
"""Lowest and highest value of what goes into each convolution, and of each channel of what comes
out, in the order of the graph."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Traits:
    """What a backend needs and can do.

    Attributes:
        calibrates: it computes in integers once `Inference.calibrate` has measured ranges on
            positions of self-play; before that, and where nobody calibrates, in float32.
        remembers: it computes a position once for as long as the weights are the same, so long
            chunks cost less than short ones.
        calls_host: compiled programs call a function of this process while they run. Params may
            be released only after the programs that use them have ended.
    """

    calibrates: bool = False
    remembers: bool = False
    calls_host: bool = False


@dataclasses.dataclass(frozen=True, kw_only=True)
class Agreement:
    """How far the integer network is from the float one, on positions not calibrated on.

    Attributes:
        policy_divergence: mean Kullback-Leibler divergence of the policies, in nats, over the
            legal actions of each position.
        same_move: share of positions with the same likeliest legal action, in [0, 1].
        value_error: mean distance of the values, in [0, 2].
        positions: how many were compared.
    """

    policy_divergence: float
    same_move: float
    value_error: float
    positions: int

    @property
    def good(self) -> bool:
        """Whether the integer network may stand in for the float one."""
        return self.policy_divergence <= 0.05 and self.value_error <= 0.1

    def __str__(self) -> str:
        return (
            f"policy {self.policy_divergence:.4f} nats, same move {self.same_move:.0%}, "
            f"value off by {self.value_error:.3f} ({self.positions} positions)"
        )


class Counts(NamedTuple):
    """Positions that searches asked for, and those that were computed; 0 where nobody counts."""

    asked: int
    computed: int


@runtime_checkable
class Inference(Protocol):
    """A network that a search can evaluate positions with, whatever computes it.

    Attributes:
        kind: the name of its backend, for people.
        traits: what it needs and can do.
        ranges: what `calibrate` has measured, to be kept and set again on resuming; None before
            that and where `traits.calibrates` is false.
    """

    kind: str
    traits: Traits
    ranges: Ranges | None

    def evaluate(self, params: PyTree, states: PyTree, *, key: Key[Array, ""]) -> Evaluation:
        """Returns the evaluation of `B` states: an `Evaluator`."""

    def load(self, weights: Weights) -> PyTree:
        """Returns params with which `evaluate` uses these weights."""

    def release(self, params: PyTree) -> None:
        """Frees what `load` holds for these params."""

    def calibrate(self, params: PyTree) -> Agreement | None:
        """Measures ranges on positions evaluated with these params; None if nothing was measured.

        The ranges are used from the next `load` on.
        """

    def counts(self, params: PyTree) -> Counts:
        """Returns how many positions were evaluated with these params since `load`."""


class Obstacle(NamedTuple):
    """Why a backend cannot be used for a network on this machine, and what to do instead.

    Attributes:
        reason: completes the sentence "search.inference is 'onnx', but ...".
        hint: what to type.
    """

    reason: str
    hint: str


class Backend(abc.ABC):
    """A way to compute the network.

    Attributes:
        traits: of the inferences it makes.
    """

    traits: Traits

    @abc.abstractmethod
    def obstacle(self, config: NetworkConfig) -> Obstacle | None:
        """Returns why it cannot compute this network on this machine, None if it can."""

    @abc.abstractmethod
    def make(self, game: Game[Any], network: Network, config: NetworkConfig) -> Inference:
        """Returns the network as the search will use it; called only without an `obstacle`."""

    @abc.abstractmethod
    def trial(
        self,
        network: Network,
        config: NetworkConfig,
        weights: dict[str, npt.NDArray[np.float32]],
        observations: Float32[np.ndarray, "B ..."],
    ) -> Callable[[], object]:
        """Returns a call that computes `B` observations once on one core, to measure its speed."""

    @property
    def version(self) -> str:
        """Names the software that its speed depends on; "" if that is JAX alone."""
        return ""
