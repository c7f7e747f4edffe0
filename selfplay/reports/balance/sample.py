"""The stored matches of a run, cut down to what is measured, and sorted into stages."""

import collections
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Int64

from selfplay.errors import RecordError
from selfplay.records import MatchRecord, decode_matches
from selfplay.records.match import FIELDS, RESIGNED, TABLES
from selfplay.reports.balance.measures import Plays
from selfplay.run import RunDirectory

SELFPLAY, OWN = "self-play", "played for this report"
"""Where matches come from."""

ENOUGH = 30
"""Fewer matches that were played for a report say less than those of self-play."""

_FILES = 512
_NEWEST_FILES = 128
_MATCHES = 30_000
_STAGES = 8
_STAGE_MATCHES = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class Stored:
    """Self-play matches of a run.

    Attributes:
        matches: without their policies, by the checkpoint that ended them.
        files: how many files the run has.
        files_read: how many of them were read, evenly spread over time.
        foreign: matches that were left out because they were played by other rules.
        problems: what is wrong with files that were left out, in words.
    """

    matches: list[MatchRecord]
    files: int
    files_read: int
    foreign: int
    problems: list[str]


def read_selfplay(run: RunDirectory, *, last_checkpoint: int | None = None) -> Stored:
    """Returns self-play matches of a run: all of a small one, an even selection of a large one.

    Args:
        run: the run.
        last_checkpoint: leave out what later checkpoints ended.

    Raises:
        StorageError: the store cannot be reached.
    """
    files = run.matches.entries()
    chosen = _even(len(files), _FILES) | set(range(max(0, len(files) - _NEWEST_FILES), len(files)))
    most = max(1, _MATCHES // max(1, len(chosen)))
    found: list[MatchRecord] = []
    problems: list[str] = []
    foreign = 0
    for index in sorted(chosen):
        file = files[index]
        try:
            matches = run.matches.get(file.worker, file.sequence)
        except RecordError as error:
            problems.append(str(error))
            continue
        own = [match for match in matches if match.fingerprint == run.fingerprint]
        foreign += len(matches) - len(own)
        # Not the first ones: those that end first in a file are the short ones.
        found += [
            lean(match)
            for match in own[:: -(-len(own) // most) or 1]
            if last_checkpoint is None or match.last_checkpoint <= last_checkpoint
        ]
    found.sort(key=lambda match: match.last_checkpoint)
    return Stored(
        matches=found,
        files=len(files),
        files_read=len(chosen),
        foreign=foreign,
        problems=problems,
    )


def read_file(run: RunDirectory, name: str) -> list[MatchRecord]:
    """Returns the matches in a blob of a run, without their policies.

    Raises:
        RecordError: it is damaged.
        FileNotFoundError: there is none.
    """
    data = run.store.read(name)
    return [lean(match) for match in decode_matches(data, source=run.store.label(name))]


def lean(match: MatchRecord) -> MatchRecord:
    """Returns a match without its policies, in memory of its own: a tenth of its size or less."""
    own: dict[str, Any] = {
        field.name: value.copy()
        for field in dataclasses.fields(match)
        if isinstance(value := getattr(match, field.name), np.ndarray)
    }
    bare: dict[str, Any] = {"is_target": np.zeros(match.plies, np.bool_)}
    for table in TABLES:
        bare[f"{table}_offsets"] = np.zeros(match.plies + 1, np.int32)
    for field in FIELDS:
        if field.per == "action":
            bare[field.name] = np.zeros(0, field.dtype)
    return dataclasses.replace(match, **{**own, **bare})


def begins_randomly(match: MatchRecord) -> bool:
    """Returns whether a match began with random moves, whatever the search said."""
    return bool(match.exploratory.any())


def plays_of(matches: Sequence[MatchRecord]) -> Plays:
    """Returns what is measured of at least one match."""
    toward_0 = [np.where(match.players == 0, 1.0, -1.0) * match.root_values for match in matches]
    return Plays(
        lengths=np.array([match.plies for match in matches], np.int32),
        values=np.concatenate(toward_0).astype(np.float32),
        results=np.array([match.returns[0] for match in matches], np.float32),
        starters=np.array([match.players[0] for match in matches], np.int8),
        truncated=np.array([match.truncated for match in matches], np.bool_),
        resigned=np.array([match.ending == RESIGNED for match in matches], np.bool_),
        distinct=len({(one.actions.tobytes(), one.outcomes.tobytes()) for one in matches}),
    )


def searched_with(matches: Sequence[MatchRecord]) -> int:
    """Returns the simulations that most moves were searched with, fast moves left out."""
    counts: collections.Counter[int] = collections.Counter()
    for match in matches:
        counts.update(match.simulations[~(match.fast | match.exploratory)].tolist())
    return counts.most_common(1)[0][0] if counts else 0


def stages(
    checkpoints: Int64[np.ndarray, " M"], *, most: int = _STAGES, least: int = _STAGE_MATCHES
) -> list[slice]:
    """Returns consecutive stages of about as many matches each.

    Args:
        checkpoints: which checkpoint ended each match, in ascending order; those of one checkpoint
            stay together.
        most: how many stages at most.
        least: matches in a stage at least, if there are so many.
    """
    count = len(checkpoints)
    wanted = max(1, min(most, count // least))
    cuts = [0]
    for number in range(1, wanted):
        aim = number * count // wanted
        # The first match of that checkpoint.
        cut = int(np.searchsorted(checkpoints, checkpoints[aim]))
        if cut - cuts[-1] >= least and count - cut >= least:
            cuts.append(cut)
    return [slice(first, last) for first, last in zip(cuts, [*cuts[1:], count], strict=True)]


def _even(count: int, most: int) -> set[int]:
    """Returns at most so many of the numbers below `count`, evenly spread."""
    spread: Any = np.linspace(0, count - 1, min(count, most)).round().astype(int)
    return set(spread.tolist()) if count else set()
