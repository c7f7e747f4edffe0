"""What a run's checkpoints did in position suites: one small file each, in `RUN/ratings`."""

import json
import re
import time
from collections.abc import Mapping
from typing import Any

from selfplay.run.ratings import FOLDER, result_digest
from selfplay.run.small_records import read_newest_record, read_records
from selfplay.store.open import open_store
from selfplay.store.place import Place
from selfplay.store.store import Store

_NAME = re.compile(rf"{FOLDER}/[0-9]+-suite-[0-9a-f]+\.json")
_NEEDED = ("update", "time", "suite", "share", "low", "high", "positions", "solved", "failed")


def append_suite_result(run: Place | Store, record: Mapping[str, Any]) -> str:
    """Adds what one checkpoint did in a suite: a JSON file.

    The same record given twice is stored once, so a repetition after a restart adds nothing.

    Args:
        run: the run.
        record: what `selfplay.arena.SuiteResult.to_dict` returns, with "update", and usually with
            "simulations" and "elapsed_seconds" of training.

    Returns:
        Its name in the store.

    Raises:
        StorageError: the disk is full or refuses the write.
    """
    name = f"{FOLDER}/{int(record['update']):08d}-suite-{result_digest([record])}.json"
    text = json.dumps({**record, "time": time.time()}) + "\n"
    open_store(run).write_new(name, text.encode())
    return name


def read_suite_results(run: Place | Store) -> list[dict[str, Any]]:
    """Returns the records of all checkpoints, by update and then time.

    Raises:
        RunError: one of the files is damaged.
    """
    return read_records(run, _NAME, _NEEDED)


def read_newest_suite_result(run: Place | Store) -> dict[str, Any] | None:
    """Returns the last of what `read_suite_results` returns, None if there is none; reads it alone.

    Raises:
        RunError: its file is damaged.
    """
    return read_newest_record(run, _NAME, _NEEDED)
