"""Compiled programs for processes that keep them in a folder of their own."""

import os
import shutil
import time
from pathlib import Path

from tests.conftest import CACHE

_STILL_WRITING_SECONDS = 2.0


def link_known(folder: Path) -> None:
    """Makes `folder`, and lets it hold every program that tests have compiled before."""
    folder.mkdir(parents=True)
    CACHE.mkdir(parents=True, exist_ok=True)
    for file in CACHE.glob("*-cache"):
        (folder / file.name).symlink_to(file)


def keep_new(folder: Path) -> None:
    """Keeps what processes have compiled into `folder` for later runs of the tests.

    Not after one of them was killed: it may have been about to write.
    """
    before = time.time() - _STILL_WRITING_SECONDS
    for file in folder.glob("*-cache"):
        if file.is_symlink() or file.stat().st_mtime > before:
            continue
        # At once: other tests may look there at the same time.
        part = shutil.copy(file, CACHE / f"{file.name}.{os.getpid()}")
        os.replace(part, CACHE / file.name)
