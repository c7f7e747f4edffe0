"""Several checkpoints served at once, each to a share of the visitors, and how each has done."""

import dataclasses
import hashlib
import threading
from collections.abc import Sequence
from typing import Any

from selfplay.errors import ConfigError


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

    def __init__(self, shares: Sequence[Share] = ()) -> None:
        """Takes the shares; none where the game's own default answers."""
        self._shares = tuple(shares)
        self._lock = threading.Lock()
        self._counts: dict[str, _Count] = {}

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
        """Counts a match.

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

    def to_list(self) -> list[dict[str, Any]]:
        """Returns the counts since the server was started, by agent."""
        with self._lock:
            return [
                {"agent": agent, **dataclasses.asdict(count)}
                for agent, count in sorted(self._counts.items())
            ]
