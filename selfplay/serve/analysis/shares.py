"""Agents that share the visitors (A/B), and the results of every agent against visitors."""

import dataclasses
import hashlib
import logging
import threading
from collections.abc import Sequence
from typing import Any

from selfplay.arena import wilson_interval
from selfplay.errors import ConfigError, StorageError
from selfplay.serve.analysis.results_file import ResultsFile

_LOG = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """An agent and its share of the requests that name none.

    Attributes:
        agent: its identifier.
        share: above 0.
    """

    agent: str
    share: float


@dataclasses.dataclass(kw_only=True)
class _Count:
    requests: int = 0
    wins: int = 0
    draws: int = 0
    losses: int = 0

    def score(self) -> dict[str, Any]:
        matches = self.wins + self.draws + self.losses
        if matches == 0:
            return {"score": None, "interval": None}
        score = (self.wins + self.draws / 2) / matches
        return {"score": score, "interval": list(wilson_interval(score, matches))}


def parse_share(text: str) -> Share:
    """Returns what "AGENT=SHARE" says, such as "connect_four@1200=0.1".

    Raises:
        ConfigError: the share is not a number above 0.
    """
    agent, _, number = text.rpartition("=")
    try:
        share = float(number)
    except ValueError:
        share = 0.0
    if not agent or not 0 < share < float("inf"):
        raise ConfigError(
            f"--share is {text!r}, but must be AGENT=SHARE with a share above 0",
            hint="--share run@1000=0.9 --share run@1200=0.1",
        )
    return Share(agent=agent, share=share)


class Shares:
    """Chooses the agent for requests that name none, and counts the results of every agent."""

    def __init__(self, shares: Sequence[Share] = (), file: ResultsFile | None = None) -> None:
        """Reads the counts that are stored.

        Args:
            shares: the agents; without any the game's default agent answers.
            file: where the counts are stored; None to count from 0. `close` closes it.

        Raises:
            StorageError: the file cannot be read.
        """
        self._shares = tuple(shares)
        self._file = file
        self._lock = threading.Lock()
        self._counts: dict[str, _Count] = {}
        self._saved: dict[str, Any] = {}
        names = {field.name for field in dataclasses.fields(_Count)}
        stored = file.read() if file is not None else {}
        if file is not None and file.note:
            _LOG.warning("%s", file.note)
        for agent, counts in stored.items():
            # A later version may count more.
            known = {name: counts[name] for name in names & set(counts)}
            self._counts[agent] = _Count(**known)

    @property
    def agents(self) -> list[str]:
        """Returns the agents that have a share."""
        return [share.agent for share in self._shares]

    def choose(self, visitor: str) -> str | None:
        """Returns the agent for a visitor, always the same one; None without shares."""
        if not self._shares:
            return None
        digest = hashlib.sha256(visitor.encode()).digest()
        place = int.from_bytes(digest[:6]) / 2**48 * sum(share.share for share in self._shares)
        for share in self._shares:
            place -= share.share
            if place < 0:
                return share.agent
        return self._shares[-1].agent

    def note_request(self, agent: str) -> None:
        """Counts a request."""
        with self._lock:
            self._counts.setdefault(agent, _Count()).requests += 1

    def note_result(self, agent: str, result: float) -> None:
        """Counts the result of a match and saves the counts.

        Args:
            agent: who played it.
            result: of that agent, in [-1, 1].
        """
        with self._lock:
            count = self._counts.setdefault(agent, _Count())
            if result > 0:
                count.wins += 1
            elif result < 0:
                count.losses += 1
            else:
                count.draws += 1
        self.save()

    def save(self) -> None:
        """Writes the counts to the file, if they have changed; logs a failure."""
        if self._file is None:
            return
        with self._lock:
            counts = {agent: dataclasses.asdict(one) for agent, one in self._counts.items()}
            if counts == self._saved:
                return
            try:
                self._file.write(counts)
            except StorageError as error:
                # The counts stay in memory; the next save tries again.
                _LOG.warning("%s", error)
            else:
                self._saved = counts

    def close(self) -> None:
        """Saves the counts and releases the file."""
        self.save()
        if self._file is not None:
            self._file.close()

    def to_list(self) -> list[dict[str, Any]]:
        """Returns the counts of each agent, and its score in [0, 1] with the 95 % interval.

        Score and interval are None as long as the agent has finished no match.
        """
        with self._lock:
            return [
                {"agent": agent, **dataclasses.asdict(count), **count.score()}
                for agent, count in sorted(self._counts.items())
            ]
