"""What a run has stored that tells how its training goes."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.arena import load_weights
from selfplay.errors import CheckpointError, RunError, SelfplayError
from selfplay.evaluation.predictions import ExampleMaker, Predictor, Quality
from selfplay.evaluation.value_quality import ValueQuality, value_quality
from selfplay.networks import build_network
from selfplay.records import MatchRecord
from selfplay.registry import GameSpec
from selfplay.replay.search_values import outcome_known
from selfplay.run import (
    Heartbeat,
    RunDirectory,
    read_evaluations,
    read_heartbeats,
    read_mistakes,
)
from selfplay.settings import Config
from selfplay.telemetry import Point, read_scalars

_MATCHES = 400
_POSITIONS = 1024


@dataclasses.dataclass(frozen=True, kw_only=True)
class Evidence:
    """What a run has stored, at one moment.

    Attributes:
        config: the settings in force.
        update: of the newest checkpoint; 0 before the first.
        cursor: the counters of that checkpoint; empty before the first.
        held_out: what the metadata of the kept checkpoints says of matches kept out of training,
            oldest first; those that say nothing of them are left out.
        matches: the newest finished matches, the oldest of them first.
        scalars: by tag of TensorBoard, what was written in the course of the training.
        evaluations: the summaries of all evaluations, by update.
        mistakes: the newest record of mistakes in solved positions; None without a solver.
        heartbeats: of the processes of the run.
        weights: how many numbers the network has; None if it was not looked at.
        quality: how well the network of the newest checkpoint predicts `matches`; None if it was
            not looked at.
        problems: what could not be read, in words.
    """

    config: Config
    update: int = 0
    cursor: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    held_out: Sequence[Mapping[str, Any]] = ()
    matches: Sequence[MatchRecord] = ()
    scalars: Mapping[str, Sequence[Point]] = dataclasses.field(default_factory=dict)
    evaluations: Sequence[Mapping[str, Any]] = ()
    mistakes: Mapping[str, Any] | None = None
    heartbeats: Sequence[Heartbeat] = ()
    weights: int | None = None
    quality: Quality | None = None
    problems: tuple[str, ...] = ()

    @property
    def positions(self) -> int:
        """Positions learnt from since the run began."""
        return int(self.cursor.get("positions", 0))

    @property
    def matches_made(self) -> int:
        """Matches learnt from since the run began."""
        return int(self.cursor.get("matches", 0))

    @property
    def elapsed_seconds(self) -> float:
        """Seconds of training."""
        return float(self.cursor.get("elapsed_seconds", 0.0))

    @property
    def plays_well(self) -> bool:
        """Whether a solver says that the newest measured checkpoint hardly makes mistakes."""
        return self.mistakes is not None and self.mistakes["share"] <= 0.02

    def series(self, tag: str) -> npt.NDArray[np.float64]:
        """Returns the points of a scalar as rows of update and value; none if it has none."""
        points = self.scalars.get(tag, ())
        rows = [(point.step, point.value) for point in points]
        return np.array(rows, np.float64).reshape(-1, 2)

    @functools.cached_property
    def value_quality(self) -> ValueQuality | None:
        """How well the values of the network, as it played, agree with the outcomes."""
        known = [outcome_known(match) for match in self.matches]
        parts = [
            (match.raw_values[counts], _outcomes(match)[counts], np.full(counts.sum(), number))
            for number, (match, counts) in enumerate(zip(self.matches, known, strict=True))
        ]
        if not parts:
            return None
        values, outcomes, numbers = map(np.concatenate, zip(*parts, strict=True))
        return value_quality(
            values.astype(np.float32), outcomes.astype(np.float32), numbers.astype(np.int64)
        )


def _outcomes(match: MatchRecord) -> npt.NDArray[np.float32]:
    """Returns the result of a match for the player to move at each ply."""
    return np.array(match.returns, np.float32)[match.players]


def read_evidence(
    run: RunDirectory,
    *,
    network: bool = True,
    game: GameSpec | None = None,
    on_problem: Callable[[str], None] = lambda text: None,
) -> Evidence:
    """Reads what a run has stored, while it trains or afterwards. What is damaged is left out.

    Args:
        run: the run.
        network: whether to ask the network about the newest matches too, which takes seconds.
        game: where the game of the run is now; None for where the run has it.
        on_problem: is told what could not be read.
    """
    problems: list[str] = []

    def note(error: Exception) -> None:
        problems.append(str(error))
        on_problem(str(error))

    update = run.checkpoints.latest()
    metadata: dict[str, Any] = {}
    if update is not None:
        try:
            metadata = run.checkpoints.metadata(update)
        except CheckpointError as error:
            note(error)
    evaluations: list[dict[str, Any]] = []
    mistakes: list[dict[str, Any]] = []
    try:
        evaluations = read_evaluations(run.store, note)
        mistakes = read_mistakes(run.store)
    except RunError as error:
        note(error)
    run.fetch_files("tensorboard")
    matches = newest_matches(run, _MATCHES, note)
    evidence = Evidence(
        config=Config.from_dict(metadata["config"]) if "config" in metadata else run.config,
        update=update or 0,
        cursor=metadata.get("cursor", {}),
        held_out=_held_out(run),
        matches=matches,
        scalars=read_scalars(run.tensorboard_path),
        evaluations=evaluations,
        mistakes=mistakes[-1] if mistakes else None,
        heartbeats=read_heartbeats(run.store),
        problems=tuple(problems),
    )
    if not network or not metadata or not matches:
        return evidence
    try:
        return _with_network(evidence, run, game)
    except CheckpointError as error:
        # Damaged, or pruned by the trainer meanwhile.
        note(error)
        return dataclasses.replace(evidence, problems=tuple(problems))


def _held_out(run: RunDirectory) -> list[Mapping[str, Any]]:
    found = []
    for update in run.checkpoints.updates():
        # Pruned meanwhile, or damaged: the others tell.
        with contextlib.suppress(CheckpointError):
            found.append(run.checkpoints.metadata(update).get("held_out"))
    return [losses for losses in found if losses]


def newest_matches(
    run: RunDirectory, count: int, on_error: Callable[[Exception], None]
) -> list[MatchRecord]:
    """Returns the newest finished matches of a run, about `count`, the oldest of them first."""
    files: list[list[MatchRecord]] = []
    found = 0
    for file in reversed(run.matches.entries()):
        if found >= count:
            break
        try:
            files.append(run.matches.get(file.worker, file.sequence))
            found += len(files[-1])
        except SelfplayError as error:
            on_error(error)
    return [match for matches in reversed(files) for match in matches if match.plies][-count:]


def _with_network(evidence: Evidence, run: RunDirectory, game: GameSpec | None) -> Evidence:
    """Returns the evidence with what the newest network says of the newest matches."""
    rules = run.make_game(game)
    network = build_network(rules, evidence.config.network)
    maker = ExampleMaker(rules, evidence.config.replay, positions=_POSITIONS)
    examples = maker(evidence.matches)
    quality = None
    if examples is not None:
        weights = load_weights(run.checkpoints, evidence.update, network)
        quality = Predictor(rules, network).quality(weights, examples)
    return dataclasses.replace(evidence, weights=network.num_weights(), quality=quality)
