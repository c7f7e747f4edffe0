"""What asks the network for the search, whatever computes it; and XLA, which needs nothing else."""

import dataclasses
from typing import Any, NamedTuple, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Array, Float32, Key, PyTree

from selfplay.game import Game
from selfplay.mcts import Evaluation, network_evaluator
from selfplay.networks import Network, Weights

Ranges = Float32[np.ndarray, "ranges 2"]
"""Lowest and highest value of what goes into each convolution, and of each channel of what comes
out, in the order of the graph."""


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
    """A network that a search can ask, whatever computes it.

    Attributes:
        kind: "xla", "onnx" or "onnx-int8".
        ranges: what was measured by `calibrate`, to be kept and set again on resuming; None
            before that and for kinds that need none.
    """

    kind: str
    ranges: Ranges | None

    def evaluate(self, params: PyTree, states: PyTree, *, key: Key[Array, ""]) -> Evaluation:
        """Returns the evaluation of `B` states: an `Evaluator`."""

    def load(self, weights: Weights) -> PyTree:
        """Returns params with which `evaluate` uses these weights."""

    def release(self, params: PyTree) -> None:
        """Gives back what `load` holds for these params."""

    def calibrate(self, params: PyTree) -> Agreement | None:
        """Measures ranges on the positions these params have seen; None if none are needed."""

    def counts(self, params: PyTree) -> Counts:
        """Returns how much work these params have made since `load`."""


class XlaInference:
    """The network as part of the compiled search."""

    kind = "xla"

    def __init__(self, game: Game[Any], network: Network) -> None:
        """Takes the parts."""
        self._evaluate = network_evaluator(game, network)
        self.ranges: Ranges | None = None

    def evaluate(self, params: PyTree, states: PyTree, *, key: Key[Array, ""]) -> Evaluation:
        """Returns the evaluation of `B` states."""
        return self._evaluate(params, states, key=key)

    def load(self, weights: Weights) -> PyTree:
        """Returns the weights: the compiled search takes them as they are."""
        return weights

    def release(self, params: PyTree) -> None:
        """Holds nothing."""

    def calibrate(self, params: PyTree) -> None:
        """Needs nothing."""

    def counts(self, params: PyTree) -> Counts:
        """Counts nothing."""
        return Counts(asked=0, computed=0)
