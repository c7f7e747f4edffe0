"""Searches positions of stored matches again, with the weights of now (Reanalyze).

MuZero calls it so: Schrittwieser et al., "Mastering Atari, Go, chess and shogi by planning with a
learned model", 2020, appendix H. The moves stay; the policies and root values become those of the
newer network.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
import numpy.typing as npt
from jax.sharding import Mesh
from jaxtyping import Array, Key, PyTree

from selfplay.arena.searcher import Searcher
from selfplay.game import Game, Position
from selfplay.mcts import Evaluator
from selfplay.records import MatchRecord, with_new_targets
from selfplay.records.collect import SMALLEST_SHARE
from selfplay.replay import Rebuilder
from selfplay.settings.sections import SearchConfig


@dataclasses.dataclass(frozen=True, kw_only=True)
class Change:
    """What searching again changed, sums over positions.

    Attributes:
        positions: that were searched again.
        policy: Kullback-Leibler divergences of the new policy from the old one, in nats.
        policies: positions that had a policy before.
        value: distances between the new root value and the old one, in points.
    """

    positions: int = 0
    policy: float = 0.0
    policies: int = 0
    value: float = 0.0

    def __add__(self, other: "Change") -> "Change":
        """Returns the sums over the positions of both."""
        return Change(
            **{
                field.name: getattr(self, field.name) + getattr(other, field.name)
                for field in dataclasses.fields(self)
            }
        )

    def metrics(self) -> dict[str, float | None]:
        """Returns the means, None where there is nothing to average."""
        return {
            "reanalysis_policy_change": self.policy / self.policies if self.policies else None,
            "reanalysis_value_change": self.value / self.positions if self.positions else None,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchedAgain:
    """Matches with new targets.

    Attributes:
        matches: records with the ids they had.
        change: what is new in them.
    """

    matches: list[MatchRecord]
    change: Change


class Reanalysis:
    """Searches positions again, in batches of one size. The first call compiles it."""

    def __init__(
        self,
        game: Game[Any],
        evaluate: Evaluator,
        config: SearchConfig,
        *,
        batch_size: int,
        mesh: Mesh,
        fingerprint: str = "",
    ) -> None:
        """Compiles nothing yet.

        Args:
            game: the rules.
            evaluate: evaluates positions for the search.
            config: settings of the search in self-play; the noise of exploration is left out.
            batch_size: positions searched at a time, by all devices together.
            mesh: the devices that share them.
            fingerprint: of the rules, which every match must have; "" accepts any.
        """
        self.batch_size = batch_size
        self._rebuild = Rebuilder(game, fingerprint)
        self._search = Searcher(
            game, evaluate, config.for_matches(), batch_size=batch_size, mesh=mesh
        )

    def __call__(
        self,
        params: PyTree,
        matches: Sequence[MatchRecord],
        plies: Sequence[npt.NDArray[Any]],
        *,
        checkpoint: int,
        key: Key[Array, ""],
    ) -> SearchedAgain:
        """Returns `matches` with the targets that a search with these weights gives.

        Args:
            params: weights for the evaluator.
            matches: at least one.
            plies: of each match, which positions to search, ascending; at least one in all.
            checkpoint: update number of the weights.
            key: consumed. The result depends on nothing else.

        Raises:
            RecordError: a match does not follow the rules.
        """
        starts = np.cumsum([0, *(match.plies for match in matches)])[:-1]
        rows = np.concatenate(
            [start + of_match for start, of_match in zip(starts, plies, strict=True)]
        )
        states = self._rebuild(matches).states
        positions: Position[Any] = jax.vmap(lambda state, ply: Position(state=state, ply=ply))(
            jax.tree.map(lambda leaf: leaf[rows], states),
            np.concatenate(plies).astype(np.int32),
        )
        found = self._search(params, positions, key=key)
        policies = np.asarray(found.policy)
        values: dict[str, npt.NDArray[Any]] = {
            "root_values": np.asarray(found.value),
            "raw_values": np.asarray(found.raw_value),
            "simulations": np.asarray(found.visits).sum(axis=1),
            "surprises": _divergences(policies, np.asarray(found.raw_policy)),
            "proven": np.asarray(found.proven),
        }
        made: list[MatchRecord] = []
        change = Change()
        first = 0
        for match, of_match in zip(matches, plies, strict=True):
            part = slice(first, first + len(of_match))
            first += len(of_match)
            of_part = {name: column[part] for name, column in values.items()}
            made.append(
                with_new_targets(match, of_match, of_part, policies[part], checkpoint=checkpoint)
            )
            change += _change(match, of_match, policies[part], of_part["root_values"])
        return SearchedAgain(matches=made, change=change)


def _divergences(policies: npt.NDArray[Any], others: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
    """Returns the Kullback-Leibler divergence of each row from one of `others`, in nats.

    It is `selfplay.mcts.policy_surprise` on the host: compiled, each number of rows would be a
    program of its own.
    """
    ratios = np.log(np.maximum(policies, 1e-30)) - np.log(np.maximum(others, 1e-30))
    return np.maximum((policies * ratios).sum(axis=1), 0.0).astype(np.float32)


def _change(
    match: MatchRecord,
    plies: npt.NDArray[Any],
    policies: npt.NDArray[Any],
    root_values: npt.NDArray[Any],
) -> Change:
    """Returns how far the new targets of some plies of a match are from those that it had."""
    # Smaller shares are not recorded.
    before = np.full(policies.shape, SMALLEST_SHARE)
    known = np.zeros(len(plies), np.bool_)
    for row, ply in enumerate(plies.tolist()):
        actions, shares = match.policy(ply)
        before[row, actions] = np.maximum(shares, SMALLEST_SHARE)
        known[row] = len(actions) > 0
    distances = np.abs(root_values - match.root_values[plies])
    return Change(
        positions=len(plies),
        policy=float(_divergences(policies, before)[known].sum()),
        policies=int(known.sum()),
        value=float(distances.sum()),
    )
