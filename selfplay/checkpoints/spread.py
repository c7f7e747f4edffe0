"""Which older checkpoints stay, so that those that are kept cover a whole training."""

from collections.abc import Iterable


def spread_updates(updates: Iterable[int], most: int) -> set[int]:
    """Returns at most `most` of the updates, spread evenly from the first one to the last.

    The updates are divided into intervals of equal width, and the first update of each interval
    stays. The width is the smallest power of two that leaves at most `most` of them. As a training
    goes on the width doubles now and then. The first update of a wider interval was the first one
    of a narrower one, so it is still there: what was removed before is never missing.

    Args:
        updates: each at least 0.
        most: at least 0.

    >>> sorted(spread_updates([0, 7, 16, 25, 31, 44, 58, 60], 4))
    [0, 16, 44, 58]
    """
    found = sorted(updates)
    if most < 1:
        return set()
    width = 1
    while True:
        # The last one that is put in stays: the first of its interval.
        first = {update // width: update for update in reversed(found)}
        if len(first) <= most:
            return set(first.values())
        width *= 2
