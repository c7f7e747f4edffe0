"""Stored matches that a run has not learnt from, to test its checkpoints on."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from selfplay.errors import RunError
from selfplay.records import MatchRecord
from selfplay.replay import is_held_out, part
from selfplay.run import RunDirectory
from selfplay.run.match_sources import match_sources
from selfplay.training.cursor import Cursor


@dataclasses.dataclass(frozen=True, kw_only=True)
class UnseenMatches:
    """Matches that a run has not learnt from.

    Attributes:
        matches: in no particular order.
        learnt_from: how many were left out because the run has learnt from them.
    """

    matches: list[MatchRecord]
    learnt_from: int


def held_out_matches(run: RunDirectory, metadata: Mapping[str, Any]) -> UnseenMatches:
    """Returns the matches in the replay window of a checkpoint that are kept out of training.

    Args:
        run: the run.
        metadata: of the checkpoint.

    Raises:
        RunError: there are none.
        RecordError: a file of matches is missing or damaged.
    """
    matches: list[MatchRecord] = []
    for file in Cursor.from_json(metadata["cursor"]).window:
        if file.holdout_share:
            stored = run.matches.get(file.worker, file.sequence)
            matches += part(stored, file.holdout_share).held_out
    if not matches:
        raise RunError(
            f"{run.url} keeps no matches out of training",
            hint="name matches of another run: --data FILES; or train on with "
            "--set replay.holdout_share=0.05, which keeps out 5 % of the new matches",
        )
    return UnseenMatches(matches=matches, learnt_from=0)


def named_matches(
    run: RunDirectory, metadata: Mapping[str, Any], data: Sequence[str], *, positions: int
) -> UnseenMatches:
    """Returns matches of files, folders or runs without those that the run has learnt from.

    Files are read in random order, always the same, until they hold so many positions.

    Args:
        run: the run.
        metadata: of its newest checkpoint that is to be tested.
        data: Parquet files, folders that hold some, and runs.
        positions: how many are wanted.

    Raises:
        RunError: there are none, or the run has learnt from all of them.
        RecordError: a file is damaged.
    """
    learnt = _Learnt(run, metadata)
    found = UnseenMatches(matches=[], learnt_from=0)
    total = left_out = 0
    sources = [source for text in data for source in match_sources(text, option="--data")]
    for index in np.random.default_rng(0).permutation(len(sources)).tolist():
        if total >= positions:
            break
        for match in sources[index].read():
            if match in learnt:
                left_out += 1
            else:
                found.matches.append(match)
                total += match.plies
    if not found.matches:
        named = " ".join(data)
        raise RunError(
            f"{run.url} has learnt from all {left_out} matches of {named}"
            if left_out
            else f"{named} holds no matches",
            hint="name matches of another run of the same game, or keep some out of training: "
            "--set replay.holdout_share=0.05",
        )
    return dataclasses.replace(found, learnt_from=left_out)


class _Learnt:
    """The matches that a run has learnt from, as far as their files are still there."""

    def __init__(self, run: RunDirectory, metadata: Mapping[str, Any]) -> None:
        self._run = run
        cursor = Cursor.from_json(metadata["cursor"])
        self._next = cursor.next_files
        now = metadata.get("config", {}).get("replay", {}).get("holdout_share", 0.0)
        self._share = {(file.worker, file.sequence): file.holdout_share for file in cursor.window}
        self._share_now = float(now)
        self._files: dict[tuple[str, int], dict[str, MatchRecord]] = {}

    def __contains__(self, match: MatchRecord) -> bool:
        worker, sequence = _file_of(match.match_id)
        if sequence >= self._next.get(worker, 0):
            return False
        # Other runs give the same names to their matches: the moves tell.
        own = self._stored(worker, sequence).get(match.match_id)
        if own is None or own.start_key != match.start_key:
            return False
        if not np.array_equal(own.actions, match.actions):
            return False
        share = self._share.get((worker, sequence), self._share_now)
        return not is_held_out(match.match_id, share)

    def _stored(self, worker: str, sequence: int) -> dict[str, MatchRecord]:
        file = worker, sequence
        if file not in self._files:
            there = self._run.matches.has(*file)
            stored = self._run.matches.get(*file) if there else []
            self._files = {file: {match.match_id: match for match in stored}}
        return self._files[file]


def _file_of(match_id: str) -> tuple[str, int]:
    """Returns worker and number of the file that a match was stored in first."""
    parts = match_id.rsplit("-", 2)
    known = len(parts) == 3 and parts[1].isdecimal()
    return (parts[0], int(parts[1])) if known else ("", 0)
