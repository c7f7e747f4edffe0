"""Settings of `[storage]`: how much a run may store."""

import dataclasses

from selfplay.configuration import check_range


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class StorageConfig:
    """How much a run may store.

    Attributes:
        max_match_bytes: largest size of all files of matches, at least 0; 0 for no limit. When a
            checkpoint is written, the oldest files above it are removed, but never one that is not
            learnt from yet or still in the replay window.
        max_bytes: largest size of the whole run, at least 0; 0 for no limit. When a checkpoint is
            written, old files of matches, refused files, event files, segments of the training log
            and evaluations are removed, early enough to stay below the limit until the next one.
        max_other_bytes: largest size of each other kind of file, at least 0; 0 for no limit. The
            kinds are refused files, event files, segments of the training log, evaluations, and
            matches played for balance reports. Once an hour the oldest above the limit are
            removed; of evaluations those that lie closest together.
        max_other_files: largest number of files of each such kind, at least 0; 0 for no limit.
    """

    max_match_bytes: int = 0
    max_bytes: int = 0
    max_other_bytes: int = 1 << 30
    max_other_files: int = 20_000

    def __post_init__(self) -> None:
        check_range("storage.max_match_bytes", self.max_match_bytes, low=0)
        check_range("storage.max_bytes", self.max_bytes, low=0)
        check_range("storage.max_other_bytes", self.max_other_bytes, low=0)
        check_range("storage.max_other_files", self.max_other_files, low=0)
