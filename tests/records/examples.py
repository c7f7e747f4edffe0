"""Matches of random moves, played by the rules alone, to compare replayed ones with."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np

from selfplay.game import Game
from selfplay.records import MatchRecord


@dataclasses.dataclass(frozen=True)
class Example:
    """A match and what was seen while it was played.

    Attributes:
        record: what would be stored.
        states: before each ply, and at the end.
    """

    record: MatchRecord
    states: list[Any]


class RandomMatches:
    """Plays matches of random moves with random policies; nothing of `selfplay` but the rules."""

    def __init__(self, game: Game[Any]) -> None:
        self.game = game
        self._made = 0

    def play(self, *, seed: int, exploratory: Sequence[int] = ()) -> Example:
        """Returns a match; the moves at the plies in `exploratory` are marked so."""
        random = np.random.default_rng(seed)
        key = jax.random.key(seed)
        state = _init(self.game, key)
        states = [jax.device_get(state)]
        players: list[int] = []
        actions: list[int] = []
        policies: list[tuple[np.ndarray, np.ndarray]] = []
        while True:
            legal, player, terminal, returns = jax.device_get(_look(self.game, state))
            if terminal or len(actions) == self.game.max_plies:
                break
            allowed = np.flatnonzero(legal)
            known = random.permutation(allowed)[: random.integers(1, len(allowed) + 1)]
            shares = random.dirichlet(np.ones(len(known))).astype(np.float32)
            policies.append((np.sort(known), shares))
            players.append(int(player))
            actions.append(int(random.choice(allowed)))
            state = _step(self.game, state, np.int32(actions[-1]))
            states.append(jax.device_get(state))
        start_key = jax.random.key_data(key)
        record = make_record(
            self._made,
            game=self.game.name,
            version=self.game.version,
            start_key=(int(start_key[0]), int(start_key[1])),
            truncated=not terminal,
            returns=(float(returns[0]), float(returns[1])),
            players=players,
            actions=actions,
            policies=policies,
            exploratory=exploratory,
        )
        self._made += 1
        return Example(record, states)

    def several(self, count: int, *, seed: int = 0) -> list[Example]:
        """Returns `count` matches."""
        return [self.play(seed=seed + number) for number in range(count)]


# Traced once for a game, whoever plays it.
@functools.partial(jax.jit, static_argnums=0)
def _init(game: Game[Any], key: Any) -> Any:
    return game.init(key)


@functools.partial(jax.jit, static_argnums=0)
def _step(game: Game[Any], state: Any, action: Any) -> Any:
    return game.step(state, action)


@functools.partial(jax.jit, static_argnums=0)
def _look(game: Game[Any], state: Any) -> tuple[Any, Any, Any, Any]:
    return (
        game.legal_action_mask(state),
        game.current_player(state),
        game.is_terminal(state),
        game.returns(state),
    )


def make_record(
    number: int,
    *,
    players: Sequence[int],
    actions: Sequence[int],
    policies: Sequence[tuple[Any, Any]],
    game: str = "tic_tac_toe",
    version: int = 1,
    start_key: tuple[int, int] = (0, 0),
    truncated: bool = False,
    returns: tuple[float, float] = (0.0, 0.0),
    exploratory: Sequence[int] = (),
) -> MatchRecord:
    """Returns a record; no two with different `number` share a root value."""
    plies = len(actions)
    random = np.random.default_rng([7, number])
    sizes = [len(chosen) for chosen, _ in policies]
    marks = np.zeros(plies, np.bool_)
    marks[list(exploratory)] = True
    return MatchRecord(
        match_id=f"test-{number:08d}-0000",
        game=game,
        version=version,
        fingerprint="0123456789abcdef",
        worker="test",
        first_checkpoint=number,
        last_checkpoint=number + 1,
        settings_hash="0123456789ab",
        start_key=start_key,
        truncated=truncated,
        returns=returns,
        players=np.array(players, np.int8),
        actions=np.array(actions, np.int32),
        outcomes=np.full(plies, -1, np.int32),
        simulations=np.full(plies, 8, np.int32),
        policy_offsets=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int32),
        policy_actions=np.concatenate([[], *(chosen for chosen, _ in policies)]).astype(np.int32),
        policy_probabilities=np.concatenate([[], *(shares for _, shares in policies)]).astype(
            np.float32
        ),
        root_values=random.uniform(-1, 1, plies).astype(np.float32),
        raw_values=random.uniform(-1, 1, plies).astype(np.float32),
        is_target=np.ones(plies, np.bool_),
        exploratory=marks,
    )
