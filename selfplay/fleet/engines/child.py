"""Starts a command that is asked to end when its supervisor is gone.

    python -m selfplay.fleet.engines.child SUPERVISOR WORDS...

On Linux the kernel sends SIGTERM to the command if the supervisor ends in whatever way, so that it
saves and ends too. Elsewhere nothing does; `selfplay launch --stop` finds the command by the record
of the fleet.
"""

import ctypes
import os
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with(supervisor: int) -> bool:
    """Makes the kernel send SIGTERM to this process when its parent ends, where it can.

    Args:
        supervisor: the process id of the parent.

    Returns:
        Whether the parent is there: it may have ended before.
    """
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    return os.getppid() == supervisor


def main() -> None:
    """Becomes the command."""
    supervisor, *words = sys.argv[1:]
    if die_with(int(supervisor)):
        os.execvp(words[0], words)
    sys.exit(1)


if __name__ == "__main__":
    main()
