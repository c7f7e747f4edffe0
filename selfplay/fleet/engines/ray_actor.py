"""The supervisor of a fleet on a Ray cluster."""

import threading
from collections.abc import Mapping
from typing import Any

from selfplay.errors import RunError, StorageError
from selfplay.fleet.budget import Budget
from selfplay.fleet.engines.ray_starter import RayStarter
from selfplay.fleet.fleet import Fleet
from selfplay.fleet.supervisor import Outcome, Supervisor


class FleetActor:
    """The supervisor of a fleet, as an actor that outlives the launcher.

    Ray starts it again if its node is lost. Its tasks end with it, and it starts them anew.
    """

    def __init__(
        self,
        document: Mapping[str, Any],
        games: Mapping[str, str],
        most_restarts: int,
        max_cost: float | None = None,
    ) -> None:
        """Starts the fleet.

        Args:
            document: the fleet, as `Fleet.to_dict` has it.
            games: the file of the game: name and content.
            most_restarts: failures in a row after which a process is given up.
            max_cost: the bill at which the fleet ends; None for no limit.
        """
        fleet = Fleet.from_dict(document)
        self._said: list[str] = []
        self._outcome: Outcome | None = None
        self._max_cost = max_cost
        self._budget: Budget | None = None
        self._fleet = fleet
        self._starter = RayStarter(fleet, games)
        self._supervisor = Supervisor(
            fleet.processes(),
            self._starter,
            say=self._said.append,
            most_restarts=most_restarts,
            spent=self._spent,
        )
        threading.Thread(target=self._run, name="supervisor", daemon=True).start()

    def _run(self) -> None:
        try:
            outcome = self._supervisor.run()
        except Exception as error:
            outcome = Outcome(reason="the supervisor has failed", error=repr(error))
        # Before anybody hears of the end, at which this actor is removed.
        self._starter.close()
        self._outcome = outcome

    def _spent(self) -> str:
        """Returns why the fleet must end, "" while it need not."""
        if self._max_cost is None:
            return ""
        if self._budget is None:
            # Here: Ray starts this actor again on a node that may not reach the store at once.
            try:
                self._budget = Budget(self._fleet, self._max_cost, self._said.append)
            except RunError as error:
                return str(error)
            except StorageError:
                return ""
        return self._budget.spent()

    def status(self, after: int = 0) -> dict[str, Any]:
        """Returns the processes, what was said after so many lines, and how the fleet has ended."""
        return {
            "processes": [one.to_dict() for one in self._supervisor.watched],
            "said": self._said[after:],
            "ended": None if self._outcome is None else self._outcome.reason,
            "error": None if self._outcome is None else self._outcome.error,
        }

    def stop(self) -> None:
        """Asks all processes to save and end."""
        self._supervisor.stop()
