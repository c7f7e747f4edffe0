"""A supervisor with a stand-in for `selfplay`: `python driver.py RUN PROGRAM [TRAINER_HOSTS]`."""

import signal
import sys
from collections.abc import Callable

from selfplay.fleet.backends import LaunchOptions
from selfplay.fleet.engines import local, local_starter
from selfplay.fleet.record import Record
from selfplay.fleet.request import make_fleet


def main(run: str, program: str, trainer_hosts: str = "1") -> None:
    """Runs a fleet of a trainer, two workers and a reanalyzer until SIGTERM."""
    local_starter.PROGRAM = (sys.executable, program)

    def on_stop(stop: Callable[[], None]) -> None:
        signal.signal(signal.SIGTERM, lambda *_: stop())

    fleet = make_fleet(
        run=run,
        game="tic_tac_toe",
        trainer_hosts=int(trainer_hosts),
        workers=2,
        evaluators=0,
        reanalyzers=1,
        environ={},
    )
    local.supervise(
        Record(run),
        fleet,
        LaunchOptions(),
        lambda text: print(text, flush=True),  # noqa: T201
        on_stop,
    )


if __name__ == "__main__":
    main(*sys.argv[1:])
