"""Small JSON files about single checkpoints, in `RUN/ratings`: how all kinds of them are read."""

import json
import re
from collections.abc import Sequence
from typing import Any

from selfplay.errors import RunError
from selfplay.run.ratings import FOLDER, named_update
from selfplay.store.open import open_store
from selfplay.store.place import Place
from selfplay.store.store import Store


def read_records(
    run: Place | Store, pattern: re.Pattern[str], needed: Sequence[str]
) -> list[dict[str, Any]]:
    """Returns the records whose files have such names, by update and then time.

    Args:
        run: the run.
        pattern: of the whole name in the store.
        needed: keys that every reader relies on, "update" and "time" among them.

    Raises:
        RunError: one of the files is damaged.
    """
    store = open_store(run)
    names = [name for name in store.names(FOLDER) if pattern.fullmatch(name)]
    records = [record for name in names if (record := _read(store, name, needed))]
    return sorted(records, key=lambda record: (record["update"], record["time"]))


def read_newest_record(
    run: Place | Store, pattern: re.Pattern[str], needed: Sequence[str]
) -> dict[str, Any] | None:
    """Returns the last of what `read_records` returns, None if there is none.

    It reads the files of one update, however many there are: their names begin with it.

    Raises:
        RunError: one of these files is damaged.
    """
    store = open_store(run)
    by_update: dict[int, list[str]] = {}
    for name in store.names(FOLDER):
        if pattern.fullmatch(name):
            by_update.setdefault(named_update(name), []).append(name)
    for update in sorted(by_update, reverse=True):
        records = [record for name in by_update[update] if (record := _read(store, name, needed))]
        if records:
            return max(records, key=lambda record: record["time"])
    return None


def _read(store: Store, name: str, needed: Sequence[str]) -> dict[str, Any]:
    """Returns a record; an empty one if it was removed since it was listed."""
    try:
        record: dict[str, Any] = json.loads(store.read(name).decode())
        for key in needed:
            _ = record[key]
    except FileNotFoundError:
        return {}
    except (ValueError, LookupError, TypeError) as error:
        raise RunError(
            f"{store.label(name)} is damaged: {error}",
            hint="remove the file: only this measurement is lost",
        ) from None
    return record
