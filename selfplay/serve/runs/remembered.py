"""Answers of slow calls, kept for a moment, because many visitors ask the same."""

import dataclasses
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from selfplay.serve.recent import Recent

T = TypeVar("T")

_FRESH_SECONDS = 2.0
_KEPT_ANSWERS = 32


@dataclasses.dataclass(kw_only=True)
class _Answer:
    lock: threading.Lock = dataclasses.field(default_factory=threading.Lock)
    time: float = float("-inf")
    value: Any = None


class Remembered:
    """The newest answers of slow calls."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Starts without any.

        Args:
            clock: seconds.
        """
        self._clock = clock
        self._lock = threading.Lock()
        self._answers: Recent[object, _Answer] = Recent(_KEPT_ANSWERS)

    def get(self, key: object, ask: Callable[[], T], *, seconds: float = _FRESH_SECONDS) -> T:
        """Returns the answer for a key, from memory if it is recent enough.

        Args:
            key: of the question.
            ask: answers it; called once however many threads want the answer.
            seconds: age up to which an answer is recent enough.
        """
        with self._lock:
            answer = self._answers.get(key, _Answer)
        with answer.lock:
            if self._clock() - answer.time >= seconds:
                answer.value = ask()
                answer.time = self._clock()
            found: T = answer.value
        return found
