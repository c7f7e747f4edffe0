"""The newest balance report of a run, kept beside its matches for the web board."""

import json
from typing import Any

from selfplay.reports.balance.own_matches import FOLDER
from selfplay.run import RunDirectory

NAME = f"{FOLDER}/report.json"


def write_report(run: RunDirectory, report: dict[str, Any]) -> None:
    """Keeps a report in its run, in the place of an earlier one.

    Raises:
        StorageError: the store is full, cannot be reached or refuses.
    """
    run.store.write(NAME, (json.dumps(report, allow_nan=False) + "\n").encode())


def read_report(run: RunDirectory) -> dict[str, Any] | None:
    """Returns the report that a run keeps, None if it has none or the file is damaged.

    Raises:
        StorageError: the store cannot be reached.
    """
    try:
        report = json.loads(run.store.read(NAME))
    except (FileNotFoundError, ValueError):
        return None
    return report if isinstance(report, dict) and "samples" in report else None
