"""Runs the processes of a comparison: both arms of a cell side by side, a core each."""

import os
import queue
import shutil
import subprocess
import sys
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from benchmarks.paired_training.arm import MEASURED, TRAINED
from benchmarks.paired_training.plan import ARMS, Cell, Plan
from selfplay.errors import SelfplayError

_ROOT = Path(__file__).parents[2]
_LAST_LINES = 15

Lane = Sequence[int | None]
"""The cores for one pair of trainings: two, or one on which they follow each other."""


class Runner:
    """Starts the processes, at most one on each core."""

    def __init__(
        self,
        plan: Plan,
        directory: Path,
        *,
        cores: Sequence[int | None],
        warm_up: bool = True,
        baseline: Path | None = None,
        say: Callable[[str], None],
    ) -> None:
        """Starts nothing yet.

        Args:
            plan: stored in `directory`.
            directory: of the results.
            cores: to use, at least one.
            warm_up: whether each arm compiles before its first training, in a run of its own.
            baseline: another comparison; where it has trained arm A already, that is taken.
            say: is told what happens; from several threads.

        Raises:
            ConfigError: the arm A of the baseline is another one.
        """
        if baseline is not None:
            plan.check_baseline(baseline)
        self._plan = plan
        self._directory = directory.absolute()
        self._warm_up = warm_up
        self._baseline = baseline
        self._say = say
        lanes = [cores[i : i + 2] for i in range(0, len(cores) - 1, 2)] or [cores]
        self._lanes: queue.SimpleQueue[Lane] = queue.SimpleQueue()
        for lane in lanes:
            self._lanes.put(lane)
        self._count = len(lanes)
        self._processes: set[subprocess.Popen[bytes]] = set()
        self._lock = threading.Lock()
        self._stopped = False
        self._failure: SelfplayError | None = None

    def run(self) -> None:
        """Trains and measures every cell that is not done yet.

        Raises:
            SelfplayError: a process failed; the others were ended. The next call goes on.
        """
        self.label()
        if self._warm_up:
            self._all(self._warm, list(enumerate(self._one_cell_a_game)))
        self._all(self._cell, list(enumerate(self._plan.cells)))

    def label(self) -> None:
        """Labels the positions of every game, unless that was done once before.

        Raises:
            SelfplayError: a process failed.
        """
        self._all(
            self._label, [(0, cell) for cell in self._one_cell_a_game if self._plan.positions]
        )

    @property
    def _one_cell_a_game(self) -> list[Cell]:
        """Labels and compiled programs serve all seeds: the process of one cell makes them."""
        return [Cell(game, self._plan.seeds[0]) for game in dict.fromkeys(self._plan.games)]

    def _all(
        self, task: Callable[[int, Cell, Lane], None], cells: Sequence[tuple[int, Cell]]
    ) -> None:
        """Does a task for some cells, as many at once as there are lanes."""
        with ThreadPoolExecutor(self._count) as pool:
            try:
                for future in [pool.submit(self._on_lane, task, *cell) for cell in cells]:
                    future.result()
            except BaseException as error:
                self._stop()
                # What the first lane says may only be that another one has failed.
                if self._failure is not None and isinstance(error, SelfplayError):
                    raise self._failure from None
                raise

    def _on_lane(self, task: Callable[[int, Cell, Lane], None], number: int, cell: Cell) -> None:
        lane = self._lanes.get()
        try:
            task(number, cell, lane)
        finally:
            self._lanes.put(lane)

    def _label(self, number: int, cell: Cell, lane: Lane) -> None:
        self._run([("label", cell, "", lane[0])])

    def _warm(self, number: int, cell: Cell, lane: Lane) -> None:
        # One after the other: what the second has in common with the first is compiled already.
        for arm in ARMS:
            name = cell.folder(self._directory).parent.name
            done = self._directory / "warm" / f"{name}-{arm}.json"
            if not done.exists():
                self._say(f"{cell.game}, arm {arm}: compiles")
                self._run([("warm-up", cell, arm, lane[0])])

    def _cell(self, number: int, cell: Cell, lane: Lane) -> None:
        folder = cell.folder(self._directory)
        if (folder / MEASURED.format(set=self._plan.positions_of)).exists():
            return
        if self._baseline is not None:
            take_arm(cell.folder(self._baseline), folder, ARMS[0])
        # In turn, each arm gets the first core, or trains first.
        arms = ARMS if number % 2 == 0 else ARMS[::-1]
        jobs = [
            ("train", cell, arm, lane[place % len(lane)])
            for place, arm in enumerate(arms)
            if not (folder / TRAINED.format(arm=arm)).exists()
        ]
        if jobs:
            names = " and ".join(sorted(arm for _, _, arm, _ in jobs))
            self._say(f"{cell.game}, seed {cell.seed}: trains {names}")
        for first in range(0, len(jobs), len(lane)):
            self._run(jobs[first : first + len(lane)])
        self._say(f"{cell.game}, seed {cell.seed}: measures")
        self._run([("measure", cell, "", lane[0])])

    def _run(self, jobs: Sequence[tuple[str, Cell, str, int | None]]) -> None:
        """Runs processes side by side, and waits for them.

        Raises:
            SelfplayError: one of them failed.
        """
        started = []
        for what, cell, arm, core in jobs:
            folder = cell.folder(self._directory)
            folder.mkdir(parents=True, exist_ok=True)
            log = folder / f"log-{what}{'-' + arm if arm else ''}.txt"
            command = [
                *(sys.executable, "-m", "benchmarks.paired_training"),
                *(str(self._directory), what, cell.game, str(cell.seed), arm),
                "" if core is None else str(core),
            ]
            path = os.pathsep.join(filter(None, (str(_ROOT), os.environ.get("PYTHONPATH"))))
            with self._lock, log.open("ab") as output:
                if self._stopped:
                    raise SelfplayError("the comparison was stopped")
                process = subprocess.Popen(
                    command,
                    env={**os.environ, "PYTHONPATH": path},
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
                self._processes.add(process)
            started.append((process, log))
        for process, log in started:
            code = process.wait()
            with self._lock:
                self._processes.discard(process)
                stopped = self._stopped
            if code and not stopped:
                self._stop()
                last = log.read_text(errors="replace").splitlines()[-_LAST_LINES:]
                self._failure = SelfplayError(
                    f"a process ended with exit code {code}; the last lines of {log}:\n"
                    + "\n".join(last)
                )
        if self._failure is not None:
            raise self._failure

    def _stop(self) -> None:
        with self._lock:
            self._stopped = True
            for process in self._processes:
                process.terminate()


def take_arm(source: Path, folder: Path, arm: str) -> None:
    """Copies the finished training of one arm of another comparison, unless it is there.

    Args:
        source: folder of the cell in the other comparison.
        folder: of the cell here.
        arm: "a" or "b".
    """
    file = TRAINED.format(arm=arm)
    if (folder / file).exists() or not (source / file).exists():
        return
    shutil.copytree(source / f"run-{arm}", folder / f"run-{arm}", dirs_exist_ok=True)
    # Last, since it says that the rest is complete.
    shutil.copyfile(source / file, folder / file)
