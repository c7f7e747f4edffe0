"""The supervisor of a fleet in the background: `python -m selfplay.fleet.engines.detached RUN`.

`selfplay launch --detach` writes the record and starts it.
"""

import datetime
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from selfplay.errors import RunError, SelfplayError
from selfplay.fleet.backends import LaunchOptions
from selfplay.fleet.engines.local import supervise
from selfplay.fleet.fleet import Fleet
from selfplay.fleet.record import Record


def run_recorded(run: str, log: TextIO) -> int:
    """Supervises the fleet in the record of a run until it ends.

    Args:
        run: the run.
        log: gets a line for each event.

    Returns:
        The exit code.
    """

    def say(text: str) -> None:
        now = datetime.datetime.now().astimezone().isoformat(timespec="seconds")
        log.write(f"{now} {text}\n")
        log.flush()

    def on_stop(stop: Callable[[], None]) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: stop())

    record = Record(run)
    try:
        document = record.read()
        if document is None:
            raise RunError(f"no fleet of {run} is recorded", hint="use selfplay launch")
        options = document["options"]
        logs = options["logs"]
        outcome = supervise(
            record,
            Fleet.from_dict(document["fleet"]),
            LaunchOptions(
                logs=None if logs is None else Path(logs),
                max_restarts=options["max_restarts"],
                max_cost=options.get("max_cost"),
            ),
            say,
            on_stop,
        )
    except SelfplayError as error:
        say(f"error: {error}" + (f"; {error.hint}" if error.hint else ""))
        return error.exit_code
    say(f"ended: {outcome.reason}{f'; {outcome.error}' if outcome.error else ''}")
    return 1 if outcome.error else 0


if __name__ == "__main__":
    sys.exit(run_recorded(sys.argv[1], sys.stdout))
