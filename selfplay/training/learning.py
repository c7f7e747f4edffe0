"""Learning: takes in matches, makes updates, and holds all state that they change."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, PyTree
from numpy.typing import NDArray

from selfplay.errors import GameContractError, NonFiniteError
from selfplay.learner import TrainState, learning_rate
from selfplay.records import MatchRecord
from selfplay.replay import part
from selfplay.replay.target_faults import TargetFaults
from selfplay.run import RunDirectory
from selfplay.runtime.components import Components
from selfplay.training.cursor import Cursor, WindowFile
from selfplay.training.gate import Gate, Player
from selfplay.training.held_out import HeldOut
from selfplay.training.kept_checkpoints import prune_checkpoints
from selfplay.training.refill import refill
from selfplay.training.run_keys import run_keys
from selfplay.training.training_log import TrainingLog
from selfplay.training.update_traces import UpdateTraces

UPDATES_AT_ONCE = 64
_BLAME_SECONDS = 60.0


class Learning:
    """Weights, optimiser, replay window and counters; every trainer has one.

    Its state depends only on its seed and the calls of `take_in` and `learn`; the training log
    records those calls.

    Attributes:
        state: weights, average, optimiser, update count.
        cursor: the counters.
        window: the positions to learn from.
        held_out: matches kept out of training.
        gate: the weights that self-play uses, if they must be accepted first.
        losses: means over the last updates, by name.
        rate: learning rate of the last update.
    """

    def __init__(self, run: RunDirectory, components: Components) -> None:
        """Starts with fresh weights from the run's seed; `restore` continues from a checkpoint.

        Args:
            run: has the matches.
            components: made from its game and config.
        """
        keys = run_keys(components.config.trainer.seed)
        self.run = run
        self.components = components
        self.config = components.config
        self._update_key = keys.update
        self.state: TrainState = components.learner.init(key=keys.init)
        self.cursor = Cursor()
        self.window = components.window(run.fingerprint)
        self.held_out = HeldOut()
        self.gate = Gate(self.config.trainer, 0, self.state.average)
        self.losses: dict[str, float] = {}
        self.rate = 0.0
        self.saved: int | None = None
        self._training_log = TrainingLog(run)
        self._traces = UpdateTraces()
        self._updates_in_call: tuple[int, int] | None = None

    def restore(self, update: int) -> Iterator[Sequence[MatchRecord]]:
        """Continues from a checkpoint; yields the matches of its replay window, oldest first.

        Raises:
            CheckpointError: it is damaged.
            RecordError: a file of matches in the replay window is missing or damaged.
        """
        checkpoints, learner = self.run.checkpoints, self.components.learner
        metadata = checkpoints.metadata(update)
        self.cursor = Cursor.from_json(metadata["cursor"])
        self.held_out.restore(metadata)
        self.state = learner.place(checkpoints.load(update, "train_state", learner.like()))
        self.gate = Gate.restored(
            self.config.trainer, checkpoints, metadata, update, self.state.average
        )
        self.saved = update
        return self._refill()

    def _refill(self) -> Iterator[Sequence[MatchRecord]]:
        return refill(self.run, self.cursor, self.window, self.held_out)

    @property
    def update(self) -> int:
        """Updates made."""
        return int(self.state.update)

    @property
    def player(self) -> Player:
        """The weights that self-play uses now."""
        return self.gate.player(self.update, self.state.average)

    def take_in(self, worker: str, sequence: int, matches: Sequence[MatchRecord]) -> int:
        """Takes the matches of a stored file into the window, but for those to keep out.

        Returns:
            The number of positions to learn from.

        Raises:
            RecordError: a match does not follow the rules; nothing is taken in.
        """
        share = self.config.replay.holdout_share
        learnt, held_out = part(matches, share)
        self.window.check(held_out)
        positions = self.window.ingest(learnt)
        self.held_out.add(worker, sequence, held_out)
        file = WindowFile(worker, sequence, len(learnt), positions, share)
        self.cursor.take(file, held_out=len(held_out), max_window=self.config.replay.max_window)
        self.held_out.keep(self.cursor.window)
        self._training_log.take(worker, sequence)
        self._traces.take(self.window.positions_made, positions)
        return positions

    def renew(self, worker: str, sequence: int, matches: Sequence[MatchRecord]) -> int:
        """Takes newer targets of matches in the window; see `ReplayWindow.renew`.

        Args:
            worker: that searched their positions again.
            sequence: the number of their file.
            matches: as stored.

        Returns:
            The number of positions that were searched again.

        Raises:
            RecordError: a match does not follow the rules, or is another one than that in the
                window; nothing is changed.
        """
        held = set(self.window.renew(matches))
        self.cursor.next_reanalyses[worker] = sequence + 1
        again = [match for match in matches if match.match_id in held]
        if not again:
            return 0
        self._training_log.renew(worker, sequence)
        return self.cursor.renew(worker, sequence, again)

    @property
    def backlog(self) -> int:
        """The backlog: positions taken in but not yet used as often as the replay ratio asks."""
        if not self.window.ready:
            return 0
        learnt = self.update * self.config.learner.batch_size / self.config.trainer.replay_ratio
        return max(0, int(self.cursor.positions - learnt))

    def updates_due(self) -> int:
        """Returns how many updates the replay ratio allows now, up to the next fixed checkpoint.

        The number does not depend on where a session stopped between updates: a resumed run
        continues with the rest.
        """
        if not self.window.ready:
            return 0
        plan = self.config.trainer
        allowed = int(self.cursor.positions * plan.replay_ratio / self.config.learner.batch_size)
        done = self.update
        due = min(allowed - done, UPDATES_AT_ONCE)
        if plan.updates:
            due = min(due, plan.updates - done)
        for step in (
            plan.checkpoint_updates,
            plan.pinned_every_updates,
            plan.gate_updates if plan.gate else 0,
        ):
            if step:
                due = min(due, step - done % step)
        return max(0, due)

    def learn(self, count: int, *, time_share: float) -> None:
        """Makes `count` updates.

        Args:
            count: at least 1.
            time_share: share of the planned time that has passed, in [0, 1]; 0 if no time is
                planned. The learning rate depends on it.

        Raises:
            GameContractError: a loss is not finite because the game returned such a number.
            NonFiniteError: a loss, gradient or weight is not finite for another reason.
        """
        with self._traces.updates(self.update, count, self._drawn):
            self._learn(count, time_share)
        self._training_log.learn(count, time_share)

    def _drawn(self, update: int) -> NDArray[Any]:
        """Returns the numbers of the positions that the batch after so many updates holds."""
        size, seed = self.config.learner.batch_size, self.config.trainer.seed
        return self.window.drawn(size, seed=seed, update=update)

    def _learn(self, count: int, time_share: float) -> None:
        first = self.update
        calls: list[tuple[int, dict[str, Array]]] = []
        done = 0
        while done < count:
            # While the device makes these updates, the host draws the samples for the next ones.
            done += self._start_updates(first + done, count - done, time_share, calls)
        self._check_reports(
            [
                {name: values[number] for name, values in report.items()}
                for made, report in jax.device_get(calls)
                for number in range(made)
            ]
        )

    def _start_updates(
        self,
        first: int,
        wanted: int,
        time_share: float,
        calls: list[tuple[int, dict[str, Array]]],
    ) -> int:
        """Starts some of the updates on the device; returns how many.

        Adds this number and their metrics, which the device is still computing, to `calls`.
        """
        config, plan, learner = self.config.learner, self.config.trainer, self.components.learner
        if self._updates_in_call is None:
            batch = self.window.sample(config.batch_size, seed=plan.seed, update=first)
            self._updates_in_call = learner.most_updates(batch), learner.calls_ahead(batch)
        most, ahead = self._updates_in_call
        count = min(wanted, most)
        rates = [
            learning_rate(
                config,
                update=update,
                progress=max(time_share, update / plan.updates if plan.updates else 0.0)
                if plan.has_end
                else None,
                plateau_scale=self.cursor.plateau.scale,
                stall_scale=self.cursor.stall.scale,
            )
            for update in range(first, first + count)
        ]
        # An update that makes no step has none.
        self.rate = next((rate for rate in reversed(rates) if rate), self.rate)
        # Always the same number: another one would have to be compiled.
        empty = most - count
        updates = [*range(first, first + count), *[first] * empty]
        self.state, reports = learner.updates(
            self.state,
            self.window.batches(config.batch_size, seed=plan.seed, updates=updates),
            learning_rates=[*rates, *[0.0] * empty],
            count=count,
            key=self._update_key,
        )
        calls.append((count, reports))
        # Memory holds the samples of a few calls, not of all of them.
        settled = len(calls) - 1 - ahead
        if settled >= 0:
            jax.block_until_ready(calls[settled])
        return count

    def _check_reports(self, reports: list[dict[str, Any]]) -> None:
        """Checks the metrics of updates, and adds up their losses."""
        names = reports[0].keys()
        means = {name: float(np.mean([report[name] for report in reports])) for name in names}
        if means.pop("finite") < 1.0:
            error = NonFiniteError(
                f"the loss, a gradient or a weight was not finite near update {self.update}",
                hint="lower learner.learning_rate or learner.max_gradient_norm; the newest "
                f"checkpoint ({self.saved}) is from before and the same command resumes from it",
            )
            raise self._fault_of_game() or error from error
        self.losses = means
        # One at a time: after a restart the updates may be grouped differently.
        for report in reports:
            loss = float(report["total"])
            self.cursor.plateau = self.cursor.plateau.observe(loss, 1, self.config.learner)
            self.cursor.stall = self.cursor.stall.observe(loss)

    def _fault_of_game(self) -> GameContractError | None:
        """Returns an error about the game if its targets are the reason that a loss is not finite.

        It searches the replay window for at most a minute, the newest files first.
        """
        symmetries = self.config.learner.symmetries
        faults = TargetFaults(self.components.game, symmetries=symmetries)
        deadline = time.monotonic() + _BLAME_SECONDS
        for file in reversed(self.cursor.window):
            if time.monotonic() > deadline:
                break
            found = faults.find(self.run.matches.get(file.worker, file.sequence))
            if found is not None:
                return found
        return None

    def change_components(self, components: Components) -> None:
        """Continues with components of other settings, as a new session of the run would."""
        self.components, self.config = components, components.config
        self._updates_in_call = None
        self.window = components.window(self.run.fingerprint)
        for _ in self._refill():
            pass

    def save(self, items: dict[str, PyTree], **facts: Any) -> None:
        """Writes a checkpoint, and removes older ones.

        Args:
            items: more trees for the checkpoint, by name.
            facts: more for its metadata; anything JSON can hold.

        Raises:
            StorageError: the disk is full; the checkpoints before stay.
        """
        update = self.update
        with self._traces.saving(update) as traceparent:
            traced = {"traceparent": traceparent} if traceparent else {}
            self._save(update, items, {**facts, **traced})
        self.saved = update
        prune_checkpoints(self.run, self.config, update)

    def _save(self, update: int, items: dict[str, PyTree], facts: dict[str, Any]) -> None:
        self.held_out.measure(
            self.components, self.state.average, self.window, self.cursor.window, update=update
        )
        # First, so that every checkpoint has its training log.
        self._training_log.write(self.cursor.segments, previous=self.saved, update=update)
        self.cursor.segments += 1
        self.run.checkpoints.save(
            update,
            {
                "weights": jax.device_get(self.state.average),
                "train_state": jax.device_get(self.state),
                **self.gate.items(),
                **items,
            },
            metadata={
                "cursor": self.cursor.to_json(),
                **self.held_out.facts(),
                **self.gate.facts(),
                **facts,
            },
        )
