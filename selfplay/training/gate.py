"""The gate: which weights self-play uses, if a checkpoint must first beat the last accepted one."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import PyTree

from selfplay.checkpoints import Checkpoints
from selfplay.networks import Weights
from selfplay.settings.sections import TrainerConfig

ACCEPTED = "accepted_weights"
"""The item of a checkpoint with the weights that self-play uses, if there is a gate."""


class Player(NamedTuple):
    """Weights that self-play uses.

    Attributes:
        update: the number of updates behind them.
        weights: of the network.
    """

    update: int
    weights: Weights


class Gate:
    """Holds the newest weights that passed the gate.

    Every `trainer.gate_updates` updates the trainer plays matches of its newest weights against
    them. Counters alone decide when, so a resumed run accepts the same ones.

    Attributes:
        config: the settings in force.
        accepted: the weights that self-play uses; None without a gate.
        tested: the update of the last candidate, accepted or not.
        score: of that candidate, in [0, 1]; None before the first.
    """

    def __init__(self, config: TrainerConfig, update: int, weights: Weights) -> None:
        """Accepts the first weights.

        Args:
            config: says whether there is a gate.
            update: behind the first weights.
            weights: of the network; copied.
        """
        self.config = config
        self.accepted: Player | None = None
        self.tested = update
        self.score: float | None = None
        if config.gate:
            self._accept(update, weights)

    def player(self, update: int, weights: Weights) -> Player:
        """Returns what self-play uses where these are the newest weights."""
        return self.accepted or Player(update, weights)

    def due(self, update: int) -> bool:
        """Returns whether the weights of this update are a candidate that was not tested yet."""
        return self.accepted is not None and (
            update % self.config.gate_updates == 0 and update > self.tested
        )

    def judge(self, update: int, weights: Weights, score: float) -> bool:
        """Accepts a candidate if its score is high enough; returns whether it was.

        Args:
            update: of the candidate.
            weights: of the candidate; copied.
            score: its mean result against the accepted weights, in [0, 1]; a draw is one half.
        """
        self.tested, self.score = update, score
        passes = score >= self.config.gate
        if passes:
            self._accept(update, weights)
        return passes

    def _accept(self, update: int, weights: Weights) -> None:
        # Copied: updates donate the weights of the learner.
        self.accepted = Player(update, jax.tree.map(jnp.copy, weights))

    def items(self) -> dict[str, PyTree]:
        """Returns what a checkpoint holds of it."""
        return {} if self.accepted is None else {ACCEPTED: jax.device_get(self.accepted.weights)}

    def facts(self) -> dict[str, Any]:
        """Returns what the metadata of a checkpoint says of it."""
        if self.accepted is None:
            return {}
        found = {"accepted": self.accepted.update, "tested": self.tested, "score": self.score}
        return {"gate": found}

    @classmethod
    def restored(
        cls,
        config: TrainerConfig,
        checkpoints: Checkpoints,
        metadata: Mapping[str, Any],
        update: int,
        weights: Weights,
    ) -> "Gate":
        """Returns the gate as a checkpoint holds it; without one there, it accepts its weights.

        Args:
            config: the settings in force.
            checkpoints: of the run.
            metadata: of the checkpoint.
            update: of the checkpoint.
            weights: that it publishes, laid out as the learner does.

        Raises:
            CheckpointError: it is damaged.
        """
        gate = cls(config, update, weights)
        found = metadata.get("gate")
        if gate.accepted is not None and found is not None:
            stored = checkpoints.load(update, ACCEPTED, weights)
            like = jax.tree.map(lambda new, old: jax.device_put(new, old.sharding), stored, weights)
            gate.accepted = Player(int(found["accepted"]), like)
            gate.tested, gate.score = int(found["tested"]), found["score"]
        return gate
