"""The matches of a run that are kept out of training, and what the network says of them."""

import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from selfplay.evaluation.predictions import ExampleMaker, Predictor, policy_quality
from selfplay.networks import Weights
from selfplay.records import MatchRecord
from selfplay.replay import ReplayWindow, Samples
from selfplay.runtime.components import Components
from selfplay.training.cursor import WindowFile

_POSITIONS = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class HeldOutLosses:
    """Losses on matches that are kept out of training, beside those on matches learnt from.

    Both are of the published weights, without symmetries, on positions of the replay window: what
    the first exceeds the second by is overfitting.

    Attributes:
        held_out: "policy", the cross-entropy in nats, and "value", the mean squared error of the
            outcome, of matches kept out.
        learnt: the same of positions that may be sampled.
    """

    held_out: dict[str, float]
    learnt: dict[str, float]

    @property
    def gaps(self) -> dict[str, float]:
        """By how much each loss is higher on matches kept out."""
        return {name: self.held_out[name] - self.learnt[name] for name in self.held_out}


class HeldOut:
    """The matches of a run that are kept out of training.

    It holds those whose files the replay window holds, so that both are of the same age.

    Attributes:
        losses: of the newest checkpoint; None without matches kept out.
    """

    def __init__(self) -> None:
        """Holds nothing yet."""
        self.losses: HeldOutLosses | None = None
        self._matches: dict[tuple[str, int], Sequence[MatchRecord]] = {}
        self._maker: ExampleMaker | None = None
        self._predictor: Predictor | None = None

    def add(self, worker: str, sequence: int, matches: Sequence[MatchRecord]) -> None:
        """Takes in the matches of a file that are kept out.

        Args:
            worker: that played the matches.
            sequence: the number of the file.
            matches: those of the file that are kept out.
        """
        if matches:
            self._matches[worker, sequence] = matches

    def facts(self) -> dict[str, Any]:
        """Returns what the metadata of a checkpoint says of them."""
        return {} if self.losses is None else {"held_out": dataclasses.asdict(self.losses)}

    def restore(self, metadata: Mapping[str, Any]) -> None:
        """Takes the losses from the metadata of a checkpoint."""
        found = metadata.get("held_out")
        self.losses = None if found is None else HeldOutLosses(**found)

    def keep(self, files: Iterable[WindowFile]) -> None:
        """Forgets the matches of files that are no longer in the replay window."""
        held = {(file.worker, file.sequence) for file in files}
        self._matches = {file: found for file, found in self._matches.items() if file in held}

    def measure(
        self,
        components: Components,
        weights: Weights,
        window: ReplayWindow,
        files: Sequence[WindowFile],
        *,
        update: int,
    ) -> None:
        """Measures the losses; without matches kept out they stay as they are.

        Args:
            components: of the run.
            weights: of the network.
            window: the positions learnt from.
            files: of the window, oldest first.
            update: decides, with the seed of the run, which positions are looked at.
        """
        matches = self._as_old_as(window.size, files)
        if not matches or not window.size:
            return
        if self._maker is None or self._predictor is None:
            game, replay = components.game, components.config.replay
            self._maker = ExampleMaker(game, replay, positions=_POSITIONS)
            self._predictor = Predictor(game, components.network)
        examples = self._maker(matches, seed=update)
        if examples is None:
            return
        seed = components.config.trainer.seed
        # On one device, whatever shares the updates.
        weights = jax.device_put(jax.device_get(weights))
        losses = [
            _losses(self._predictor, weights, samples)
            for samples in (
                examples.samples,
                window.sample(_POSITIONS, seed=seed, update=update, evenly=True),
            )
        ]
        if losses[0].keys() == losses[1].keys():
            self.losses = HeldOutLosses(held_out=losses[0], learnt=losses[1])

    def _as_old_as(self, positions: int, files: Sequence[WindowFile]) -> list[MatchRecord]:
        """Returns the matches of the files in which the newest `positions` learnt from lie."""
        found: list[MatchRecord] = []
        for file in reversed(files):
            if positions <= 0:
                break
            found += self._matches.get((file.worker, file.sequence), ())
            positions -= file.positions
        return found


def _losses(predictor: Predictor, weights: Weights, samples: Samples) -> dict[str, float]:
    """Returns the losses on these positions; none of a kind without targets."""
    scores = predictor.scores(weights, samples)
    policy = policy_quality(scores, samples.policy_weights > 0)
    known = samples.outcome_weights > 0
    found: dict[str, Any] = {}
    if policy is not None:
        found["policy"] = policy.cross_entropy
    if known.any():
        errors = np.asarray(scores.value)[known] - samples.outcomes[known]
        found["value"] = float(np.mean(errors**2))
    return found
