"""The next step of a trainer, agreed between its processes."""

import dataclasses
from typing import Any

from selfplay.errors import RunError
from selfplay.training.process_group import ProcessGroup


@dataclasses.dataclass(frozen=True, kw_only=True)
class Step:
    """What all processes of a trainer do next; see `ProcessGroup`.

    Attributes:
        save: whether to write a checkpoint first.
        stop: whether to end after that.
        files: files of matches to take in, worker and number.
        reanalyses: files of matches that were searched again, likewise.
        time_share: share of the planned time that has passed, in [0, 1].
        update: number of updates that the first process has made.
        positions: number of positions that it has taken in.
    """

    save: bool
    stop: bool
    files: list[list[Any]]
    reanalyses: list[list[Any]]
    time_share: float
    update: int
    positions: int


def agree(step: Step, group: ProcessGroup) -> Step:
    """Returns the step of the first process, in every process.

    Raises:
        RunError: this process has not made the same updates from the same positions as the first.
    """
    agreed = Step(**group.agree(dataclasses.asdict(step)))
    if (agreed.update, agreed.positions) != (step.update, step.positions):
        raise RunError(
            f"process {group.index} of the trainer is at update {step.update} with "
            f"{step.positions} positions, but the first one at {agreed.update} with "
            f"{agreed.positions}",
            hint="all must see the same files at once; start them again",
        )
    return agreed
