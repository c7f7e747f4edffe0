"""Mistakes of a run's checkpoints in solved positions, for games that have `solve`."""

import contextlib
from collections.abc import Callable, Mapping
from typing import Any

from selfplay.arena import (
    Agent,
    SolvedPositions,
    has_solver,
    measure_mistakes,
    solve_positions,
)
from selfplay.errors import RunError
from selfplay.game import Game
from selfplay.run import RunDirectory, append_mistakes, read_newest_mistakes
from selfplay.settings.sections import EvaluationConfig
from selfplay.telemetry import MistakeRate, mistake_rates

# The same positions in every process and for every checkpoint, so that only the agent differs.
_SEED = 0


class MistakeMeter:
    """Gives every checkpoint the same solved positions and counts its mistakes.

    Attributes:
        newest: the newest record without the single mistakes, None before the first.
    """

    def __init__(
        self,
        game: Game[Any],
        run: RunDirectory,
        config: EvaluationConfig,
        *,
        enabled: bool = True,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Reads earlier records of the run, if any; solves nothing yet.

        Args:
            game: the rules.
            run: gets the records.
            config: how many positions, and how long they may take to solve.
            enabled: whether it measures; otherwise it only reads earlier records.
            say: shows a message if positions could not be solved.
        """
        self._game = game
        self._run = run
        self._config = config
        self._enabled = enabled and config.mistake_positions > 0 and has_solver(game)
        self._say = say
        self._solved: SolvedPositions | None = None
        self._measured: int | None = None
        self.newest: dict[str, Any] | None = None
        self.reread()

    def reread(self) -> None:
        """Takes in records that other processes have stored."""
        # A damaged file must not stop training: `selfplay status` reports it.
        with contextlib.suppress(RunError):
            self.newest = read_newest_mistakes(self._run.store)

    @property
    def rates(self) -> tuple[MistakeRate, ...]:
        """The mistake rates of the newest record; empty before the first."""
        return () if self.newest is None else mistake_rates(self.newest)

    def due(self, update: int) -> bool:
        """Returns whether to measure the checkpoint; each is measured only once."""
        unsolvable = self._solved is not None and not self._solved.openings
        return self._enabled and not unsolvable and update != self._measured

    def prepare(self, progress: Callable[[], None]) -> None:
        """Finds the positions and solves them, once.

        Args:
            progress: called now and then; may raise to stop.

        Raises:
            GameContractError: `solve` fails, or names moves that are not legal.
        """
        if not self._enabled or self._solved is not None:
            return
        solved = solve_positions(
            self._game,
            num_positions=self._config.mistake_positions,
            seed=_SEED,
            seconds=self._config.solver_seconds,
            progress=progress,
        )
        self._solved = solved
        count = len(solved.openings)
        if solved.skipped:
            limit = f"{self._config.solver_seconds:g} seconds (evaluation.solver_seconds)"
            self._say(
                f"mistakes are counted in {count} positions; the earliest {solved.skipped} were "
                f"not solved within {limit}"
            )
        elif not count:
            self._say(f"no mistakes are counted: solve of {self._game.name} knows no position")

    def measure(
        self,
        agent: Agent,
        *,
        update: int,
        batch_size: int,
        facts: Mapping[str, Any],
        progress: Callable[[], None],
    ) -> None:
        """Measures a checkpoint in every position, and stores the result in the run.

        Args:
            agent: the checkpoint.
            update: the number of updates behind it.
            batch_size: positions searched at once.
            facts: more to store, such as "simulations".
            progress: called now and then; may raise to stop.
        """
        self.prepare(progress)
        if self._solved is None or not self.due(update):
            return
        table = measure_mistakes(agent, self._solved, batch_size=batch_size, progress=progress)
        record = {**table.to_dict(), **facts, "update": update}
        made = [mistake.to_dict() for mistake in table.made]
        append_mistakes(self._run.store, record, made)
        self._measured = update
        self.newest = record
