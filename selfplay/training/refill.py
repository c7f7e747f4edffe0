"""Fills the replay window of a resumed run as it was, from the files that it held."""

import collections
from collections.abc import Iterator, Sequence

from selfplay.errors import RecordError
from selfplay.records import MatchRecord
from selfplay.replay import ReplayWindow, part
from selfplay.run import RunDirectory
from selfplay.training.cursor import Cursor, ReanalysisFile, WindowFile
from selfplay.training.held_out import HeldOut

_FILES_AT_ONCE = 64


def refill(
    run: RunDirectory, cursor: Cursor, window: ReplayWindow, held_out: HeldOut
) -> Iterator[Sequence[MatchRecord]]:
    """Takes in the files of the window in the same order; yields their matches, oldest first.

    Args:
        run: has the files.
        cursor: of the checkpoint.
        window: empty; filled.
        held_out: gets the matches that are kept out of training.

    Raises:
        RecordError: a file is missing or damaged, or holds other matches than it did.
    """
    held = cursor.window
    window.begin_at(
        cursor.positions - sum(file.positions for file in held),
        cursor.matches - sum(file.matches for file in held),
    )
    later = collections.deque(cursor.reanalyses)
    group: list[MatchRecord] = []
    made = window.positions_made
    for index, file in enumerate(held):
        # Matches that were searched again replace targets at the moment at which they came.
        renews = bool(later) and later[0].after <= made
        if group and (renews or index % _FILES_AT_ONCE == 0):
            window.ingest(group)
            yield group
            group = []
        while later and later[0].after <= made:
            _renew(run, later.popleft(), window)
        group += _read(run, file, held_out)
        made += file.positions
    if group:
        window.ingest(group)
        yield group
    for again in later:
        _renew(run, again, window)


def _renew(run: RunDirectory, file: ReanalysisFile, window: ReplayWindow) -> None:
    window.renew(run.reanalyses.get(file.worker, file.sequence))


def _read(run: RunDirectory, file: WindowFile, held_out: HeldOut) -> list[MatchRecord]:
    """Returns the matches of a file to learn from, and keeps the others of it apart."""
    name = file.worker, file.sequence
    matches, apart = part(run.matches.get(*name), file.holdout_share)
    held_out.add(*name, apart)
    found = len(matches), sum(match.plies for match in matches)
    if found != (file.matches, file.positions):
        raise RecordError(
            f"{run.matches.name(*name)} holds {found[0]} matches of {found[1]} "
            f"positions to learn from, but the checkpoint counts "
            f"{file.matches} of {file.positions}",
            hint="the file was replaced; go on from a copy of the run that has it",
        )
    return matches
