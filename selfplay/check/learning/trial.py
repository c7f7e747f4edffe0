"""A short training of a small agent, to see whether a game can be learnt.

Some mistakes do not show in the rules alone, but keep every agent from learning. `run_trial` trains
for about a minute with the same trainer as `selfplay train`, plays matches with the agent, and
looks for contradictions in everything that was played.
"""

import dataclasses
import statistics
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np

from selfplay.arena import MatchTable, make_agent, play_matches, score_interval
from selfplay.check.learning.evidence import gather
from selfplay.check.learning.result import Amount, Score, TrialResult, verdict_of
from selfplay.check.learning.suspicions import notes, suspicions
from selfplay.configuration import check_range
from selfplay.game import Game
from selfplay.records import MatchRecord, read_matches
from selfplay.registry import GameSpec
from selfplay.telemetry import Progress
from selfplay.training.session import open_session
from selfplay.training.trainer import Trainer, train

_OPPONENTS = ("random", "mcts:50")
_MATCHES = 64
# Where so many matches take so long, they are all: long matches of costly rules.
_FIRST_MATCHES = 16
_FIRST_SECONDS = 15.0
_SIMULATIONS = 32
# Boards of more cells than this get a narrower network: the minute must hold some updates.
_MANY_CELLS = 100
_PATIENCE = 10


def run_trial(
    spec: GameSpec,
    *,
    minutes: float = 0.5,
    updates: int = 0,
    seed: int = 0,
    num_matches: int = _MATCHES,
    opponents: Sequence[str] = _OPPONENTS,
    settings: Mapping[str, Mapping[str, Any]] | None = None,
    directory: Path | None = None,
    say: Callable[[str], None] = lambda text: None,
) -> TrialResult:
    """Trains a small agent, plays matches with it, and returns what both show.

    Args:
        spec: the game.
        minutes: how long to train, from the first update on. Where a slow or busy machine plays
            too little in that time (see `ENOUGH`) it goes on for up to ten times as long.
        updates: train for so many updates instead; 0 for `minutes`.
        seed: decides everything random.
        num_matches: afterwards against each opponent, even; fewer, but at least 16, where they
            take long.
        opponents: who plays against the agent with search. The network alone plays random.
        settings: over those chosen for the size of the game.
        directory: of the run; by default one that is removed afterwards.
        say: called with a line of text at each stage.
    """
    check_range("minutes", minutes, above=0)
    if directory is None:
        with tempfile.TemporaryDirectory(prefix="selfplay-check-") as made:
            return run_trial(
                spec,
                minutes=minutes,
                updates=updates,
                seed=seed,
                num_matches=num_matches,
                opponents=opponents,
                settings=settings,
                directory=Path(made) / "run",
                say=say,
            )
    game = spec.make()
    chosen = small_settings(game)
    for section, values in (settings or {}).items():
        chosen[section] = {**chosen.get(section, {}), **values}
    chosen["trainer"] = {**chosen["trainer"], "updates": updates, "seed": seed}
    session = open_session(directory, spec, game, chosen)
    say("compiling self-play and updates")
    listener = _Listener(say, None if updates else 60 * minutes)
    train(session.run, session.components, listener, on_ready=listener.watch)
    records = _records(directory)
    say("playing matches")
    meetings = [("network", f"{directory}:0", "random")]
    meetings += [("agent", f"{directory}:{_SIMULATIONS}", opponent) for opponent in opponents]
    scores = tuple(
        _score(name, opponent, _tables(game, agent, opponent, num_matches, seed))
        for name, agent, opponent in meetings
    )
    evidence = gather(game, records)
    last = listener.last
    age = last.metrics.get("window_age_updates") if last else None
    amount = _amount(last) if last else Amount()
    return TrialResult(
        verdict=verdict_of(scores, evidence, amount),
        scores=scores,
        suspects=tuple(suspicions(evidence)),
        notes=tuple(notes(evidence, updates=amount.updates, age=age)),
        updates=amount.updates,
        matches=amount.matches,
        positions=amount.positions,
        evidence={**dataclasses.asdict(evidence), "window_age_updates": age},
    )


def small_settings(game: Game[Any]) -> dict[str, dict[str, Any]]:
    """Returns settings with which a minute on two cores is enough for a small game."""
    state = jax.eval_shape(game.init, jax.random.key(0))
    observation = jax.eval_shape(game.observe, state)
    cells = int(np.prod(observation.shape[:-1])) if len(observation.shape) == 3 else 0
    wide = cells <= _MANY_CELLS
    return {
        "network": {"blocks": 2 if wide else 1, "channels": 32 if wide else 24},
        "search": {
            "num_simulations": 16,
            "max_considered_actions": min(8, game.num_actions),
            "sampling_plies": max(2, min(12, game.max_plies // 3)),
        },
        "rollout": {"matches_per_device": 32, "plies_per_chunk": 4},
        "replay": {"min_window": 4_000, "max_window": 40_000, "first_positions": 500},
        "learner": {"batch_size": 128, "warmup_updates": 20, "ema_decay": 0.98},
        "trainer": {"checkpoint_seconds": 1e6, "replay_ratio": 8.0},
        "evaluation": {"enabled": False},
    }


class _Listener:
    """A reporter that keeps the latest progress, prints it now and then, and ends the training."""

    def __init__(self, say: Callable[[str], None], seconds: float | None) -> None:
        """Takes where to report to and when to stop.

        Args:
            say: called with a line of text every ten seconds.
            seconds: of training from the first update on; None to leave the end to the plan.
        """
        self.last: Progress | None = None
        self._say = say
        self._seconds = seconds
        self._stop: Callable[[], None] = lambda: None
        self._first = 0.0
        self._said = 0.0

    def watch(self, trainer: Trainer) -> None:
        """Takes the trainer that is to be stopped."""
        self._stop = trainer.stop

    def update(self, progress: Progress) -> None:
        """Keeps the progress; stops the trainer when the time is over."""
        self.last = progress
        elapsed = progress.elapsed_seconds
        if not progress.update:
            self._first = elapsed
        if self._seconds is not None:
            trained = elapsed - self._first
            enough = trained >= self._seconds and _amount(progress).enough
            if enough or trained >= _PATIENCE * self._seconds:
                self._stop()
        if elapsed - self._said >= 10:
            self._said = elapsed
            self._say(
                f"training: {elapsed:.0f} s, {progress.matches:,} matches of "
                f"{progress.positions:,} plies, update {progress.update:,}"
            )

    def message(self, text: str) -> None:
        """Passes a message of the trainer on."""
        self._say(text)

    def close(self) -> None:
        """Does nothing."""


def _records(directory: Path) -> list[MatchRecord]:
    files = sorted((directory / "matches").rglob("*.parquet"))
    return [record for file in files for record in read_matches(file)]


def _tables(
    game: Game[Any], agent: str, opponent: str, num_matches: int, seed: int
) -> list[MatchTable]:
    """Returns what was played, in one table or two."""
    first = min(_FIRST_MATCHES, num_matches)
    agents = [make_agent(text, game, batch_size=first) for text in (agent, opponent)]
    begin = time.monotonic()
    tables = [play_matches(game, *agents, num_matches=first, seed=seed)]
    if num_matches > first and time.monotonic() - begin <= _FIRST_SECONDS:
        tables.append(play_matches(game, *agents, num_matches=num_matches - first, seed=seed + 1))
    return tables


def _score(agent: str, opponent: str, tables: Sequence[MatchTable]) -> Score:
    pairs = [score for table in tables for score in table.pair_scores]
    low, high = score_interval(pairs, distinct_pairs=sum(table.distinct_pairs for table in tables))
    seats = [
        statistics.fmean(
            match.score for table in tables for match in table.matches if match.seat == seat
        )
        for seat in range(2)
    ]
    return Score(
        agent=agent,
        opponent=opponent,
        score=statistics.fmean(pairs),
        low=low,
        high=high,
        matches=2 * len(pairs),
        by_seat=(seats[0], seats[1]),
    )


def _amount(progress: Progress) -> Amount:
    return Amount(updates=progress.update, matches=progress.matches, positions=progress.positions)
