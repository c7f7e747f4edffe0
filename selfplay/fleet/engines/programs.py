"""Calls of the programs by which clusters are reached: sbatch, kubectl, ..."""

import shlex
import shutil
import subprocess
from collections.abc import Mapping, Sequence

from selfplay.errors import RunError


def check_program(name: str, *, hint: str) -> None:
    """Raises `RunError` unless a program is on the PATH.

    Args:
        name: of the program.
        hint: what to do without it.
    """
    if shutil.which(name) is None:
        raise RunError(f"{name} is not on the PATH, so there is no way to the cluster", hint=hint)


def call(
    words: Sequence[str],
    *,
    environ: Mapping[str, str] | None = None,
    text: str | None = None,
    also: Sequence[int] = (),
) -> str:
    """Returns what a program prints.

    Args:
        words: the program and its arguments.
        environ: its environment, by default that of this process.
        text: for its standard input.
        also: exit codes that are no failure, besides 0.

    Raises:
        RunError: it fails; the message is what it says.
    """
    try:
        done = subprocess.run(
            list(words),
            input=text,
            stdin=subprocess.DEVNULL if text is None else None,
            capture_output=True,
            text=True,
            check=False,
            env=None if environ is None else dict(environ),
        )
    except OSError as error:
        raise RunError(f"{words[0]} cannot be started: {error.strerror}") from None
    if done.returncode not in (0, *also):
        # kubectl logs each of its attempts before.
        said = (done.stderr.strip().splitlines() or [f"exit code {done.returncode}"])[-1]
        raise RunError(
            f"{words[0]} refuses: {said.removeprefix(f'{words[0]}: ').removeprefix('error: ')}",
            hint=f"the command was: {shlex.join(words)}",
        )
    return done.stdout
