"""Which matches are kept out of training, so that overfitting shows."""

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from selfplay.records import MatchRecord

_DIGEST_BYTES = 8


class Parted(NamedTuple):
    """Matches, parted into those to learn from and those that are kept out."""

    learnt: list[MatchRecord]
    held_out: list[MatchRecord]


def is_held_out(match_id: str, share: float) -> bool:
    """Returns whether a match is kept out of training.

    Its id alone decides, so a resumed or repeated training keeps out the same ones. What a share
    keeps out, every larger share keeps out too.

    Args:
        match_id: of the match.
        share: of all matches, in [0, 1].

    >>> is_held_out("loop-00000000-0000", 0.0), is_held_out("loop-00000000-0000", 1.0)
    (False, True)
    """
    digest = hashlib.blake2b(match_id.encode(), digest_size=_DIGEST_BYTES).digest()
    return int.from_bytes(digest) < share * 256**_DIGEST_BYTES


def part(matches: Sequence[MatchRecord], share: float) -> Parted:
    """Returns `matches` in two parts, each in the same order; see `is_held_out`."""
    parted = Parted([], [])
    for match in matches:
        held = share > 0 and is_held_out(match.match_id, share)
        (parted.held_out if held else parted.learnt).append(match)
    return parted
