"""A training session: the whole loop in one process, or the trainer that others play for.

What happens depends on the seed, on counters and on the files of matches taken in (apart from the
clock, where a plan in minutes steers the learning rate). A run that was killed and resumed goes on
as if nothing had happened; where other processes play, the ledger notes what came when.
"""

import dataclasses
from collections.abc import Callable

from selfplay.evaluation.strength import StrengthMeter
from selfplay.learner import TrainState
from selfplay.records import MatchRecord
from selfplay.run import RunDirectory
from selfplay.run.retention import Retention
from selfplay.runtime.components import Components
from selfplay.runtime.meter import Meter
from selfplay.runtime.playing import Playing
from selfplay.runtime.publishing import HeartbeatWriter, ProgressPublisher, RecentMatches
from selfplay.store.place import typed
from selfplay.telemetry import Monitor, Progress, Reporter, make_reporter
from selfplay.training.cursor import LOOP, Cursor
from selfplay.training.evaluation_schedule import EvaluationSchedule
from selfplay.training.idle_timer import IdleTimer
from selfplay.training.intake import Intake, store_own
from selfplay.training.learning import Learning, run_keys
from selfplay.training.process_group import ProcessGroup
from selfplay.training.session_schedule import SessionSchedule
from selfplay.training.snapshot import SnapshotBuilder
from selfplay.training.steps import Step, agree

_EVALUATION_NEWS_SECONDS = 1.0


class Trainer:
    """One training session of a run. Make it, call `train`, and it is done.

    Attributes:
        learning: weights, replay window, counters.
        playing: the matches in progress; None in a trainer that others play for.
        evaluates: whether it measures its strength itself.
    """

    def __init__(
        self,
        run: RunDirectory,
        components: Components,
        reporter: Reporter,
        *,
        plays: bool = True,
        monitor: Monitor | None = None,
        idle_exit_seconds: float = 0.0,
    ) -> None:
        """Goes on from the newest checkpoint, or starts anew.

        Args:
            run: the run, locked by the caller.
            parts: made from the run's game and config.
            reporter: is told how it goes.
            plays: whether it plays itself; else it learns from what workers store alone.
            monitor: is told how it goes, too; its id tells the trainer's processes apart.
            idle_exit_seconds: it ends when no matches came for so long, if it does not play; 0
                to wait for ever.

        Raises:
            CheckpointError: the newest checkpoint is damaged.
            RecordError: a file of matches in the replay window is missing or damaged.
        """
        self.run = run
        self.components = components
        self.config = components.config
        self.reporter = reporter
        self.meter = Meter()
        self.group = ProcessGroup()
        self.heartbeat = HeartbeatWriter(
            run, monitor or Monitor(role="trainer", id=LOOP), self._say
        )
        self._idle_exit_seconds = idle_exit_seconds
        self._recent = RecentMatches()
        self._idle_timer = IdleTimer(self.meter, self._say_hungry)
        self._retention = Retention(run.store, run.matches, self.config.storage)
        self._told_of_excess = False
        self._state = "starting"
        self._publisher: ProgressPublisher | None = None
        self._trained: float | None = None
        keys = run_keys(self.config.trainer.seed)
        self.learning = Learning(run, components, init_key=keys.init, update_key=keys.update)
        self.playing: Playing | None = None
        if plays:
            self.playing = Playing(
                components,
                components.provenance(run, LOOP),
                start_key=keys.start,
                play_key=keys.play,
                say=self._say,
            )
        evaluation = self.config.evaluation
        self.evaluates = plays and evaluation.enabled and bool(evaluation.opponents)
        self.strength = StrengthMeter(components, run, enabled=self.evaluates, say=self._say)
        self._evaluation_schedule = EvaluationSchedule(evaluation, self.meter)
        self._restore()
        self.intake = Intake(self.learning, self._say, own=LOOP if plays else None)
        self._schedule = SessionSchedule(self.learning, self.meter, plays=plays)
        self._snapshot = SnapshotBuilder(
            run=run,
            components=components,
            learning=self.learning,
            schedule=self._schedule,
            meter=self.meter,
            intake=self.intake,
            idle_timer=self._idle_timer,
            recent=self._recent,
            strength=self.strength,
        )

    def _restore(self) -> None:
        newest = self.group.agree(self.run.checkpoints.latest())
        if newest is None:
            return
        for matches in self.learning.restore(newest):
            self._recent.add(matches)
        if self.playing is not None:
            problem = self.playing.restore(
                self.run.checkpoints, newest, iteration=self.cursor.iteration
            )
            if problem:
                self._say(problem)
            if self.playing.must_settle:
                self._keep(self.playing.rest(sequence=self.cursor.sequence))

    @property
    def state(self) -> TrainState:
        """Weights, average, optimiser, update count."""
        return self.learning.state

    @property
    def cursor(self) -> Cursor:
        """The counters."""
        return self.learning.cursor

    @property
    def update(self) -> int:
        """Updates made."""
        return self.learning.update

    @property
    def saved(self) -> int | None:
        """Update of the newest checkpoint, None before the first."""
        return self.learning.saved

    @property
    def elapsed(self) -> float:
        """Seconds of training, over all sessions; without the evaluation at the end."""
        return self._schedule.elapsed if self._trained is None else self._trained

    @property
    def planned_fraction(self) -> float | None:
        """Share of the planned length that is done, None if the run has no planned end."""
        return self._schedule.planned_fraction

    @property
    def _trains(self) -> bool:
        return self._state == "training"

    def stop(self) -> None:
        """Asks `train` to save and return after what it is doing now."""
        self._schedule.stopped.set()

    def train(self) -> None:
        """Trains until the plan is fulfilled or `stop` is called, then saves.

        Raises:
            NonFiniteError: a loss, gradient or weight is not finite; nothing of it is saved.
            StorageError: the disk is full; what was saved before stays.
        """
        if self.group.leads:
            self._publisher = ProgressPublisher(
                self.run, self.heartbeat, self.reporter, resume_at=self.saved
            )
        publisher = self._publisher
        progress = self.progress()
        try:
            while True:
                step = self._next_step()
                if step.save:
                    self._save()
                if step.stop:
                    break
                self._take_in(step)
                due = self._schedule.updates_due(training=self._trains)
                if due:
                    self._learn(due, step.time_share)
                elif self.playing is not None:
                    self._play(self.playing)
                else:
                    self._wait()
                self._evaluate_if_due()
                self.meter.mark()
                progress = self.progress()
                if publisher is not None:
                    suspends = self._schedule.suspends(training=self._trains)
                    publisher.tell(progress, self.meter, suspends=suspends)
            self._trained = self.elapsed
            self._evaluate_at_the_end()
            progress = self.progress()
        finally:
            if self.playing is not None:
                self.playing.close()
            # Not a fresh one: after a failure in the middle of an update there is no state to ask.
            if publisher is not None:
                publisher.close(progress)

    def _next_step(self) -> Step:
        """Returns what to do, the same in every process of this trainer."""
        stop = self._schedule.over or self._idle()
        step = Step(
            save=self._schedule.save_due(last=stop),
            stop=stop,
            files=[] if stop else [list(file) for file in self._new_files()],
            time_share=self._schedule.time_share,
            update=self.update,
            positions=self.cursor.positions,
        )
        return agree(step, self.group)

    def _idle(self) -> bool:
        limit = self._idle_exit_seconds
        return bool(limit) and self._idle_timer.seconds >= limit

    def _new_files(self) -> list[tuple[str, int]]:
        if not self.group.leads:
            return []
        return self.intake.look(now=self._idle_timer.waits)

    def _take_in(self, step: Step) -> None:
        for worker, sequence in step.files:
            matches = self.intake.take(str(worker), int(sequence))
            self._recent.add(matches)
            positions = sum(match.plies for match in matches)
            self.meter.count(matches=len(matches), positions=positions)
        if step.files:
            self._idle_timer.feed()

    def _play(self, playing: Playing) -> None:
        """Plays one chunk in every match; stores and takes in the matches that ended."""
        self._state = "playing"
        cursor = self.cursor
        begin = self.meter.elapsed
        with self.meter.phase("play"):
            finished = playing.chunk(
                self.state.average, update=self.update, sequence=cursor.sequence
            )
            # The first chunk of a session compiles a search, as the first evaluation will.
            self.strength.expect(self.meter.elapsed - begin)
            cursor.iteration = playing.iteration
            self.meter.count(simulations=playing.simulations)
            self._keep(finished)
            playing.wait()

    def _keep(self, finished: list[MatchRecord]) -> None:
        """Stores and takes in matches that ended; meanwhile the devices play on."""
        if not finished:
            return
        cursor = self.cursor
        stored = store_own(self.run.matches, cursor, finished)
        positions = self.learning.take_in(LOOP, cursor.sequence, stored)
        cursor.sequence += 1
        self._recent.add(stored)
        self.meter.count(matches=len(stored), positions=positions)

    def _learn(self, count: int, time_share: float) -> None:
        """Makes `count` updates."""
        self._state = "training"
        with self.meter.phase("train"):
            self.learning.learn(count, time_share=time_share)
        self.meter.count(updates=count)

    def _wait(self) -> None:
        """Waits for matches of workers."""
        self._state = "waiting for matches"
        self._idle_timer.wait(self._schedule.stopped)

    def _say_hungry(self) -> None:
        command = f"selfplay worker --run {typed(self.run.url)}"
        self._say(f"waiting for matches: is there a worker? {command}")

    def _say(self, text: str) -> None:
        if self.group.leads:
            self.reporter.message(text)

    def _evaluate_if_due(self) -> None:
        """Plays a few matches against the next opponent when it is time for that."""
        if not self.evaluates or self._schedule.stopped.is_set() or self.update == 0:
            return
        expected = self.strength.expected_seconds
        if self._evaluation_schedule.due(elapsed=self.elapsed, expected=expected):
            self._evaluate(None, self._schedule.stopped.is_set)

    def _evaluate_at_the_end(self) -> None:
        """Measures the last checkpoint against each opponent, as far as time allows."""
        seconds = self._evaluation_schedule.final_seconds
        if not self.evaluates or not seconds or self.update == 0:
            return
        deadline = self.meter.elapsed + seconds

        def stop() -> bool:
            return self._schedule.stopped.is_set() or self.meter.elapsed > deadline

        for opponent in self.strength.opponents:
            measured = self.strength.results.get(opponent)
            fits = self.meter.elapsed + self.strength.known_seconds(opponent) <= deadline
            if fits and not stop() and (measured is None or measured.update != self.update):
                self._evaluate(opponent, stop)

    def _evaluate(self, opponent: str | None, stop: Callable[[], bool]) -> None:
        """Plays one opponent, by default the next one, and goes on telling how the session is."""
        self._state = "evaluating"
        begin = next_news = self.meter.elapsed

        def tick(text: str) -> None:
            nonlocal next_news
            if self._publisher is not None and self.meter.elapsed >= next_news:
                next_news = self.meter.elapsed + _EVALUATION_NEWS_SECONDS
                progress = dataclasses.replace(self.progress(), evaluation=text)
                self._publisher.tell(progress, self.meter)

        with self.meter.phase("evaluate"):
            self.strength.evaluate(
                self.state.average,
                update=self.update,
                elapsed_seconds=self.elapsed,
                opponent=opponent,
                stop=stop,
                tick=tick,
            )
        self._evaluation_schedule.ended(took=self.meter.elapsed - begin)

    def _save(self) -> None:
        """Writes a checkpoint of everything that changes."""
        cursor = self.cursor
        cursor.elapsed_seconds = self.elapsed
        if self.group.leads:
            items = {} if self.playing is None else self.playing.items()
            self.learning.save(items, recent=self._recent.fields())
            self._prune()
        else:
            self.learning.saved = self.update
        if not self.evaluates:
            self.strength.reread()
        self._schedule.saved()

    def _prune(self) -> None:
        """Removes what is above the limits of `storage`."""
        window = [(worker, sequence) for worker, sequence, *_ in self.cursor.window]
        excess = self._retention.prune(
            cursor=self.cursor.next_files, window=window, update=self.update
        )
        if excess and not self._told_of_excess:
            self._told_of_excess = True
            self._say(
                f"storage.max_bytes is {self.config.storage.max_bytes:,}, but what must stay takes "
                f"{excess:,} bytes more: lower replay.max_window or trainer.keep_checkpoints"
            )

    def progress(self) -> Progress:
        """Returns a snapshot for the screen."""
        return self._snapshot.progress(self._state)


def train(
    run: RunDirectory,
    components: Components,
    reporter: Reporter | None = None,
    *,
    plays: bool = True,
    monitor: Monitor | None = None,
    idle_exit_seconds: float = 0.0,
    on_ready: Callable[[Trainer], None] = lambda loop: None,
) -> Trainer:
    """Trains a run in this process until its plan is fulfilled, and returns the finished loop.

    Args:
        run: where everything lies; resumed if it has a checkpoint.
        parts: made from its game and config.
        reporter: is told how it goes; closed at the end. By default a live screen on a
            terminal, else a line every ten seconds.
        plays: whether this process plays, too; else it learns from what workers store alone.
        monitor: is told how it goes, too.
        idle_exit_seconds: see `Trainer`.
        on_ready: called with the loop before it starts, so that somebody can `stop` it.

    Raises:
        RunError: another process is training this run.
    """
    reporter = reporter or make_reporter()
    try:
        with ProcessGroup().first(run.lock(reporter.message)):
            loop = Trainer(
                run,
                components,
                reporter,
                plays=plays,
                monitor=monitor,
                idle_exit_seconds=idle_exit_seconds,
            )
            on_ready(loop)
            loop.train()
            return loop
    finally:
        reporter.close()
