"""Runs made up for tests of the diagnosis: files as a training writes them, numbers of our choice.

Nothing is played: the records follow no rules, but what they say of values, outcomes and openings
is as chosen.
"""

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from selfplay.diagnosis.evidence import Evidence
from selfplay.evaluation.predictions import PolicyQuality, Quality
from selfplay.records import MatchRecord
from selfplay.run import (
    Heartbeat,
    RunDirectory,
    append_evaluation,
    append_mistakes,
    write_heartbeat,
)
from selfplay.settings import Config
from selfplay.telemetry import Point, Progress, TensorBoardWriter
from selfplay.telemetry.metric import readings

_PLIES = 8
_TAGS = {
    "elapsed_seconds": "time/elapsed_seconds",
    "waiting_seconds": "time/waiting_seconds",
    "losses": "loss",
    "results": "results",
    "window_age_updates": "replay/window_age_updates",
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class MadeRun:
    """What a made-up run says. By default it is sound.

    Attributes:
        settings: over the defaults.
        updates: made.
        positions: learnt from.
        matches: in the newest files.
        seconds: of training.
        first: share of matches that the first player wins.
        draws: share of draws.
        truncated: share of matches that `max_plies` ends.
        openings: how many openings there are.
        sure: factor on right values.
        noise: standard deviation added to right values.
        bias: added to them.
        losses: by the share of the training that is done, the total loss.
        scores: by that share, the score against the fixed opponent.
        evaluation_matches: of each evaluation.
        mistakes: share of solved positions with a mistake; None without a solver.
        gap: by which losses are higher on matches kept out; None if none are.
        stale: matches left out.
        waiting: share of the time that the trainer waits.
        worker_waiting: share of the time that a worker rests; None without a worker.
        weights: of the network.
        policy: what differs from a sound network's policies.
    """

    settings: Mapping[str, Mapping[str, Any]] = dataclasses.field(default_factory=dict)
    updates: int = 3000
    positions: int = 60_000
    matches: int = 300
    seconds: float = 600.0
    first: float = 0.55
    draws: float = 0.1
    truncated: float = 0.0
    openings: int = 60
    sure: float = 1.0
    noise: float = 0.0
    bias: float = 0.0
    losses: Callable[[float], float] = lambda done: 2.0 - 0.8 * done
    scores: Callable[[float], float] = lambda done: 0.2 + 0.5 * done
    evaluation_matches: int = 32
    mistakes: float | None = None
    gap: float | None = None
    stale: int = 0
    waiting: float = 0.0
    worker_waiting: float | None = None
    weights: int = 50_000
    policy: Mapping[str, float] = dataclasses.field(default_factory=dict)

    @property
    def config(self) -> Config:
        """Its settings."""
        evaluation = {"evaluation": {"opponents": ["mcts:100"]}}
        return Config().updated(evaluation).updated(self.settings)

    def evidence(self) -> Evidence:
        """Returns what is read of such a run, and what its network would say."""
        policy: dict[str, Any] = {
            "positions": 1000,
            "cross_entropy": 0.9,
            "search_entropy": 0.7,
            "entropy": 0.85,
            "uniform": 1.8,
            "top": {1: 0.7, 3: 0.95, 5: 1.0},
            **self.policy,
        }
        scalars: dict[str, list[Point]] = {}
        for number, progress in enumerate(self._progress()):
            for key, tag in _TAGS.items():
                for one in readings(progress.metrics[key]):
                    name = f"{tag}/{one.name}" if one.name else tag
                    point = Point(step=progress.update, time=float(number), value=one.number)
                    scalars.setdefault(name, []).append(point)
        return Evidence(
            config=self.config,
            update=self.updates,
            cursor=self._cursor,
            held_out=self._held_out(),
            matches=self._records(),
            scalars=scalars,
            evaluations=self._evaluations(),
            mistakes=None if self.mistakes is None else {"share": self.mistakes},
            heartbeats=self._heartbeats(),
            weights=self.weights,
            quality=Quality(policy=PolicyQuality(**policy), value=None, search_error=0.2),
        )

    def write(self, path: Path, document: Mapping[str, Any]) -> RunDirectory:
        """Writes such a run.

        Args:
            path: of the run.
            document: run.toml of any run of the game.
        """
        run = RunDirectory.create_from(path, {**document, "config": self.config.to_dict()})
        records = self._records()
        for sequence in range(4):
            run.matches.put("loop", sequence, records[75 * sequence : 75 * (sequence + 1)])
        facts = self._held_out() or [{}]
        for number, losses in enumerate(facts):
            update = self.updates - 10 * (len(facts) - 1 - number)
            metadata = {"cursor": self._cursor, **({"held_out": losses} if losses else {})}
            run.checkpoints.save(update, {"weights": {"w": np.zeros(1)}}, metadata=metadata)
        for evaluation in self._evaluations():
            append_evaluation(run.store, evaluation)
        if self.mistakes is not None:
            of = {"update": self.updates, "share": self.mistakes, "phases": []}
            append_mistakes(run.store, of)
        writer = TensorBoardWriter(run.tensorboard_path)
        for progress in self._progress():
            writer.write(progress)
        writer.close()
        for beat in self._heartbeats():
            write_heartbeat(run.store, beat.role, beat.id, beat.fields)
        return run

    @property
    def _cursor(self) -> dict[str, Any]:
        return {
            "positions": self.positions,
            "matches": self.positions // _PLIES,
            "elapsed_seconds": self.seconds,
            "left_out": {"stale": self.stale} if self.stale else {},
        }

    def _held_out(self) -> list[dict[str, Any]]:
        if self.gap is None:
            return []
        random = np.random.default_rng(2)
        learnt = {"policy": 0.9, "value": 0.4}
        higher = [self.gap + float(random.normal(0, 0.01)) for _ in range(6)]
        return [
            {"held_out": {name: loss + gap for name, loss in learnt.items()}, "learnt": learnt}
            for gap in higher
        ]

    def _evaluations(self) -> list[dict[str, Any]]:
        if not self.config.evaluation.enabled:
            return []
        rows = []
        for number in range(1, 13):
            score, count = self.scores(number / 12), self.evaluation_matches
            margin = (score * (1 - score) / count + 1 / count**2) ** 0.5 * 1.96
            rows.append(
                {
                    "update": self.updates * number // 12,
                    "opponent": "mcts:100",
                    "score": score,
                    "low": max(0.0, score - margin),
                    "high": min(1.0, score + margin),
                    "matches": count,
                    "distinct_matches": count,
                }
            )
        return rows

    def _heartbeats(self) -> list[Heartbeat]:
        if self.worker_waiting is None:
            return []
        waited = {"elapsed_seconds": 100.0, "waiting_seconds": 100 * self.worker_waiting}
        return [
            Heartbeat(
                role="worker",
                id="w",
                pid=1,
                host="h",
                time=0.0,
                age=0.0,
                ahead=None,
                alive=True,
                fields=waited,
            )
        ]

    def _progress(self) -> list[Progress]:
        random = np.random.default_rng(3)
        return [
            Progress(
                game="tic_tac_toe",
                run="made",
                metrics={
                    "update": int(done * self.updates),
                    "elapsed_seconds": done * self.seconds,
                    "waiting_seconds": done * self.seconds * self.waiting,
                    "losses": {"total": self.losses(done) + float(random.normal(0, 0.005))},
                    "results": {"draw": self.draws},
                    "window_age_updates": int(done * self.updates / 4),
                },
            )
            for done in np.arange(1, 101) / 100
        ]

    def _records(self) -> list[MatchRecord]:
        random = np.random.default_rng(1)
        lean = 2 * self.first - 1
        spread = max(0.0, 0.95 - abs(lean))
        openings = random.integers(0, 7, (self.openings, 4))
        records = []
        for number in range(self.matches):
            # What the first player may expect, and what came of it.
            true = float(np.clip(lean + random.uniform(-spread, spread), -1, 1))
            drawn = random.uniform() < self.draws
            won = random.uniform() < (1 + true) / 2
            result = 0.0 if drawn else 1.0 if won else -1.0
            players = np.arange(_PLIES) % 2
            right = (1 - self.draws) * true * np.where(players == 0, 1, -1)
            values = self.sure * right + random.normal(0, 1, _PLIES) * self.noise + self.bias
            moves = [*openings[random.integers(self.openings)], *random.integers(0, 7, 4)]
            records.append(
                MatchRecord(
                    match_id=f"loop-{number // 75:08d}-{number % 75:04d}",
                    game="tic_tac_toe",
                    version=1,
                    fingerprint="0" * 16,
                    worker="loop",
                    first_checkpoint=self.updates - 10,
                    last_checkpoint=self.updates,
                    settings_hash="0" * 12,
                    start_key=(0, number),
                    truncated=bool(random.uniform() < self.truncated),
                    returns=(result, -result),
                    players=players.astype(np.int8),
                    actions=np.array(moves, np.int32),
                    simulations=np.full(_PLIES, 32, np.int32),
                    root_values=np.clip(right, -1, 1).astype(np.float32),
                    raw_values=np.clip(values, -1, 1).astype(np.float32),
                    policy_offsets=np.arange(_PLIES + 1, dtype=np.int32),
                    policy_actions=np.array(moves, np.int32),
                    policy_probabilities=np.ones(_PLIES, np.float32),
                )
            )
        return records
