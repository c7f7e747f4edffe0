"""A training session of one process, which plays itself or learns from the matches of workers.

The result depends only on the seed, the counters and the files of matches taken in; if the plan is
in minutes, also on the clock, because the learning rate follows it. So a run that was killed and
resumed continues as if nothing had happened. The training log records which files of workers were
taken in, and when.
"""

import dataclasses
import time
from collections.abc import Callable, Sequence

from selfplay.evaluation.strength import StrengthMeter
from selfplay.learner import TrainState
from selfplay.records import MatchRecord
from selfplay.run import RunDirectory
from selfplay.run.storage_limit import StorageLimit
from selfplay.runtime.components import Components
from selfplay.runtime.meter import Meter
from selfplay.runtime.publishing import HeartbeatWriter, ProgressPublisher, RecentMatches
from selfplay.telemetry import Monitor, Progress, Reporter, make_reporter
from selfplay.training.cursor import OWN_WORKER, Cursor
from selfplay.training.evaluations import Evaluations
from selfplay.training.learning import Learning
from selfplay.training.match_source import MatchSource
from selfplay.training.own_play import OwnPlay
from selfplay.training.process_group import ProcessGroup
from selfplay.training.reanalysis_intake import ReanalysisIntake
from selfplay.training.session_schedule import SessionSchedule
from selfplay.training.snapshot import SnapshotBuilder
from selfplay.training.steps import Step, agree

MakeSource = Callable[[Learning, Meter, Callable[[str], None]], MatchSource]
"""Creates a source of matches from a `Learning`, a meter, and a function that shows messages."""

_PUBLISH_SECONDS = 0.1


class Trainer:
    """One training session of a run. Create it and call `train` once.

    In a loop it takes in new files of workers, makes the updates that are due, and if none is due
    gets more matches from its source. In between it writes checkpoints and evaluates.

    Attributes:
        learning: weights, replay window, counters.
        source: where the matches come from.
        strength: the results of evaluations.
        meter: rates, and shares of the time.
    """

    def __init__(
        self,
        run: RunDirectory,
        components: Components,
        reporter: Reporter,
        *,
        source: MakeSource = OwnPlay,
        monitor: Monitor | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Continues from the newest checkpoint, or starts from scratch.

        Args:
            run: the run, locked by the caller.
            components: made from the run's game and config.
            reporter: shows progress and messages.
            source: makes the source of matches: `OwnPlay`, or `WorkerMatches` where only workers
                play.
            monitor: gets state and metrics; its id tells the processes of one trainer apart.
            clock: seconds, for `trainer.minutes` and every rate; `time.process_time` counts the
                seconds that the cores have worked for this process.

        Raises:
            CheckpointError: the newest checkpoint is damaged.
            RecordError: a file of matches in the replay window is missing or damaged.
        """
        self.run = run
        self.components = components
        self.config = components.config
        self.reporter = reporter
        self.meter = Meter(clock=clock)
        self.group = ProcessGroup()
        self.heartbeat = HeartbeatWriter(
            run,
            monitor or Monitor(role="trainer", id=OWN_WORKER),
            self._say,
            stop=self.stop,
            processes=self.group.count,
        )
        self._recent = RecentMatches()
        self._storage_limit = StorageLimit(run.store, run.matches, self.config.storage)
        self._said_too_large = False
        self._state = "starting"
        self._publisher: ProgressPublisher | None = None
        self._final_elapsed: float | None = None
        self.learning = Learning(run, components)
        self.source = source(self.learning, self.meter, self._say)
        self._reanalyses = ReanalysisIntake(self.learning, self._say)
        # Beside workers an evaluator can run; a trainer that is alone measures its strength itself.
        evaluation = self.config.evaluation
        enabled = evaluation.enabled and bool(evaluation.opponents)
        evaluates = enabled and not self.source.relies_on_workers
        self.strength = StrengthMeter(components, run, enabled=evaluates, say=self._say)
        self._restore()
        self._schedule = SessionSchedule(
            self.learning, self.meter, relies_on_workers=self.source.relies_on_workers
        )
        self._evaluations = Evaluations(
            self.strength,
            self.learning,
            self.meter,
            enabled=evaluates,
            stopped=self._schedule.stopped.is_set,
            mean_length=lambda: self._recent.mean_length,
        )
        self._snapshot = SnapshotBuilder(
            run=run,
            components=components,
            learning=self.learning,
            source=self.source,
            schedule=self._schedule,
            meter=self.meter,
            recent=self._recent,
            strength=self.strength,
        )

    def _restore(self) -> None:
        newest = self.group.agree(self.run.checkpoints.latest())
        if newest is None:
            return
        for matches in self.learning.restore(newest):
            self._recent.add(matches)
        self._count(self.source.restore(newest))

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
        """Seconds of training, over all sessions, without the evaluation at the end."""
        return self._schedule.elapsed if self._final_elapsed is None else self._final_elapsed

    @property
    def planned_fraction(self) -> float | None:
        """Share of the planned length that is done, None if the run has no planned end."""
        return self._schedule.planned_fraction

    @property
    def evaluates(self) -> bool:
        """Whether this process measures the strength of its checkpoints."""
        return self._evaluations.enabled

    def stop(self) -> None:
        """Asks `train` to save and return after the current step; from any thread."""
        self._schedule.stopped.set()

    @property
    def stopped(self) -> bool:
        """Whether `stop` was called."""
        return self._schedule.stopped.is_set()

    def train(self) -> None:
        """Trains until the plan is fulfilled or `stop` is called, then saves.

        Raises:
            NonFiniteError: a loss, gradient or weight is not finite; it is not saved.
            StorageError: the disk is full; what was saved before stays.
        """
        if self.group.leads:
            self._publisher = ProgressPublisher(
                self.run, self.heartbeat, self.reporter, resume_at=self.saved
            )
        progress = self.progress()
        published, suspended = float("-inf"), False
        try:
            while True:
                step = self._next_step()
                if step.save:
                    self._save()
                if step.stop:
                    break
                if not self._pass_gate():
                    continue
                self._count(self.source.take_in([(str(who), int(n)) for who, n in step.files]))
                for who, number in step.reanalyses:
                    self._reanalyses.take(str(who), int(number))
                due = self._schedule.updates_due(training=self._training)
                if due:
                    self._learn(due, step.time_share)
                else:
                    self._get_matches()
                self._evaluate_if_due()
                self.meter.mark()
                suspends = self._schedule.suspends(training=self._training)
                now = self.meter.elapsed
                # Steps may be as short as some milliseconds.
                if now >= published + _PUBLISH_SECONDS or suspends != suspended:
                    published, suspended = now, suspends
                    progress = self.progress()
                    self._publish(progress, suspends=suspends)
            if note := self._schedule.plateau_note:
                self._say(note)
            self._final_elapsed = self.elapsed
            self._evaluations.play_last(elapsed_seconds=self.elapsed, tick=self._publish_evaluation)
            progress = self.progress()
        finally:
            self.source.close()
            # Not a new snapshot: after a failure in the middle of an update there is no state.
            if self._publisher is not None:
                self._publisher.close(progress)

    def _next_step(self) -> Step:
        """Returns the next step, the same in every process of this trainer."""
        # Whichever of them is asked to end, all save and end.
        if self.group.any(self.stopped):
            self.stop()
        stop = self._schedule.over or self.source.exhausted
        looks = self.group.leads and not stop
        step = Step(
            save=self._schedule.save_due(last=stop),
            stop=stop,
            files=[list(file) for file in self.source.new_files()] if looks else [],
            reanalyses=[list(file) for file in self._reanalyses.look()] if looks else [],
            time_share=self._schedule.time_share,
            update=self.update,
            positions=self.cursor.positions,
        )
        return agree(step, self.group)

    @property
    def _training(self) -> bool:
        """Whether the last step made updates."""
        return self._state == "training"

    def _get_matches(self) -> None:
        self._state = self.source.activity
        begin = self.meter.elapsed
        self._count(self.source.get_more(self._schedule.stopped))
        # The first chunk of a session compiles a search, as the first evaluation will.
        self.strength.expect(self.meter.elapsed - begin)

    def _count(self, matches: Sequence[MatchRecord]) -> None:
        if matches:
            self._recent.add(matches)
            plies = sum(match.plies for match in matches)
            self.meter.count(matches=len(matches), positions=plies)

    def _learn(self, count: int, time_share: float) -> None:
        """Makes `count` updates."""
        self._state = "training"
        with self.meter.phase("train"):
            self.learning.learn(count, time_share=time_share)
        self.meter.count(updates=count)

    def _pass_gate(self) -> bool:
        """Tests whether self-play is to use new weights, if that is due.

        Returns:
            Whether that was done, if it was due; else the session was asked to end.
        """
        gate, update, weights = self.learning.gate, self.update, self.state.average
        if not gate.due(update) or gate.accepted is None:
            return True
        self._state, before = "evaluating", gate.accepted.update
        score = None
        if self.group.leads:
            tick = self._publish_evaluation
            score = self._evaluations.play_gate(elapsed_seconds=self.elapsed, tick=tick)
        score = self.group.agree(score)
        if score is None:
            return False
        passes = gate.judge(update, weights, score)
        verdict = "self-play uses it from now on" if passes else f"self-play stays with {before:,}"
        self._say(f"checkpoint {update:,} scores {100 * score:.1f} % against {before:,}: {verdict}")
        return True

    def _evaluate_if_due(self) -> None:
        if self._evaluations.due(elapsed_seconds=self.elapsed):
            self._state = "evaluating"
            self._evaluations.play_next(elapsed_seconds=self.elapsed, tick=self._publish_evaluation)

    def _publish_evaluation(self, text: str) -> None:
        self._state = "evaluating"
        self._publish(dataclasses.replace(self.progress(), evaluation=text))

    def _publish(self, progress: Progress, *, suspends: bool = False) -> None:
        if self._publisher is None:
            # Its own probes see that it is at work; the run hears of the first process alone.
            self.heartbeat.monitor.state(progress.state, ready=True)
            self.heartbeat.monitor.update({})
        else:
            workers = self.run.matches.workers_at_work
            self._publisher.tell(progress, self.meter, suspends=suspends, workers=workers)

    def _say(self, text: str) -> None:
        if self.group.leads:
            self.reporter.message(text)

    def _save(self) -> None:
        """Writes a checkpoint of everything that changes."""
        self.cursor.elapsed_seconds = self.elapsed
        if self.group.leads:
            recent = {**self._recent.metrics(), **self.source.playing_metrics()}
            self.learning.save(self.source.checkpoint_items(), recent=recent)
            # Workers read this instead of listing the checkpoints again and again.
            self.heartbeat.announce(checkpoint=self.saved, newest_checkpoint=self.saved)
            self._prune()
        else:
            self.learning.saved = self.update
        if not self.evaluates:
            self.strength.reread()
        self._schedule.saved()

    def _prune(self) -> None:
        """Removes old files above the limits of `storage`."""
        cursor = self.cursor
        excess = self._storage_limit.prune(
            cursor=cursor.next_files,
            window=[(file.worker, file.sequence) for file in cursor.window],
            update=self.update,
            next_reanalyses=cursor.next_reanalyses,
            reanalyses=[(file.worker, file.sequence) for file in cursor.reanalyses],
        )
        if excess and not self._said_too_large:
            self._said_too_large = True
            self._say(
                f"storage.max_bytes is {self.config.storage.max_bytes:,}, but the files that are "
                f"always kept exceed it by {excess:,} bytes: lower replay.max_window or "
                "trainer.keep_checkpoints"
            )

    def progress(self) -> Progress:
        """Returns a snapshot of the session."""
        return self._snapshot.progress(self._state)


def train(
    run: RunDirectory,
    components: Components,
    reporter: Reporter | None = None,
    *,
    source: MakeSource = OwnPlay,
    monitor: Monitor | None = None,
    clock: Callable[[], float] = time.monotonic,
    on_ready: Callable[[Trainer], None] = lambda trainer: None,
) -> Trainer:
    """Trains a run in this process until its plan is fulfilled, and returns the finished trainer.

    Args:
        run: the run; resumed if it has a checkpoint.
        components: made from its game and config.
        reporter: shows progress and messages; closed at the end. By default a live screen on a
            terminal, else a line every ten seconds.
        source: makes the source of matches: `OwnPlay`, or `WorkerMatches` where only workers play.
        monitor: gets state and metrics.
        clock: what `trainer.minutes` is measured by, in seconds; see `Trainer`.
        on_ready: called with the trainer before it starts, so that another thread can `stop` it.

    Raises:
        RunError: another process is training this run.
    """
    reporter = reporter or make_reporter()
    try:
        with ProcessGroup().first(run.lock(reporter.message)):
            trainer = Trainer(
                run, components, reporter, source=source, monitor=monitor, clock=clock
            )
            on_ready(trainer)
            trainer.train()
            return trainer
    finally:
        reporter.close()
