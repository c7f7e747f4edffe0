"""Expert iteration on matches from elsewhere: searched here, they become matches of the run.

Anthony, Tian and Barber, "Thinking fast and slow with deep learning and tree search", 2017, call so
the imitation of a search in positions that somebody else may have chosen.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from selfplay.errors import RecordError
from selfplay.game import Game
from selfplay.records import MatchRecord
from selfplay.records.match import RESIGNED
from selfplay.replay import Rebuilder
from selfplay.run import MatchFiles
from selfplay.run.match_sources import MatchSource
from selfplay.settings import settings_hash
from selfplay.workers.reanalyzer import Reanalyzer


def add_outside_matches(reanalyzer: Reanalyzer, files: Sequence[MatchSource]) -> None:
    """Searches matches from elsewhere and stores them in the run, whose trainer learns from them.

    They get ids of the run and name the match that they were (`source_id`). Only what was searched
    here is a policy target. Matches that this process stored before are left out, so that it may be
    killed and started again.

    Args:
        reanalyzer: searches them.
        files: of matches.

    Raises:
        RecordError: a file is damaged, or a match is of another game, of other rules or not by the
            rules. Nothing is stored before all files are checked.
    """
    with reanalyzer.at_work():
        reanalyzer.beat("starting")
        _check(reanalyzer, files)
        target = reanalyzer.run.matches
        worker = f"outside-{reanalyzer.id}"
        sequence = target.next_sequence(worker)
        done = _done(target, worker)
        for chosen in _groups(reanalyzer, files, done):
            if reanalyzer.lifetime.over:
                return
            found = reanalyzer.search([as_found(match) for match in chosen], sequence)
            own = [
                _of_this_run(reanalyzer, match, f"{worker}-{sequence:08d}-{index:04d}", worker)
                for index, match in enumerate(found.matches)
            ]
            sequence = reanalyzer.store(target, worker, sequence, own)
        if not reanalyzer.lifetime.over:
            reanalyzer.lifetime.reason = "all matches are searched"


def _check(reanalyzer: Reanalyzer, files: Sequence[MatchSource]) -> None:
    """Raises `RecordError` unless all matches are of the run's game and by its rules."""
    game = reanalyzer.components.game
    rebuild = Rebuilder(game, reanalyzer.run.fingerprint)
    needs_end = _has_auxiliary_targets(game)
    for file in files:
        matches = [match for match in file.read() if match.plies]
        if matches:
            rebuild(matches)
        for match in matches if needs_end else ():
            if match.ending == RESIGNED:
                raise RecordError(
                    f"match {match.match_id} was resigned, but {game.name} has auxiliary targets",
                    hint="they are made from the final position: leave such matches out",
                )
        reanalyzer.beat("checking matches")


def _has_auxiliary_targets(game: Game[Any]) -> bool:
    state = jax.eval_shape(game.init, jax.random.key(0))
    return bool(jax.eval_shape(game.auxiliary_targets, state, state))


def _done(files: MatchFiles, worker: str) -> set[str]:
    """Returns which matches from elsewhere this process, or one before it, has stored."""
    numbers = files.sequences().get(worker, [])
    return {match.source_id for number in numbers for match in files.get(worker, number)}


def _groups(
    reanalyzer: Reanalyzer, files: Sequence[MatchSource], done: set[str]
) -> Iterator[list[MatchRecord]]:
    """Yields matches that are not stored yet, about a batch of positions at a time."""
    group: list[MatchRecord] = []
    for file in files:
        for match in file.read():
            if match.plies and match.match_id not in done:
                group.append(match)
                if reanalyzer.enough(group):
                    yield group
                    group = []
    if group:
        yield group


def as_found(match: MatchRecord) -> MatchRecord:
    """Returns a match from elsewhere as if nothing of it were a target yet.

    A position that nobody has searched counts as worth what the match ended with.
    """
    results = np.array(match.returns, np.float32)[match.players.astype(np.int64)]
    searched = match.simulations > 0
    return dataclasses.replace(
        match,
        is_target=np.zeros(match.plies, np.bool_),
        root_values=np.where(searched, match.root_values, results).astype(np.float32),
        reanalysis_checkpoints=np.full(match.plies, -1, np.int64),
    )


def _of_this_run(
    reanalyzer: Reanalyzer, match: MatchRecord, match_id: str, worker: str
) -> MatchRecord:
    update = reanalyzer.published.played_update
    return dataclasses.replace(
        match,
        match_id=match_id,
        source_id=match.match_id,
        worker=worker,
        settings_hash=settings_hash(reanalyzer.components.config),
        first_checkpoint=update,
        last_checkpoint=update,
    )
