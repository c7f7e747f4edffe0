"""Which stored positions are searched again next."""

import functools
import hashlib
from collections.abc import Collection, Iterable
from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.records import MatchRecord
from selfplay.run.window_files import WindowFile


def files_to_search(
    window: Iterable[WindowFile], update: int, generator: np.random.Generator
) -> list[WindowFile]:
    """Returns the files of the window whose matches are to be searched again, in order.

    Those come first that nobody has searched again, then those whose targets are oldest, in random
    order otherwise: a position that was just made has little to gain, and one that is about to
    leave the window is of little use. Files that weights as new have searched again are left out.

    Args:
        window: of the newest checkpoint or of the trainer.
        update: of the weights that are to search.
        generator: decides the order.
    """
    files = [file for file in window if file.positions and file.reanalysis < update]
    drawn = [files[index] for index in generator.permutation(len(files))]
    return sorted(drawn, key=lambda file: file.reanalysis)


def plies_to_search(
    match: MatchRecord, generator: np.random.Generator, *, share: float = 1.0, positions: int = 0
) -> npt.NDArray[Any]:
    """Returns which plies of a match are to be searched again, ascending; at least one.

    Args:
        match: at least one ply long.
        generator: draws them.
        share: of its plies, in (0, 1].
        positions: how many plies at most, instead of a share; 0 for a share.
    """
    count = min(positions, match.plies) if positions else max(1, round(share * match.plies))
    return np.sort(generator.choice(match.plies, count, replace=False))


def is_dealt_to(id: str, file: WindowFile, ids: Collection[str]) -> bool:
    """Returns whether a file is one process's to search, of several that are at work.

    Each file goes to the process whose name and it have the highest hash, so that few files change
    hands when a process comes or goes.
    """
    return max(sorted(ids), key=functools.partial(_rank, file)) == id


def _rank(file: WindowFile, id: str) -> bytes:
    name = f"{id}/{file.worker}/{file.sequence}"
    return hashlib.blake2b(name.encode(), digest_size=8).digest()
