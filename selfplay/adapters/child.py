"""The child process of `selfplay.adapters.pool`: runs the rules for a slice of the batch."""

import importlib
import json
import os
import socket
import struct
import sys
import threading
import time
from collections.abc import Sequence

import numpy as np

from selfplay.adapters.origin import source_hash
from selfplay.adapters.pool import ANSWERED, REFUSED, REPLY, REQUEST, receive_exactly
from selfplay.adapters.python_game import PythonGame
from selfplay.adapters.rows import HostRows, Kind, packed, unpacked
from selfplay.adapters.tree import HostTree
from selfplay.contract import brief
from selfplay.errors import GameContractError, SelfplayError

_CAPACITY = 1 << 17
_LEAST_CAPACITY = 1 << 14


def main() -> None:
    """Creates the rules, then answers until the parent closes the socket or has ended."""
    parent = int(sys.argv[2])
    # The parent's end of the socket closes when it dies, but hanging rules would not notice.
    threading.Thread(target=_watch, args=(parent,), daemon=True).start()
    with socket.socket(fileno=int(sys.argv[1])) as connection:
        try:
            rows = _made(connection)
            _reply(connection, ANSWERED, b"")
            while True:
                _answer(connection, rows)
        except (EOFError, OSError):
            return
        except SelfplayError as error:
            _refuse(connection, error)


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(0)


def _made(connection: socket.socket) -> HostRows:
    """Returns the rules that the parent names."""
    (size,) = struct.unpack("<Q", receive_exactly(connection, 8))
    told = json.loads(receive_exactly(connection, size))
    module, _, name = told["maker"].partition(":")
    try:
        rules = getattr(importlib.import_module(module), name)(*told["arguments"])
    except SelfplayError:
        raise
    except Exception as error:
        raise GameContractError(f"the rules cannot be made again: {brief(error)}") from error
    if not isinstance(rules, PythonGame):
        raise GameContractError(f"{told['maker']} returns {type(rules).__name__}, no PythonGame")
    if source_hash(rules) != told["source"]:
        raise GameContractError(f"{rules.name}: its file has changed since it was loaded")
    capacity = max(_CAPACITY // told["processes"], _LEAST_CAPACITY)
    return HostRows(HostTree(rules, capacity))


def _answer(connection: socket.socket, rows: HostRows) -> None:
    """Answers one request."""
    number, count, columns = REQUEST.unpack(receive_exactly(connection, REQUEST.size))
    question = list(rows.takes)[number]
    kinds = [
        Kind((columns,) if "moves" in name else (), dtype)
        for name, dtype in rows.takes[question].items()
    ]
    bytes_each = sum(int(np.prod(kind.shape)) * kind.dtype.itemsize for kind in kinds)
    data = receive_exactly(connection, count * bytes_each)
    try:
        found: Sequence[np.ndarray] = rows.ask(question, *unpacked(data, count, kinds))
    except GameContractError as error:
        _refuse(connection, error)
        return
    given = zip(found, rows.gives[question], strict=True)
    _reply(connection, ANSWERED, packed([array.astype(kind.dtype) for array, kind in given]))


def _refuse(connection: socket.socket, error: SelfplayError) -> None:
    _reply(connection, REFUSED, json.dumps(_told(error)).encode())


def _told(error: SelfplayError) -> dict[str, object]:
    """Returns an error with its hint as text."""
    told: dict[str, object] = {"message": str(error), "hint": error.hint}
    if isinstance(error, GameContractError):
        told |= {"rule": error.rule, "start": error.start}
        told |= {"moves": error.moves, "outcomes": error.outcomes}
    return told


def _reply(connection: socket.socket, status: int, data: bytes) -> None:
    connection.sendall(REPLY.pack(status, len(data)) + data)
