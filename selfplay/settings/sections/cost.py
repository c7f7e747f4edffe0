"""Settings of `[cost]`: what the processes of a run cost."""

import dataclasses

from selfplay.configuration import check_range


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class CostConfig:
    """What an hour of each process costs; `selfplay status` shows the bill.

    Attributes:
        trainer_hour: price of an hour of the trainer, at least 0, in any currency; the same one for
            all roles.
        worker_hour: price of an hour of each worker, likewise.
        evaluator_hour: price of an hour of each evaluator, likewise.
        reanalyzer_hour: price of an hour of each `selfplay reanalyze`, likewise.
    """

    trainer_hour: float = 0.0
    worker_hour: float = 0.0
    evaluator_hour: float = 0.0
    reanalyzer_hour: float = 0.0

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            check_range(f"cost.{field.name}", getattr(self, field.name), low=0)

    def bill(self, hours: dict[str, float]) -> float:
        """Returns the price of hours of processes.

        Args:
            hours: by role: "trainer", "worker", "evaluator" or "reanalyzer".
        """
        return float(sum(getattr(self, f"{role}_hour") * number for role, number in hours.items()))

    @property
    def known(self) -> bool:
        """Whether there is any price."""
        return any(getattr(self, field.name) for field in dataclasses.fields(self))
