"""Shows what is written to a log while it grows."""

import threading
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

_LOOK_SECONDS = 0.5


class Follower:
    """A context in which each new line of a log is shown; lines from before are not."""

    def __init__(self, log: Path, say: Callable[[str], None]) -> None:
        """Shows nothing yet.

        Args:
            log: need not exist yet.
            say: shows a line; called from a thread.
        """
        self._log = log
        self._say = say
        self._position = log.stat().st_size if log.exists() else 0
        self._rest = b""
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._follow, name="follower", daemon=True)

    def __enter__(self) -> "Follower":
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        where: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._over.wait(_LOOK_SECONDS):
            self._show()
        self._show()

    def _show(self) -> None:
        try:
            # A log that was set aside begins anew.
            if self._log.stat().st_size < self._position:
                self._position = 0
            with self._log.open("rb") as file:
                file.seek(self._position)
                data = file.read()
        except OSError:
            return
        self._position += len(data)
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            self._say(line.decode(errors="replace").rstrip())
