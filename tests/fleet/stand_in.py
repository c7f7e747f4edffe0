"""A stand-in for `selfplay`: runs until SIGTERM, then writes that it has saved."""

import os
import signal
import sys
import time
from pathlib import Path

folder = Path(os.environ["FOLDER"])
mine = folder / f"{sys.argv[1]}-{os.getpid()}"


def save(*_: object) -> None:
    """Ends as a process of selfplay does."""
    mine.with_suffix(".saved").touch()
    sys.exit(0)


signal.signal(signal.SIGTERM, save)
mine.with_suffix(".part").write_text("\n".join(sys.argv[1:]))
mine.with_suffix(".part").replace(mine.with_suffix(".args"))
while not (folder / f"{sys.argv[1]}.finish").exists():
    time.sleep(0.02)
