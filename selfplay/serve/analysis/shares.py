"""Several checkpoints served at once, each to a share of the visitors, and how each has done."""

import dataclasses
import hashlib
import logging
import threading
from collections.abc import Sequence
from typing import Any

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
    """Chooses who answers a visitor that names nobody, and counts how everybody has done."""

    def __init__(self, shares: Sequence[Share] = (), file: ResultsFile | None = None) -> None:
        """Takes the shares, and goes on counting.

        Args:
            shares: none where the game's own default answers.
            file: keeps the counts; None to count from 0 with every start. `close` closes it.

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
        """Returns the agent for a visitor, always the same one; None where nothing is shared."""
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
        """Counts a match, and saves that.

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
        """Writes the counts to the file, if there is one and they have changed; says what fails."""
        if self._file is None:
            return
        with self._lock:
            counts = {agent: dataclasses.asdict(one) for agent, one in self._counts.items()}
            if counts == self._saved:
                return
            try:
                self._file.write(counts)
            except StorageError as error:
                # What is counted is kept in memory, and written when the disk takes it again.
                _LOG.warning("%s", error)
            else:
                self._saved = counts

    def close(self) -> None:
        """Saves the counts and lets other processes have the file."""
        self.save()
        if self._file is not None:
            self._file.close()

    def to_list(self) -> list[dict[str, Any]]:
        """Returns the counts, by agent."""
        with self._lock:
            return [
                {"agent": agent, **dataclasses.asdict(count)}
                for agent, count in sorted(self._counts.items())
            ]
