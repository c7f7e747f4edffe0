"""The columns of the window that follow from root values and results of matches."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.records import MatchRecord
from selfplay.replay.search_values import (
    SHORT_TERM_LAMBDAS,
    lambda_returns,
    outcome_known,
    outcomes,
)
from selfplay.replay.weights import surprise_weights
from selfplay.settings.sections.learner import SHORT_TERM_HORIZONS
from selfplay.settings.sections.replay import ReplayConfig

Columns = dict[str, npt.NDArray[Any]]
"""Arrays [positions, ...] by name; `Samples` explains most of them."""


def empty_columns(ring: int, config: ReplayConfig) -> Columns:
    """Returns the columns of `ring` positions, empty."""
    flags = ("is_target", "has_next", "proven", "outcome_known")
    numbers = ("root_values", "outcomes", "search_values")
    return {
        **{name: np.zeros(ring, np.bool_) for name in flags},
        **{name: np.zeros(ring, np.float32) for name in numbers},
        "short_term_values": np.zeros((ring, len(SHORT_TERM_HORIZONS)), np.float32),
        **(
            {"surprises": np.zeros(ring, np.float32), "weights": np.ones(ring, np.float32)}
            if config.surprise_share
            else {}
        ),
    }


def columns(matches: Sequence[MatchRecord], config: ReplayConfig) -> Columns:
    """Returns the columns of the positions of `matches`, match after match.

    Args:
        matches: at least one, none of them empty; their policies are not used.
        config: settings of the window.
    """
    lengths = np.array([match.plies for match in matches])
    last = np.zeros(lengths.sum(), np.bool_)
    last[lengths.cumsum() - 1] = True
    is_target = np.concatenate([match.is_target for match in matches])
    returns = lambda_returns(matches, (config.value_lambda, *SHORT_TERM_LAMBDAS))
    found: Columns = {
        "is_target": is_target,
        "has_next": ~last & np.roll(is_target, -1),
        "root_values": np.concatenate([match.root_values for match in matches]),
        "proven": np.concatenate([match.proven for match in matches]),
        "outcomes": np.concatenate([outcomes(match) for match in matches]),
        "outcome_known": np.concatenate([outcome_known(one) | one.proven for one in matches]),
        "search_values": returns[:, 0],
        "short_term_values": returns[:, 1:],
    }
    if config.surprise_share:
        share = config.surprise_share
        found["surprises"] = np.concatenate([match.surprises for match in matches])
        found["weights"] = np.concatenate([surprise_weights(one, share) for one in matches])
    return found
