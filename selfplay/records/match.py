"""One finished match, as it is stored: the moves and what was thought of them, no tensors."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class MatchRecord:
    """A finished match of `T` plies.

    Positions, observations, symmetries and auxiliary targets are not in it: they are recomputed
    by replaying the moves under the rules.

    Attributes:
        match_id: unique and deterministic: worker, sequence and index.
        game: name of the game.
        version: of the game.
        fingerprint: of the rules.
        worker: who played it.
        first_checkpoint: update number of the weights that played the first ply.
        last_checkpoint: likewise for the last ply.
        settings_hash: of the search and self-play settings.
        start_key: data of the key that `Game.init` was given.
        truncated: whether it was ended by `max_plies` alone.
        returns: result for player 0 and player 1, in [-1, 1].
        players: [T] who moved.
        actions: [T] what was played.
        outcomes: [T] chance outcome that followed, -1 for none.
        simulations: [T] simulations spent.
        policy_offsets: [T + 1] where each ply's pairs begin in the two arrays below.
        policy_actions: actions with a share in the policy target, ply after ply.
        policy_probabilities: their probabilities.
        root_values: [T] value after the search, in [-1, 1], for the player who moved.
        raw_values: [T] the network's own value, likewise.
        is_target: [T] whether the ply's policy is a training target.
        exploratory: [T] whether the move was drawn at random, whatever the search said.
    """

    match_id: str
    game: str
    version: int
    fingerprint: str
    worker: str
    first_checkpoint: int
    last_checkpoint: int
    settings_hash: str
    start_key: tuple[int, int]
    truncated: bool
    returns: tuple[float, float]
    players: npt.NDArray[np.int8]
    actions: npt.NDArray[np.int32]
    outcomes: npt.NDArray[np.int32]
    simulations: npt.NDArray[np.int32]
    policy_offsets: npt.NDArray[np.int32]
    policy_actions: npt.NDArray[np.int32]
    policy_probabilities: npt.NDArray[np.float32]
    root_values: npt.NDArray[np.float32]
    raw_values: npt.NDArray[np.float32]
    is_target: npt.NDArray[np.bool_]
    exploratory: npt.NDArray[np.bool_]

    @property
    def plies(self) -> int:
        """Number of actions played."""
        return len(self.actions)

    def policy(self, ply: int) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.float32]]:
        """Returns the policy target of one ply as actions and probabilities."""
        part = slice(self.policy_offsets[ply], self.policy_offsets[ply + 1])
        return self.policy_actions[part], self.policy_probabilities[part]


def same_content(left: Sequence[MatchRecord], right: Sequence[MatchRecord]) -> bool:
    """Returns whether two lists of records are equal in every field."""
    if len(left) != len(right):
        return False
    names = [field.name for field in dataclasses.fields(MatchRecord)]
    return all(
        np.array_equal(np.asarray(getattr(a, name)), np.asarray(getattr(b, name)))
        for a, b in zip(left, right, strict=True)
        for name in names
    )
