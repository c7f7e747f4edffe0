"""Plain-Python rules on several cores: processes that compute parts of a batch.

Within a process Python runs on one core at a time, so each child creates the rules again and keeps
its own positions. Each device sends its requests to its own share of the children, and each slice
of a batch to the same child, so that a match stays with one child and round trips are rare. Every
position is identified by its moves, so results are the same with any number of processes, and a
process that lacks a position replays it. The processes exchange raw arrays through a socket pair; a
child ends when its end of the socket closes or its parent has ended.
"""

import contextlib
import dataclasses
import json
import logging
import os
import socket
import struct
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Mapping, Sequence

import jax
import numpy as np

from selfplay.adapters import failures
from selfplay.adapters.origin import Origin
from selfplay.adapters.rows import HostRows, packed, unpacked
from selfplay.errors import ConfigError, GameContractError

log = logging.getLogger(__name__)

VARIABLE = "SELFPLAY_PYTHON_PROCESSES"
"""Environment variable: how many processes; 0 and 1 are this one alone. By default see `Pool`."""

FEWEST_ROWS = 32
"""Smaller batches are answered here: a person's moves and analyses, where nothing is gained."""

PATIENCE = 5.0
"""Seconds of the rules' own work in this process before others are started unasked."""

FEWEST_CORES = 4
"""On fewer no others are started unasked: while one core is busy with the rules, the network keeps
the others busy for another share of the matches. See docs/python-games.md."""

_WORTH_SECONDS = 0.0005
"""Work of the rules in one question that is worth the way to another process and back, unasked."""

ANSWERED, REFUSED = 0, 1
REQUEST = struct.Struct("<BII")
"""Number of the question, rows, columns of the moves; the arrays follow."""
REPLY = struct.Struct("<BQ")
"""Answered or refused, bytes that follow: arrays, or an error as JSON."""

_START_SECONDS = 120.0


def wanted_processes(environment: Mapping[str, str]) -> int | None:
    """Returns the number of processes that the user asks for, None if selfplay chooses.

    Raises:
        ConfigError: it is not a number.
    """
    text = environment.get(VARIABLE, "").strip()
    if not text:
        return None
    if not text.isdecimal():
        raise ConfigError(
            f"{VARIABLE} is {text!r}, but must be a number of processes",
            hint="0 or 1 for none beside this one",
        )
    return int(text)


class Pool:
    """Answers like `HostRows.ask`, with other processes if they help.

    Attributes:
        children: ids of the other processes; empty while there are none.
    """

    def __init__(self, rows: HostRows, origin: Origin, *, processes: int, patience: float) -> None:
        """Starts no process before there is work.

        Args:
            rows: answers in this process.
            origin: how others make the same rules.
            processes: how many share a batch.
            patience: seconds of work of the rules here before they are started, and then only
                for batches that are worth it; 0 to share every batch from the first one on.
        """
        self._rows = rows
        self._origin = origin
        self._processes = processes
        self._patience = patience
        self._worked = 0.0
        self._answered = 0
        self._lock = threading.Lock()
        self._helpers: list[_Helper] = []
        self._turns: dict[int, int] = {}
        self._alone = processes < 2 or os.name != "posix"

    @property
    def children(self) -> list[int]:
        """Returns the ids of the other processes."""
        return [helper.process.pid for helper in self._helpers]

    def ask(self, question: str, *arrays: np.ndarray) -> Sequence[np.ndarray]:
        """Returns the answers, in the order of the rows; see `HostRows.ask`."""
        count = len(arrays[0])
        if self._alone or count < FEWEST_ROWS:
            return self._rows.ask(question, *arrays)
        if not self._helpers and self._worked < self._patience:
            # Of this thread alone, so that a busy machine does not look like slow rules.
            began = time.thread_time()
            try:
                return self._rows.ask(question, *arrays)
            finally:
                self._worked += time.thread_time() - began
                self._answered += count
        if count * self._worked < _WORTH_SECONDS * self._answered:
            return self._rows.ask(question, *arrays)
        parts = self._shared(question, arrays, count)
        if parts is None:
            return self._rows.ask(question, *arrays)
        return [np.concatenate(column) for column in zip(*parts, strict=True)]

    def close(self) -> None:
        """Ends the other processes; from then on this process computes everything."""
        self._alone = True
        for helper in self._helpers:
            helper.close()
        self._helpers = []

    def _shared(
        self, question: str, arrays: Sequence[np.ndarray], count: int
    ) -> list[list[np.ndarray]] | None:
        """Returns the answers for each slice; None if there are no other processes."""
        try:
            helpers = self._mine()
            size = -(-count // max(len(helpers), 1))
            with contextlib.ExitStack() as stack:
                asked = []
                for index, helper in enumerate(helpers):
                    some = [array[index * size : (index + 1) * size] for array in arrays]
                    if len(some[0]):
                        stack.enter_context(helper.lock)
                        helper.send(question, some)
                        asked.append((helper, len(some[0])))
                replies = [helper.receive(question, rows) for helper, rows in asked]
        except (OSError, EOFError, GameContractError) as error:
            if not self._alone:
                log.warning("rules go on in this process alone: %s", error)
            self.close()
            return None
        except BaseException:
            # Interrupted in the middle of a message: what comes next could not be told apart.
            self.close()
            raise
        parts = []
        for reply in replies:
            if isinstance(reply, GameContractError):
                failures.record(reply)
                raise reply
            parts.append(reply)
        return parts or None

    def _mine(self) -> list["_Helper"]:
        """Returns the children of this thread; in a compiled program each device has a thread."""
        with self._lock:
            if not self._helpers and not self._alone:
                self._start()
            share = max(1, len(self._helpers) // jax.local_device_count())
            if len(self._turns) > 64 * self._processes:
                self._turns = {}  # threads come and go
            turn = self._turns.setdefault(threading.get_ident(), len(self._turns))
            first = turn * share % max(1, len(self._helpers))
            return self._helpers[first : first + share]

    def _start(self) -> None:
        """Starts all processes, then waits for them.

        Raises:
            GameContractError: one of them cannot make the rules.
        """
        for _ in range(self._processes):
            self._helpers.append(_Helper(self._rows, self._origin))
        for helper in self._helpers:
            helper.begin(self._processes)
        log.info("%s: %d processes play by the rules", self._rows.tree.rules.name, self._processes)


class _Helper:
    """One child process and its socket.

    Attributes:
        process: the process.
        lock: held from a question to its answer.
    """

    def __init__(self, rows: HostRows, origin: Origin) -> None:
        self.lock = threading.Lock()
        self._rows = rows
        self._origin = origin
        self._questions = list(rows.takes)
        self._socket, theirs = socket.socketpair()
        with theirs:
            self.process = subprocess.Popen(
                [
                    sys.executable,
                    "-P",
                    "-c",
                    "from selfplay.adapters.child import main; main()",
                    str(theirs.fileno()),
                    str(os.getpid()),
                ],
                stdin=subprocess.DEVNULL,
                pass_fds=[theirs.fileno()],
                cwd=origin.directory,
                # Only the parent handles interrupts at the terminal; the children end with it.
                start_new_session=True,
                env={
                    **os.environ,
                    "PYTHONPATH": os.pathsep.join(filter(None, sys.path)),
                    # It has no use for an accelerator, and must not take the parent's memory there.
                    "JAX_PLATFORMS": "cpu",
                    "OMP_NUM_THREADS": "1",
                },
            )
        self._end = weakref.finalize(self, _end, self._socket, self.process)

    def begin(self, processes: int) -> None:
        """Sends the origin of the rules, and waits until they are created."""
        self._socket.settimeout(_START_SECONDS)
        text = json.dumps({**dataclasses.asdict(self._origin), "processes": processes}).encode()
        self._socket.sendall(struct.pack("<Q", len(text)) + text)
        status, data = receive_reply(self._socket)
        if status != ANSWERED:
            raise _error(data)
        self._socket.settimeout(None)

    def send(self, question: str, arrays: Sequence[np.ndarray]) -> None:
        """Sends one request."""
        arguments = []
        columns = 0
        takes = self._rows.takes[question]
        for (name, dtype), array in zip(takes.items(), arrays, strict=True):
            if name == "moves":
                # Long games are mostly short: no more than the longest of these matches.
                lengths = [one for key, one in zip(takes, arrays, strict=True) if "lengths" in key]
                columns = max(int(one.max(initial=0)) for one in lengths)
            if "moves" in name:
                array = array[:, :columns]
            arguments.append(array.astype(dtype, copy=False))
        number = self._questions.index(question)
        header = REQUEST.pack(number, len(arrays[0]), columns)
        self._socket.sendall(header + packed(arguments))

    def receive(self, question: str, rows: int) -> list[np.ndarray] | GameContractError:
        """Returns the answer to a request, or an error of the rules."""
        status, data = receive_reply(self._socket)
        if status != ANSWERED:
            return _error(data)
        return unpacked(data, rows, self._rows.gives[question])

    def close(self) -> None:
        """Ends the process."""
        self._end()


def receive_exactly(connection: socket.socket, size: int) -> bytearray:
    """Returns the next `size` bytes; raises `EOFError` if the other side is gone."""
    data = bytearray(size)
    view = memoryview(data)
    while view:
        count = connection.recv_into(view)
        if count == 0:
            raise EOFError("a process that plays by the rules has ended")
        view = view[count:]
    return data


def receive_reply(connection: socket.socket) -> tuple[int, bytearray]:
    """Returns whether the other side answered, and its answer in bytes."""
    status, size = REPLY.unpack(receive_exactly(connection, REPLY.size))
    return status, receive_exactly(connection, size)


def _error(data: bytearray) -> GameContractError:
    told = json.loads(data)
    lists = {name: tuple(told.get(name, ())) for name in ("start", "moves", "outcomes")}
    return GameContractError(told["message"], hint=told["hint"], rule=told.get("rule", ""), **lists)


def _end(connection: socket.socket, process: subprocess.Popen[bytes]) -> None:
    """Closes the socket of a process, which ends it."""
    connection.close()
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=5)
        return
    process.kill()
    process.wait()
