"""How long the matches of an evaluation take, and how many of them fit into a time."""

import time

from selfplay.arena import Standing

_LEAST_MATCHES = 4
_BEGIN_WITH = 2 * _LEAST_MATCHES
"""Matches for which the first evaluation after a broken one waits until there is time."""

_MARGIN = 0.7
"""Share of the time that is planned for: some matches are longer than others."""

_GUESSED_SLOWNESS = 4.0
"""How many times as long matches need that were broken off, if their pace says nothing."""

_PLIES_TO_WATCH = 12
"""Before the pace says anything: agents compile in the first plies."""


class MatchTimes:
    """What is known of the time that matches against each opponent take.

    Nothing is known of an opponent at first: all matches are played. Only where they took too long
    are fewer played, as many as fit into the time that there is.
    """

    def __init__(self, matches: int) -> None:
        """Knows no opponent yet.

        Args:
            matches: of an evaluation that has enough time.
        """
        self._matches = matches
        self._expected: dict[str, float] = {}
        self._slow: dict[str, float] = {}
        self._first = 0.0

    def expect(self, seconds: float) -> None:
        """Sets the seconds of an evaluation of which nothing is known; the first call counts."""
        self._first = self._first or seconds

    def expected(self, opponent: str) -> float:
        """Returns the seconds that the next evaluation takes, estimated from the last one."""
        return self._expected.get(opponent, self._first)

    def least(self, opponent: str) -> float:
        """Returns the seconds of the shortest useful evaluation, 0 if nothing is known."""
        if opponent in self._slow:
            return self._slow[opponent] * min(_LEAST_MATCHES, self._matches)
        return self._expected.get(opponent, 0.0)

    def is_slow(self, opponent: str) -> bool:
        """Returns whether matches against this opponent once took too long."""
        return opponent in self._slow

    def fitting(self, opponent: str, seconds: float) -> int:
        """Returns how many matches to play in this time, an even number."""
        if opponent not in self._slow or seconds >= self._slow[opponent] * self._matches / _MARGIN:
            return self._matches
        pairs = int(_MARGIN * seconds / self._slow[opponent]) // 2
        return min(self._matches, max(_LEAST_MATCHES, 2 * pairs))

    def ended(self, opponent: str, *, matches: int, seconds: float) -> None:
        """Notes that an evaluation has taken so many seconds."""
        self._expected[opponent] = seconds
        if opponent in self._slow:
            self._slow[opponent] = seconds / matches

    def broken_off(
        self, opponent: str, *, matches: int, seconds: float, needed: float | None
    ) -> float:
        """Notes that an evaluation was broken off.

        Args:
            opponent: its name.
            matches: how many it would have played.
            seconds: that it was given.
            needed: seconds that its matches would have taken, by their pace; None if that says
                nothing.

        Returns:
            The seconds that they would have taken, as far as is known.
        """
        found = max(seconds, needed or _GUESSED_SLOWNESS * seconds)
        self._slow[opponent] = found / matches
        self._expected[opponent] = min(self._matches, _BEGIN_WITH) * found / matches
        return found


class MatchPace:
    """Estimates how long matches will take, from their pace so far."""

    def __init__(self, plies_per_match: float | None) -> None:
        """Starts the clock.

        Args:
            plies_per_match: how long a match is expected to be; None if that is not known.
        """
        self._plies_per_match = plies_per_match
        self._begin = time.monotonic()
        self._seen: list[tuple[float, int]] = []

    def seconds_needed(self, standing: Standing) -> float | None:
        """Returns the estimated seconds from the start to the end of all matches.

        Only the later half of the plies so far counts for the pace: the first ones compile.

        Args:
            standing: to be given before each ply.

        Returns:
            None in the first plies, and if the length of a match is not known.
        """
        now = time.monotonic()
        self._seen.append((now, standing.plies))
        if self._plies_per_match is None or len(self._seen) < _PLIES_TO_WATCH:
            return None
        then, plies = self._seen[len(self._seen) // 2]
        left = self._plies_per_match * standing.matches - standing.plies
        made = max(1, standing.plies - plies)
        return now - self._begin + max(0.0, left) * (now - then) / made
