"""How often the processes of a run ask its store: the more workers, the less often each of them."""

import random

USUAL_BEAT_SECONDS = 5.0
"""From one heartbeat of a process to the next, in a run of up to 250 workers."""

_LOOKS_PER_SECOND = 100
_BEATS_PER_SECOND = 50
_LONGEST_BEAT_SECONDS = 20.0
_FILES_PER_SECOND = 50
_LONGEST_FILE_SECONDS = 30.0
_SPREAD = 0.2


def look_seconds(usual: float, workers: int) -> float:
    """Returns the seconds from one look for a new checkpoint to the next.

    All workers together look about a hundred times a second at most.

    Args:
        usual: what the store can take from a few workers, above 0.
        workers: how many the run has, 0 if that is not known.
    """
    return max(usual, workers / _LOOKS_PER_SECOND)


def beat_seconds(workers: int) -> float:
    """Returns the seconds from one heartbeat to the next, in [5, 20].

    Args:
        workers: how many the run has, 0 if that is not known.
    """
    return min(max(USUAL_BEAT_SECONDS, workers / _BEATS_PER_SECOND), _LONGEST_BEAT_SECONDS)


def file_seconds(workers: int) -> float:
    """Returns the seconds in which a worker gathers finished matches for one file, in [0, 30].

    It is 0 with up to 50 workers. More of them store about fifty files a second together.

    Args:
        workers: how many the run has, 0 if that is not known.
    """
    if workers <= _FILES_PER_SECOND:
        return 0.0
    return min(workers / _FILES_PER_SECOND, _LONGEST_FILE_SECONDS)


def spread(seconds: float) -> float:
    """Returns a random time within a fifth of `seconds`, so that workers do not ask in step."""
    return seconds * random.uniform(1 - _SPREAD, 1 + _SPREAD)
