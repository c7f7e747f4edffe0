"""What the network of a checkpoint predicts in positions of stored matches, and how well."""

import dataclasses
from collections.abc import Sequence
from typing import Any, NamedTuple

import jax
import numpy as np
import numpy.typing as npt
from jaxtyping import Array, Int

from selfplay.evaluation.value_quality import ValueQuality, value_quality
from selfplay.game import Game
from selfplay.learner import Scores, score_positions
from selfplay.networks import Network, Weights
from selfplay.records import MatchRecord
from selfplay.replay import ReplayWindow, Samples
from selfplay.settings.sections import ReplayConfig

TOP = (1, 3, 5)
"""How many of the network's likeliest actions may hold the best one of the search."""

_BATCH = 256


class Examples(NamedTuple):
    """`B` positions of stored matches, with what the search and the outcome said of them.

    Attributes:
        samples: the positions and targets.
        match_numbers: [B] which of the matches each is of, from 0.
    """

    samples: Samples
    match_numbers: Int[np.ndarray, " B"]


@dataclasses.dataclass(frozen=True, kw_only=True)
class PolicyQuality:
    """How well a network's policies agree with those of the search, means over positions.

    Attributes:
        positions: how many were compared: those whose policy is a training target.
        cross_entropy: of the network's policy with the searched one as the target, in nats.
        search_entropy: of the searched policy, in nats: the lowest possible cross-entropy.
        entropy: of the network's policy, in nats.
        uniform: the cross-entropy of a uniform policy over the legal actions, in nats.
        top: by number `k`, the share of positions in which the searched policy's first choice is
            among the `k` likeliest actions of the network, in [0, 1]. Actions that the network
            holds for exactly as likely are taken in random order: the share is the expected one.
    """

    positions: int
    cross_entropy: float
    search_entropy: float
    entropy: float
    uniform: float
    top: dict[int, float]

    @property
    def learnt_share(self) -> float | None:
        """What the network has learnt of what the search knows beyond a uniform policy, at most 1.

        0 is a uniform policy, below 0 a worse one; None where that of the search is uniform.
        """
        known = self.uniform - self.search_entropy
        return (self.uniform - self.cross_entropy) / known if known > 1e-3 else None

    def to_dict(self) -> dict[str, Any]:
        """Returns it for a JSON document."""
        document = dataclasses.asdict(self)
        del document["top"]
        return document | {f"top_{count}": share for count, share in self.top.items()}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Quality:
    """How well a network predicts.

    Attributes:
        policy: beside the searched policy; None if no position has one as a target.
        value: beside the outcomes, where no random move followed; None if one followed everywhere.
        search_error: root mean square of value - value of the search, in [0, 2].
    """

    policy: PolicyQuality | None
    value: ValueQuality | None
    search_error: float

    def to_dict(self) -> dict[str, Any]:
        """Returns it for a JSON document."""
        return {
            "policy": None if self.policy is None else self.policy.to_dict(),
            "value": None if self.value is None else self.value.to_dict(),
            "search_error": self.search_error,
        }


class ExampleMaker:
    """Makes examples of stored matches. It compiles the rules once, whatever the matches."""

    def __init__(
        self, game: Game[Any], config: ReplayConfig, *, positions: int, fingerprint: str = ""
    ) -> None:
        """Compiles nothing yet.

        Args:
            game: the rules.
            config: says how far ahead the values of the search look.
            positions: at most so many are taken of the matches.
            fingerprint: of the rules, which every match must have; "" accepts any.
        """
        self.positions = positions
        self._window = ReplayWindow(
            game,
            dataclasses.replace(config, min_window=positions, max_window=positions, max_matches=0),
            fingerprint,
        )

    def __call__(self, matches: Sequence[MatchRecord], *, seed: int = 0) -> Examples | None:
        """Returns positions of whole matches, drawn without replacement; None of no match.

        The last match drawn is cut where the positions are full.

        Args:
            matches: to draw from.
            seed: decides which are drawn, if they hold too many positions.

        Raises:
            RecordError: a match does not follow the rules.
        """
        drawn: list[MatchRecord] = []
        left = self.positions
        for index in np.random.default_rng(seed).permutation(len(matches)).tolist():
            if left <= 0:
                break
            drawn.append(matches[index])
            left -= matches[index].plies
        # The ring keeps what comes last, so it is the first match that is cut.
        drawn.reverse()
        count = min(self._window.ingest(drawn), self.positions)
        if not count:
            return None
        numbers = np.repeat(np.arange(len(drawn)), [match.plies for match in drawn])
        return Examples(self._window.newest(count), numbers[-count:])


class Predictor:
    """Asks networks of one shape about examples, in batches of one size."""

    def __init__(self, game: Game[Any], network: Network) -> None:
        """Compiles nothing yet.

        Args:
            game: the rules.
            network: the network, without weights.
        """

        def score(weights: Weights, samples: Any) -> Scores:
            return score_positions(game, network, weights, samples)

        self._score = jax.jit(score)

    def scores(self, weights: Weights, samples: Samples) -> Scores:
        """Returns the scores of `B` positions, on the host.

        Args:
            weights: of the network.
            samples: the positions.
        """
        count = len(samples.outcomes)
        parts = [
            jax.device_get(self._score(weights, _rows(samples, first)))
            for first in range(0, count, _BATCH)
        ]
        scores: Scores = jax.tree.map(lambda *leaves: np.concatenate(leaves)[:count], *parts)
        return scores

    def quality(self, weights: Weights, examples: Examples) -> Quality:
        """Returns how well the network predicts the examples."""
        samples = examples.samples
        scores = self.scores(weights, samples)
        return Quality(
            policy=policy_quality(scores, samples.policy_weights > 0),
            value=_value_quality(np.asarray(scores.value), examples),
            search_error=float(np.sqrt(np.mean((scores.value - samples.search_values) ** 2))),
        )


def policy_quality(scores: Scores, counted: npt.NDArray[np.bool_]) -> PolicyQuality | None:
    """Returns the means over the positions that count; None if none does.

    Args:
        scores: of `B` positions.
        counted: [B] which of them have a policy target.
    """
    if not counted.any():
        return None

    def mean(each: Array | npt.NDArray[Any]) -> float:
        return float(np.mean(np.asarray(each)[counted]))

    return PolicyQuality(
        positions=int(counted.sum()),
        cross_entropy=mean(scores.cross_entropy),
        search_entropy=mean(scores.search_entropy),
        entropy=mean(scores.entropy),
        uniform=mean(scores.uniform),
        top={count: mean(top_shares(scores, count)) for count in TOP},
    )


def top_shares(scores: Scores, count: int) -> npt.NDArray[np.float64]:
    """Returns how likely the searched first choice is among the network's first `count` actions.

    It is 0 or 1 unless the network holds several actions for exactly as likely, which are taken in
    random order: an untrained network must not seem to know everything.

    Args:
        scores: of `B` positions.
        count: of actions, at least 1.

    Returns:
        A probability for each of the `B` positions.
    """
    tied, wanted = np.asarray(scores.tied), np.asarray(scores.tied_best)
    places = np.minimum(count - np.asarray(scores.rank), tied)
    missed = np.ones(len(tied))
    for place in range(count):
        # None of the wanted actions takes this place among those that are tied.
        left = np.maximum(tied - wanted - place, 0) / np.maximum(tied - place, 1)
        missed = np.where(place < places, missed * left, missed)
    return 1.0 - missed


def _value_quality(values: npt.NDArray[np.float32], examples: Examples) -> ValueQuality | None:
    known = examples.samples.outcome_weights > 0
    return value_quality(
        values[known], examples.samples.outcomes[known], examples.match_numbers[known]
    )


def _rows(samples: Samples, first: int) -> Any:
    """Returns a batch of rows from `first` on; the last ones stand again where it is too short."""
    rows = np.minimum(np.arange(first, first + _BATCH), len(samples.outcomes) - 1)
    return jax.tree.map(lambda leaf: leaf[rows], samples)
