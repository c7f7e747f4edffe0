"""Plays the same random matches in two games and compares them at every ply."""

import dataclasses
from typing import Any

import jax
import numpy as np

from selfplay.check.comparison.side_by_side import BATCH, SideBySide
from selfplay.check.laws.tested_elsewhere import AGAINST
from selfplay.check.play.sequence import MoveSequence
from selfplay.check.report import Fault
from selfplay.configuration import check_range
from selfplay.game import ChanceGame, Game


@dataclasses.dataclass(frozen=True, kw_only=True)
class Comparison:
    """What random matches through two games showed.

    Attributes:
        game: name of the first.
        other: name of the second.
        matches: how many were played.
        plies: positions compared.
        fault: the first difference; None if there is none.
        observations: whether observations were compared.
    """

    game: str
    other: str
    matches: int
    plies: int
    fault: Fault | None
    observations: bool

    def to_dict(self) -> dict[str, Any]:
        """Returns the document that `selfplay check --against --json` prints."""
        return {
            "game": self.game,
            "against": self.other,
            "ok": self.fault is None,
            "problems": [self.fault.to_dict()] if self.fault else [],
            "measures": {
                "matches": self.matches,
                "positions": self.plies,
                "observations_compared": self.observations,
            },
        }


def compare(
    game: Game[Any],
    other: Game[Any],
    *,
    matches: int = 256,
    seed: int = 0,
    observations: bool = False,
) -> Comparison:
    """Plays the same random matches in both games until something differs.

    Compared are, at every ply: whether the match is over, who is to move, which actions are
    legal, and the results; on request the observations. Actions have the same numbers in both,
    and so have chance outcomes: after each move their probabilities are compared, then the same
    outcome is given to both games.

    Both start from the same key. Where first positions are random and equal keys give different
    ones, each is paired with one of the other game that looks the same to the player to move.

    Args:
        game: its legal moves are played, its chance outcomes drawn.
        other: must agree.
        matches: how many, at least 1.
        seed: of the moves and the first positions.
        observations: whether what the player to move sees must be the same too.

    Raises:
        ConfigError: `matches` is below 1.
    """
    check_range("matches", matches, low=1)
    sizes = _different_sizes(game, other)
    if sizes:
        return Comparison(
            game=game.name,
            other=other.name,
            matches=0,
            plies=0,
            fault=AGAINST.fault(sizes),
            observations=observations,
        )
    pair = SideBySide(game, other, observations)
    plies = 0
    found: tuple[MoveSequence, str] | None = None
    keys = np.asarray(jax.random.key_data(jax.random.split(jax.random.key(seed), matches)))
    pair.match_starts([(int(one), int(two)) for one, two in keys])
    draw = np.random.default_rng(seed)
    played = 0
    while played < matches and found is None:
        some = [(int(one), int(two)) for one, two in keys[played : played + BATCH]]
        played += len(some)
        found, more = pair.play(some, draw)
        plies += more
    shown = None if found is None else pair.fault(*pair.shortened(*found))
    return Comparison(
        game=game.name,
        other=other.name,
        matches=played,
        plies=plies,
        fault=shown,
        observations=observations,
    )


def _different_sizes(game: Game[Any], other: Game[Any]) -> str:
    """Returns what differs before anything is played; empty if nothing does."""
    if game.num_actions != other.num_actions:
        return f"{game.name} has {game.num_actions} actions, {other.name} {other.num_actions}"
    counts = [one.num_outcomes if isinstance(one, ChanceGame) else 0 for one in (game, other)]
    if counts[0] == counts[1]:
        return ""
    if 0 in counts:
        return f"{(game if counts[0] else other).name} alone is a game of chance"
    return f"{game.name} has {counts[0]} chance outcomes, {other.name} {counts[1]}"
