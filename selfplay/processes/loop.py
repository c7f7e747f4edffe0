"""The whole loop in one process: self-play and learning in turn, everything saved, resumable.

What happens depends on the seed and on counters alone (apart from the clock, where a plan in
minutes steers the learning rate), so a run that was killed and resumed goes on as if nothing had
happened.
"""

import dataclasses
from collections.abc import Callable

import jax
import numpy as np
from jaxtyping import Array, Key, PyTree

from selfplay.errors import NonFiniteError, RecordError
from selfplay.learner import TrainState, learning_rate
from selfplay.processes.cursor import Cursor
from selfplay.processes.match_files import MatchFiles
from selfplay.processes.meter import Meter
from selfplay.processes.parts import Parts
from selfplay.processes.reporting import News, RecentMatches
from selfplay.processes.strength import StrengthMeter
from selfplay.records import MatchCollector, MatchRecord
from selfplay.rollout import Matches
from selfplay.run import RunDirectory
from selfplay.telemetry import PHASES, Progress, Reporter, make_reporter

WORKER = "loop"
_UPDATES_AT_ONCE = 64


class Loop:
    """One training session of a run. Make it, call `train`, and it is done.

    Attributes:
        state: weights, average, optimiser, update count.
        cursor: the counters.
    """

    def __init__(self, run: RunDirectory, parts: Parts, reporter: Reporter) -> None:
        """Goes on from the newest checkpoint, or starts anew.

        Args:
            run: the run, locked by the caller.
            parts: made from the run's game and config.
            reporter: is told how it goes.

        Raises:
            CheckpointError: the newest checkpoint is damaged.
            RecordError: a file of matches in the replay window is missing or damaged.
        """
        self.run = run
        self.parts = parts
        self.config = parts.config
        self.reporter = reporter
        self.checkpoints = run.checkpoints
        self.files = MatchFiles(run.matches_path)
        self.window = parts.window()
        self.collector = MatchCollector(parts.provenance(run, WORKER), parts.player.num_matches)
        self.strength = StrengthMeter(parts, run)
        self.meter = Meter()
        self._recent = RecentMatches()
        self._losses: dict[str, float] = {}
        self._rate = 0.0
        self._pending: list[dict[str, Array]] = []
        self._stopping = False
        self._evaluation_seconds = 0.0
        self.saved: int | None = None
        self._saved_iteration = 0
        root = jax.random.key(self.config.trainer.seed)
        init_key, start_key, self._play_key, self._update_key = jax.random.split(root, 4)
        newest = self.checkpoints.latest()
        if newest is None:
            self.cursor = Cursor()
            self.state: TrainState = parts.learner.init(key=init_key)
            self._matches: Matches = parts.player.start(key=start_key)
        else:
            self._restore(newest, init_key, start_key)
        self._earlier_seconds = self.cursor.elapsed_seconds

    def _restore(self, update: int, init_key: Key[Array, ""], start_key: Key[Array, ""]) -> None:
        self.cursor = Cursor.from_json(self.checkpoints.metadata(update)["cursor"])
        learner, player = self.parts.learner, self.parts.player
        like = jax.eval_shape(lambda: learner.init(key=init_key))
        self.state = learner.place(self.checkpoints.load(update, "train_state", like))
        in_progress = self.checkpoints.load(update, "self_play")
        self.saved, self._saved_iteration = update, self.cursor.iteration
        if int(in_progress["num_matches"]) == player.num_matches:
            fresh = player.start(key=start_key)
            self._matches = jax.tree.map(
                lambda new, old: jax.device_put(old, new.sharding),
                fresh,
                self.checkpoints.load(update, "matches", fresh),
            )
            self.collector.restore(in_progress["collector"])
        else:
            self.reporter.message(
                f"{player.num_matches} matches are played at once now, not "
                f"{int(in_progress['num_matches'])}: those in progress start anew"
            )
            self._matches = player.start(key=jax.random.fold_in(start_key, self.cursor.iteration))
        self._refill()

    def _refill(self) -> None:
        """Fills the replay window from the files it held, in the same order."""
        held = self.cursor.window
        self.window.begin_at(
            self.cursor.positions - sum(rows for _, _, rows in held),
            self.cursor.matches - sum(count for _, count, _ in held),
        )
        for first in range(0, len(held), 64):
            group: list[MatchRecord] = []
            for number, count, rows in held[first : first + 64]:
                matches = self.files.get(WORKER, number)
                found = len(matches), sum(match.plies for match in matches)
                if found != (count, rows):
                    raise RecordError(
                        f"{self.files.file(WORKER, number)} holds {found[0]} matches of "
                        f"{found[1]} positions, but the checkpoint counts {count} of {rows}",
                        hint="the file was replaced; go on from a copy of the run that has it",
                    )
                group += matches
            self.window.ingest(group)
            self._recent.add(group)

    @property
    def update(self) -> int:
        """Updates made."""
        return int(self.state.update)

    @property
    def elapsed(self) -> float:
        """Seconds of training, over all sessions."""
        return self._earlier_seconds + self.meter.elapsed

    @property
    def planned_fraction(self) -> float | None:
        """Share of the planned length that is done, None if the run has no planned end."""
        plan = self.config.trainer
        parts = []
        if plan.minutes:
            parts.append(self.elapsed / (60 * plan.minutes))
        if plan.updates:
            parts.append(self.update / plan.updates)
        return min(1.0, max(parts)) if parts else None

    def stop(self) -> None:
        """Asks `train` to save and return after what it is doing now."""
        self._stopping = True

    def train(self) -> None:
        """Trains until the plan is fulfilled or `stop` is called, then saves.

        Raises:
            NonFiniteError: a loss, gradient or weight is not finite; nothing of it is saved.
            StorageError: the disk is full; what was saved before stays.
        """
        news = News(self.run, WORKER, self.reporter, resume_at=self.saved)
        progress = self.progress()
        try:
            if self.saved is None:
                self._save()
            last_save = self.meter.elapsed
            while not self._stopping and (self.planned_fraction or 0.0) < 1.0:
                due = self._updates_due()
                if due:
                    self._learn(due)
                else:
                    self._play()
                if (
                    self.config.trainer.checkpoint_due(self.update, self.meter.elapsed - last_save)
                    and self.update != self.saved
                ):
                    self._save()
                    last_save = self.meter.elapsed
                self._evaluate_if_due()
                self.meter.mark()
                progress = self.progress()
                news.tell(progress, self.meter)
            if (self.update, self.cursor.iteration) != (self.saved, self._saved_iteration):
                self._save()
            progress = self.progress()
        finally:
            # Not a fresh one: after a failure in the middle of an update there is no state to ask.
            news.close(progress)

    def _updates_due(self) -> int:
        """Returns how many updates the reuse ratio allows now, up to the next fixed checkpoint.

        Whatever stops the loop between updates, what is due does not change: a resumed run goes
        on with the rest.
        """
        if not self.window.ready:
            return 0
        batch = self.config.learner.batch_size
        allowed = int(self.cursor.positions * self.config.trainer.reuse / batch)
        done = self.update
        due = min(allowed - done, _UPDATES_AT_ONCE)
        plan = self.config.trainer
        if plan.updates:
            due = min(due, plan.updates - done)
        for step in (plan.checkpoint_updates, plan.pinned_every_updates):
            if step:
                due = min(due, step - done % step)
        return max(0, due)

    def _play(self) -> None:
        """Plays one chunk in every match; stores and takes in the matches that ended."""
        with self.meter.phase("play"):
            key = jax.random.fold_in(self._play_key, self.cursor.iteration)
            self._matches, plies = self.parts.player.play(
                self.state.average, self._matches, key=key
            )
            plies = jax.device_get(plies)
        finished = self.collector.add(plies, checkpoint=self.update, sequence=self.cursor.sequence)
        self.cursor.iteration += 1
        self.meter.count(simulations=plies.actions.size * self.config.search.num_simulations)
        if not finished:
            return
        if not self.files.put(WORKER, self.cursor.sequence, finished):
            finished = self._store_elsewhere(finished)
        positions = self.window.ingest(finished)
        self.cursor.window.append((self.cursor.sequence, len(finished), positions))
        self.cursor.sequence += 1
        self.cursor.positions += positions
        self.cursor.matches += len(finished)
        self._forget_old_files()
        self._recent.add(finished)
        self.meter.count(matches=len(finished), positions=positions)

    def _store_elsewhere(self, finished: list[MatchRecord]) -> list[MatchRecord]:
        """Stores matches whose number is taken by others, which happens after a kill.

        The files beyond the checkpoint are finished matches too: they stay, but are not trained
        on, because this session's own matches take their place.
        """
        self.cursor.sequence = self.files.next_sequence(WORKER)
        renamed = [
            dataclasses.replace(match, match_id=f"{WORKER}-{self.cursor.sequence:08d}-{index:04d}")
            for index, match in enumerate(finished)
        ]
        self.files.put(WORKER, self.cursor.sequence, renamed)
        return renamed

    def _forget_old_files(self) -> None:
        held = sum(rows for _, _, rows in self.cursor.window)
        while held - self.cursor.window[0][2] >= self.config.replay.max_window:
            held -= self.cursor.window.pop(0)[2]

    def _learn(self, count: int) -> None:
        """Makes `count` updates."""
        config = self.config.learner
        with self.meter.phase("train"):
            first = self.update
            for update in range(first, first + count):
                samples = self.window.sample(
                    config.batch_size, seed=self.config.trainer.seed, update=update
                )
                self._rate = learning_rate(
                    config,
                    update=update,
                    progress=self.planned_fraction_at(update),
                    plateau_scale=self.cursor.plateau.scale,
                )
                self.state, metrics = self.parts.learner.update(
                    self.state,
                    samples,
                    learning_rate=self._rate,
                    key=jax.random.fold_in(self._update_key, update),
                )
                self._pending.append(metrics)
            self._settle()
        self.meter.count(updates=count)

    def planned_fraction_at(self, update: int) -> float:
        """Returns the share of the plan done at `update`; by updates alone if they are planned."""
        if self.config.trainer.updates and not self.config.trainer.minutes:
            return update / self.config.trainer.updates
        return self.planned_fraction or 0.0

    def _settle(self) -> None:
        """Waits for the updates and looks at what they report; nothing bad gets further."""
        reports = jax.device_get(self._pending)
        self._pending = []
        names = reports[0].keys()
        means = {name: float(np.mean([report[name] for report in reports])) for name in names}
        if means.pop("finite") < 1.0:
            raise NonFiniteError(
                f"the loss, a gradient or a weight was not finite near update {self.update}",
                hint="lower learner.learning_rate or learner.max_gradient_norm; the newest "
                f"checkpoint ({self.saved}) is from before and the same command resumes from it",
            )
        self._losses = means
        # One by one: how many updates came in a row must not matter after a restart.
        for report in reports:
            self.cursor.plateau = self.cursor.plateau.observe(
                float(report["total"]), 1, self.config.learner
            )

    def _evaluate_if_due(self) -> None:
        """Plays a few matches when the share of time allows it."""
        config = self.config.evaluation
        elapsed = self.elapsed
        if not config.enabled or self._stopping or self.update == 0:
            return
        if elapsed < config.first_seconds:
            return
        expected = self._evaluation_seconds
        if self.meter.seconds_in("evaluate") + expected > config.share * self.meter.elapsed:
            return
        begin = self.meter.elapsed
        with self.meter.phase("evaluate"):
            self.strength.evaluate(self.state.average, update=self.update, elapsed_seconds=elapsed)
        self._evaluation_seconds = self.meter.elapsed - begin

    def _save(self) -> None:
        """Writes a checkpoint of everything that changes."""
        self.cursor.elapsed_seconds = self.elapsed
        collector: PyTree = self.collector.state()
        self.checkpoints.save(
            self.update,
            {
                "weights": jax.device_get(self.state.average),
                "train_state": jax.device_get(self.state),
                "matches": jax.device_get(self._matches),
                "self_play": {
                    "num_matches": np.int32(self.parts.player.num_matches),
                    "collector": collector,
                },
            },
            metadata={"cursor": self.cursor.to_json()},
        )
        self.saved, self._saved_iteration = self.update, self.cursor.iteration
        trainer = self.config.trainer
        self.checkpoints.prune(
            keep_last=trainer.keep_checkpoints, pinned_every=trainer.pinned_every_updates
        )

    def progress(self) -> Progress:
        """Returns a snapshot for the screen."""
        fraction = self.planned_fraction
        positions = self.cursor.positions
        losses = dict(self._losses)
        gradient_norm = losses.pop("gradient_norm", None)
        return Progress(
            game=self.parts.game.name,
            run=str(self.run.path),
            update=self.update,
            elapsed_seconds=self.elapsed,
            planned_fraction=fraction,
            eta_seconds=self.elapsed * (1 / fraction - 1) if fraction else None,
            matches=self.cursor.matches,
            positions=positions,
            matches_per_second=self.meter.rate("matches"),
            positions_per_second=self.meter.rate("positions"),
            simulations_per_second=self.meter.rate("simulations"),
            updates_per_second=self.meter.rate("updates"),
            losses=losses,
            learning_rate=self._rate if losses else None,
            gradient_norm=gradient_norm,
            reuse=self.update * self.config.learner.batch_size / positions if positions else None,
            window_positions=self.window.size,
            window_age_updates=int(self.window.mean_age(self.update)),
            mean_length=self._recent.mean_length,
            results=self._recent.results,
            phases=self.meter.shares(PHASES),
            strength=tuple(self.strength.results.values()),
            last_checkpoint=self.saved,
            device=f"{self.parts.mesh.size} x {jax.devices()[0].platform}",
        )


def train(
    run: RunDirectory,
    parts: Parts,
    reporter: Reporter | None = None,
    *,
    on_ready: Callable[[Loop], None] = lambda loop: None,
) -> Loop:
    """Trains a run in this process until its plan is fulfilled, and returns the finished loop.

    Args:
        run: where everything lies; resumed if it has a checkpoint.
        parts: made from its game and config.
        reporter: is told how it goes; closed at the end. By default a live screen on a
            terminal, else a line every ten seconds.
        on_ready: called with the loop before it starts, so that somebody can `stop` it.

    Raises:
        RunError: another process is training this run.
    """
    reporter = reporter or make_reporter()
    try:
        with run.lock():
            loop = Loop(run, parts, reporter)
            on_ready(loop)
            loop.train()
            return loop
    finally:
        reporter.close()
