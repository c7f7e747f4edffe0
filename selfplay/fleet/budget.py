"""Ends a fleet when its run has cost as much as it may."""

import time
import tomllib
from collections.abc import Callable

from selfplay.errors import ConfigError, RunError, StorageError
from selfplay.fleet.fleet import Fleet
from selfplay.run.usage import hours_by_role
from selfplay.settings import CostConfig, load_config
from selfplay.store.open import open_store
from selfplay.store.place import typed

_LOOK_SECONDS = 60.0
_RUN_FILE = "run.toml"


class Budget:
    """Watches the bill of a run: hours of its processes by role, times their prices."""

    def __init__(
        self,
        fleet: Fleet,
        max_cost: float,
        say: Callable[[str], None],
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Looks at the bill for the first time.

        Args:
            fleet: its settings and those of its run say the prices.
            max_cost: the largest bill, above 0; what the run has cost before counts.
            say: shows a line.
            clock: seconds; the bill is looked at once a minute.

        Raises:
            ConfigError: there are no prices.
            RunError: the bill has reached the limit already.
            StorageError: the store cannot be reached.
        """
        self._run = fleet.run
        self._max_cost = max_cost
        self._say = say
        self._clock = clock
        self._prices = _prices(fleet)
        if not self._prices.known:
            raise ConfigError(
                "--max-cost is given, but the run has no prices",
                hint="name what an hour of a process costs: --set cost.worker_hour=0.05",
            )
        cost = self.cost()
        if cost >= max_cost:
            raise RunError(
                f"{fleet.run} has cost {cost:,.2f} already, and --max-cost is {max_cost:g}",
                hint=f"give a larger --max-cost; selfplay status {typed(fleet.run)} shows the bill",
            )
        self._next = clock() + _LOOK_SECONDS

    def cost(self) -> float:
        """Returns the bill so far.

        Raises:
            StorageError: the store cannot be reached.
        """
        return self._prices.bill(hours_by_role(self._run))

    def spent(self) -> str:
        """Returns why the fleet must end, in words; "" while it need not."""
        if self._clock() < self._next:
            return ""
        self._next = self._clock() + _LOOK_SECONDS
        try:
            cost = self.cost()
        except StorageError as error:
            self._say(f"the bill cannot be read: {error}; it is looked at again in a minute")
            return ""
        if cost < self._max_cost:
            return ""
        return (
            f"the run has cost {cost:,.2f}, and --max-cost is {self._max_cost:g}; a larger one "
            "resumes it"
        )


def _prices(fleet: Fleet) -> CostConfig:
    """Returns the prices as the trainer has them: those of the run, then those of this launch."""
    config = load_config(preset=fleet.preset, environ={}, overrides=fleet.settings)
    try:
        stored = tomllib.loads(open_store(fleet.run).read(_RUN_FILE).decode())["config"]
    except (FileNotFoundError, tomllib.TOMLDecodeError, UnicodeDecodeError, KeyError):
        # A new run; a damaged one is for the trainer to report.
        return config.cost
    asked = (setting.partition("=") for setting in fleet.settings if setting.startswith("cost."))
    changed = {key.removeprefix("cost."): float(value) for key, _, value in asked}
    return CostConfig(**{**stored.get("cost", {}), **changed})
