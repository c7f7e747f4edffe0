"""Mistakes of a run's checkpoints in solved positions: one small file each, in `RUN/ratings`."""

import json
import re
import time
from collections.abc import Mapping, Sequence
from typing import Any

from selfplay.run.ratings import FOLDER, result_digest
from selfplay.run.small_records import read_newest_record, read_records
from selfplay.store.open import open_store
from selfplay.store.place import Place
from selfplay.store.store import Store

_NAME = re.compile(rf"{FOLDER}/[0-9]+-mistakes-[0-9a-f]+\.json")
_NEEDED = ("update", "time", "phases", "made")


def append_mistakes(
    run: Place | Store, record: Mapping[str, Any], made: Sequence[Mapping[str, Any]] = ()
) -> str:
    """Adds what one checkpoint did in solved positions: a JSON file.

    The same record given twice is stored once, so a repetition after a restart adds nothing.

    Args:
        run: the run.
        record: "update" is required; usual is what `selfplay.arena.MistakeTable.to_dict` returns,
            with "simulations" and "elapsed_seconds" of training.
        made: every mistake: how the position was reached, and what was played.

    Returns:
        Its name in the store.

    Raises:
        StorageError: the disk is full or refuses the write.
    """
    content = {**record, "made": [dict(mistake) for mistake in made]}
    name = f"{FOLDER}/{int(record['update']):08d}-mistakes-{result_digest([content])}.json"
    text = json.dumps({**content, "time": time.time()}) + "\n"
    open_store(run).write_new(name, text.encode())
    return name


def read_mistakes(run: Place | Store) -> list[dict[str, Any]]:
    """Returns the records of all checkpoints, by update and then time, without single mistakes.

    Raises:
        RunError: one of the files is damaged.
    """
    return [
        {key: value for key, value in record.items() if key != "made"} for record in _records(run)
    ]


def read_mistake_moves(run: Place | Store) -> list[dict[str, Any]]:
    """Returns every mistake, each with the "update" of the checkpoint that made it.

    Raises:
        RunError: one of the files is damaged.
    """
    return [
        {"update": record["update"], **mistake}
        for record in _records(run)
        for mistake in record["made"]
    ]


def read_newest_mistakes(run: Place | Store) -> dict[str, Any] | None:
    """Returns the last of what `read_mistakes` returns, None if there is none; reads it alone.

    Raises:
        RunError: its file is damaged.
    """
    record = read_newest_record(run, _NAME, _NEEDED)
    if record is not None:
        del record["made"]
    return record


def _records(run: Place | Store) -> list[dict[str, Any]]:
    return read_records(run, _NAME, _NEEDED)
