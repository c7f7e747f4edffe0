"""The counters of a run, as a checkpoint keeps them."""

import dataclasses
from collections.abc import Sequence
from typing import Any

from selfplay.learner import Plateau, Stall
from selfplay.records import MatchRecord
from selfplay.run.window_files import NEVER, reanalysis_files, window_files
from selfplay.run.window_files import OWN_WORKER as OWN_WORKER
from selfplay.run.window_files import ReanalysisFile as ReanalysisFile
from selfplay.run.window_files import WindowFile as WindowFile


@dataclasses.dataclass(kw_only=True)
class Cursor:
    """The counters of a run, which a checkpoint stores besides weights and matches in progress.

    Attributes:
        iteration: chunks of self-play that the trainer played itself.
        sequence: number of the next file of those matches.
        elapsed_seconds: time of training, over all sessions.
        positions: number of positions learnt from since the run began.
        matches: number of matches learnt from since the run began.
        held_out: number of matches kept out of training.
        plateau: the state of the "plateau" schedule.
        stall: the state of the "auto" schedule.
        window: files whose positions may still be in the replay window, oldest first.
        next_files: by worker, the number of the first file that has not been read yet.
        left_out: matches that were not taken in, by reason: "stale", "foreign".
        damaged_files: number of files that could not be read or broke the rules.
        segments: how many segments of the training log lead to this checkpoint.
        reanalyses: files of matches that were searched again and may still be in the replay window,
            in the order in which they were taken in.
        next_reanalyses: by worker, the number of the first such file that has not been read yet;
            of `OWN_WORKER` that of the next one.
        reanalysed: positions whose targets were made again.
        reanalysis_debt: positions that this process is to search again for what it has played
            (`replay.reanalyze_share`); below 0 if it is ahead.
    """

    iteration: int = 0
    sequence: int = 0
    elapsed_seconds: float = 0.0
    positions: int = 0
    matches: int = 0
    held_out: int = 0
    plateau: Plateau = dataclasses.field(default_factory=Plateau)
    stall: Stall = dataclasses.field(default_factory=Stall)
    window: list[WindowFile] = dataclasses.field(default_factory=list)
    next_files: dict[str, int] = dataclasses.field(default_factory=dict)
    left_out: dict[str, int] = dataclasses.field(default_factory=dict)
    damaged_files: int = 0
    segments: int = 0
    reanalyses: list[ReanalysisFile] = dataclasses.field(default_factory=list)
    next_reanalyses: dict[str, int] = dataclasses.field(default_factory=dict)
    reanalysed: int = 0
    reanalysis_debt: float = 0.0

    def take(self, file: WindowFile, *, held_out: int, max_window: int) -> None:
        """Counts a file of matches that was taken in.

        Args:
            file: its positions are the newest of the window now.
            held_out: number of its matches that are kept out of training.
            max_window: positions that the window has room for.
        """
        self.window.append(file)
        self.next_files[file.worker] = file.sequence + 1
        self.positions += file.positions
        self.matches += file.matches
        self.held_out += held_out
        held = sum(file.positions for file in self.window)
        while held - self.window[0].positions >= max_window:
            held -= self.window.pop(0).positions
        while self.reanalyses and self.reanalyses[0].after <= self.positions - held:
            self.reanalyses.pop(0)

    def renew(self, worker: str, sequence: int, matches: Sequence[MatchRecord]) -> int:
        """Counts a file of matches that were searched again; returns how many positions were.

        Args:
            worker: that searched them.
            sequence: the number of the file.
            matches: those of it that the window holds.
        """
        newest: dict[tuple[str, int], int] = {}
        for match in matches:
            player, number, _ = match.match_id.rsplit("-", 2)
            file = player, int(number)
            newest[file] = max(newest.get(file, NEVER), int(match.reanalysis_checkpoints.max()))
        self.window = [
            one._replace(reanalysis=max(one.reanalysis, newest.get(one[:2], NEVER)))
            for one in self.window
        ]
        positions = sum(int((match.reanalysis_checkpoints >= 0).sum()) for match in matches)
        self.reanalysed += positions
        self.reanalyses.append(ReanalysisFile(worker, sequence, self.positions))
        return positions

    def to_json(self) -> dict[str, Any]:
        """Returns the counters for the metadata of a checkpoint."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> "Cursor":
        """Returns what `to_json` was called on.

        Early checkpoints of selfplay 0.1 knew one worker, the trainer itself.
        """
        next_files = document.get("next_files", {OWN_WORKER: document["sequence"]})
        return cls(
            **{
                **document,
                "plateau": Plateau(**document["plateau"]),
                "stall": Stall(**document.get("stall", {})),
                "window": window_files(document),
                "next_files": dict(next_files),
                "reanalyses": reanalysis_files(document),
            }
        )
