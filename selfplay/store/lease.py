"""The lock of a run in a store without file locks: a blob that its holder keeps renewing."""

import contextlib
import json
import os
import socket
import threading
import time
import types
import uuid
from collections.abc import Callable

from selfplay.errors import RunError, StorageError
from selfplay.store.files import process_exists, process_space
from selfplay.store.store import Store

NAME = "trainer.lease"
SILENCE_SECONDS = 30.0
"""After this time without renewal another process may take a lease over."""

_RENEW_SECONDS = 5.0
_held: set[str] = set()
"""Ids of the leases that this process holds."""


class Lease:
    """The right to train a run while the context lasts, unless another process takes it over.

    Clocks of hosts are never compared: a process that wants the lease watches whether it changes.
    """

    def __init__(
        self,
        store: Store,
        *,
        silence_seconds: float = SILENCE_SECONDS,
        on_wait: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Prepares it; `with` takes it.

        Args:
            store: of the run.
            silence_seconds: after this time without renewal it is taken over.
            on_wait: shows a message, once, if there is a holder to wait for.
        """
        self._store = store
        self._silence_seconds = silence_seconds
        self._on_wait = on_wait
        self._id = uuid.uuid4().hex
        self._count = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._renew, name="lease", daemon=True)

    def __enter__(self) -> "Lease":
        """Takes the lease; if there is a holder, watches first whether it still renews it.

        Raises:
            RunError: another process holds it.
            StorageError: the store cannot be reached.
        """
        while not self._store.write_new(NAME, self._document()):
            holder = self._read()
            if holder is not None and holder.get("id") == self._id:
                # Ours, although the answer to an earlier try was lost.
                break
            if holder is not None:
                self._await_silence(holder)
                # Of two that saw the silence the second finds a new blob, or takes this one's
                # place within moments; `check` tells the first before it publishes anything.
                self._store.delete(NAME)
        self.check()
        _held.add(self._id)
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: types.TracebackType | None,
    ) -> None:
        self._ended.set()
        self._thread.join()
        _held.discard(self._id)
        # The next one waits for the silence if the store cannot be reached now.
        with contextlib.suppress(StorageError, RunError):
            self.check()
            self._store.delete(NAME)

    def check(self) -> None:
        """Raises `RunError` if another process has taken the lease over."""
        holder = self._read()
        if holder is None or holder.get("id") != self._id:
            who = "another process" if holder is None else _describe(holder)
            raise RunError(
                f"the run {self._store.url} was taken over by {who}",
                hint="this process did not renew its lease in time; the other one goes on",
            )

    def _await_silence(self, holder: dict[str, object]) -> None:
        pid = holder.get("pid")
        here = holder.get("process_space") == process_space()
        # In a container the id of this process was that of an earlier life, too.
        former = pid == os.getpid() and holder.get("id") not in _held
        if here and isinstance(pid, int) and (former or not process_exists(pid)):
            return
        deadline = time.monotonic() + self._silence_seconds
        self._on_wait(
            f"{_describe(holder)} was training {self._store.url}; taking over if it keeps "
            f"silent for {self._silence_seconds:g} seconds"
        )
        while time.monotonic() < deadline:
            time.sleep(min(0.5, self._silence_seconds / 4))
            now = self._read()
            if now is None:
                return
            if now != holder:
                raise RunError(
                    f"another process ({_describe(now)}) is training {self._store.url}",
                    hint="wait until it ends, stop it, or choose another --run",
                )

    def _renew(self) -> None:
        while not self._ended.wait(min(_RENEW_SECONDS, self._silence_seconds / 4)):
            # A lost lease stays lost: `check` finds the other's blob. While the store cannot be
            # reached nobody else can take it over either.
            with contextlib.suppress(StorageError, RunError):
                self.check()
                self._count += 1
                self._store.write(NAME, self._document())

    def _document(self) -> bytes:
        return json.dumps(
            {
                "id": self._id,
                "count": self._count,
                "pid": os.getpid(),
                "host": socket.gethostname(),
                "process_space": process_space(),
            }
        ).encode()

    def _read(self) -> dict[str, object] | None:
        try:
            document = json.loads(self._store.read(NAME))
        except FileNotFoundError:
            return None
        except ValueError:
            return {}
        return document if isinstance(document, dict) else {}


def _describe(holder: dict[str, object]) -> str:
    return f"pid {holder.get('pid', 'unknown')} on {holder.get('host', 'unknown')}"
