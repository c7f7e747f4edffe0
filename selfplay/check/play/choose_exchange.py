"""Chooses how the twin of a match comes about: under which exchange both players are alike."""

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from selfplay.check.play.exchange import Exchange
from selfplay.check.play.explorer import Explorer
from selfplay.check.play.rows import facts_now, joined, random_action, rows_of
from selfplay.check.play.sequence import MoveSequence
from selfplay.game import Symmetry

_LONGEST_TRIAL = 400
_MOST_SYMMETRIES = 16
_MOST_IMAGES = 4


def choose_exchange(
    explorer: Explorer,
    exchanges: Sequence[Exchange],
    symmetries: Sequence[Symmetry[Any]],
    starts: Sequence[tuple[int, int]],
    *,
    seed: int,
) -> Exchange | None:
    """Returns the exchange under which the rules treat both players alike, if there is one.

    The same random matches are played with the twin of each exchange. If twins go on alike to the
    end under any of them, then the others started from positions that cannot occur. Else it is the
    first under which the first position looks the same, or else the first.

    Args:
        explorer: plays the matches.
        exchanges: how to hand a state to the other player, the most natural one first.
        symmetries: of the game. If no exchange makes the first position look the same to both, an
            image of it may.
        starts: key data of first positions.
        seed: of the random matches.
    """
    lines = [MoveSequence(start=start) for start in starts]
    first = exchanges[:1]
    if symmetries and not any(_at_start(explorer, one, lines, "shows") for one in exchanges):
        images = [
            dataclasses.replace(one, symmetry=symmetry)
            for symmetry in symmetries[:_MOST_SYMMETRIES]
            for one in (*first, Exchange(changes=(), mover_alone=True))
        ]
        images = [one for one in images if _at_start(explorer, one, lines, "keeps")]
        exchanges = [*exchanges, *images[:_MOST_IMAGES]]
    if len(exchanges) < 2:
        return exchanges[0] if exchanges else None
    alike, behaves = _played(explorer, exchanges, lines, seed)
    for good in (alike, behaves):
        if good.any():
            return exchanges[int(np.argmax(good))]
    for one in exchanges:
        if one.symmetry is not None and _at_start(explorer, one, lines, "shows"):
            return one
    return exchanges[0]


def _at_start(
    explorer: Explorer, exchange: Exchange, lines: Sequence[MoveSequence], fact: str
) -> bool:
    """Returns whether something holds of each first position and its twin."""
    some = lines[: explorer.batch_size]
    match, _, _ = explorer.started(some, exchange)
    return bool(np.asarray(getattr(match, fact))[: len(some)].all())


def _played(
    explorer: Explorer, exchanges: Sequence[Exchange], lines: Sequence[MoveSequence], seed: int
) -> tuple[np.ndarray, np.ndarray]:
    """Returns by exchange whether all twins looked the same to the end, and whether they behaved.

    Every exchange has a share of the batch, with the same matches.
    """
    count = explorer.batch_size // len(exchanges)
    some = (list(lines) * count)[:count]
    matches = [explorer.started(some, exchange)[0] for exchange in exchanges]
    match = joined([rows_of(one, range(count)) for one in matches])
    draw = np.random.default_rng(seed)
    actions = np.full(count, -1)
    for _ in range(_LONGEST_TRIAL):
        probe = explorer.play(match, np.tile(actions, len(exchanges)), [-1] * len(match.looks),
                              np.tile(draw.random(count), len(exchanges)))  # fmt: skip
        match, seen = rows_of(probe.match, range(len(match.looks))), facts_now(probe)
        over = np.asarray(seen.over[:count])
        if over.all():
            break
        actions = np.array(
            [-1 if over[row] else random_action(seen.mask[row], draw) for row in range(count)]
        )
    shares = (len(exchanges), count)
    return (
        np.all(np.asarray(match.shows).reshape(shares), axis=1),
        np.all(np.asarray(match.behaves).reshape(shares), axis=1),
    )
