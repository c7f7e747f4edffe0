"""The group of all commands: handles their errors and Ctrl-C."""

import contextlib
import contextvars
import dataclasses
import errno
import os
import shlex
import shutil
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from selfplay.cli.leaving import INTERRUPTED, Interruptible
from selfplay.cli.output import say
from selfplay.cli.process import discard_output
from selfplay.errors import EarlierVersionWarning, SelfplayError

# Typer may contain its own Click, so the base classes are reached through its exports.
_UsageError: Any = typer.BadParameter.__base__


@dataclasses.dataclass(frozen=True)
class Invocation:
    """The command line: the program, its arguments, and whether --debug is one of them."""

    program: str
    arguments: tuple[str, ...]
    debug: bool = False


invocation: contextvars.ContextVar[Invocation] = contextvars.ContextVar("invocation")
"""Of the command that runs now."""


class Commands(TyperGroup):
    """Runs a command and turns expected errors into two lines on stderr."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **settings: Any) -> None:
        """Runs the command that `args` name and exits: 0, 2 for a usage error, 1 for others.

        Ctrl-C ends it within two seconds, with exit code 130.

        Args:
            args: by default those of the process.
            settings: those that Click passes to every group; this one always exits.
        """
        with _warnings_as_notes(), Interruptible() as watch:
            self._run(list(sys.argv[1:] if args is None else args), settings, watch)

    def _run(
        self, arguments: list[str], settings: dict[str, Any], watch: Interruptible
    ) -> NoReturn:
        debug, arguments = _take_debug(arguments)
        settings["standalone_mode"] = False
        invocation.set(Invocation(program=program(), arguments=tuple(arguments), debug=debug))
        try:
            status = super().main(arguments or ["--help"], **settings)
        except SelfplayError as error:
            error = _in_the_rules() or error
            _show(str(error), error.hint, debug)
            sys.exit(error.exit_code)
        except _UsageError as error:
            hint = f"see {error.ctx.command_path} --help" if error.ctx else ""
            _show(_lower(error.format_message()), hint, debug)
            sys.exit(2)
        except (KeyboardInterrupt, typer.Abort):
            if watch.may_tell():
                _show("interrupted", "", debug)
            sys.exit(INTERRUPTED)
        except BrokenPipeError:
            # As in `selfplay matches RUN | head`: the reader has closed the pipe.
            discard_output()
            sys.exit(1)
        except Exception as error:
            if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT):
                _show(f"the disk is full: {error}", "free some space", debug)
                sys.exit(1)
            fault = _in_the_rules()
            if fault is not None:
                _show(str(fault), fault.hint, debug)
                sys.exit(fault.exit_code)
            hint = "" if debug else "please report it, with what --debug shows"
            name = type(error).__name__
            _show(f"this is a fault of selfplay itself: {name}: {error}", hint, debug)
            sys.exit(1)
        if status == INTERRUPTED and watch.may_tell():
            _show("interrupted", "", debug)
        sys.exit(status if isinstance(status, int) else 0)


@contextlib.contextmanager
def _warnings_as_notes() -> Iterator[None]:
    """Shows warnings of selfplay as one line of text, without file and line number."""
    usual = warnings.formatwarning

    def formatted(message: Any, category: type[Warning], *where: Any, **more: Any) -> str:
        if issubclass(category, EarlierVersionWarning):
            return f"note: {message}\n"
        return usual(message, category, *where, **more)

    warnings.formatwarning = formatted
    try:
        yield
    finally:
        warnings.formatwarning = usual


def program(*, elsewhere: bool = False) -> str:
    """Returns how to call this program again: "selfplay" if that finds it.

    Args:
        elsewhere: whether it will be called from another directory.
    """
    typed = Path(sys.argv[0])
    if typed.name == "__main__.py":
        return f"{shlex.quote(Path(sys.executable).name)} -m selfplay"
    found = shutil.which("selfplay")
    if typed.name != "selfplay" or not typed.exists():
        return "selfplay"
    if found is not None and os.path.samefile(found, typed):
        return "selfplay"
    return shlex.quote(str(typed.absolute() if elsewhere else typed))


def _in_the_rules() -> SelfplayError | None:
    """Returns the error of a plain-Python game if it is the cause of another error.

    Compiled programs call such a game, and report its exceptions in other words.
    """
    failures = sys.modules.get("selfplay.adapters.failures")
    return None if failures is None else failures.take()


def _take_debug(arguments: list[str]) -> tuple[bool, list[str]]:
    """Returns whether --debug was given, and the arguments without it."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    options = [argument for argument in arguments[:end] if argument != "--debug"]
    return len(options) < end, options + arguments[end:]


def _show(message: str, hint: str, debug: bool) -> None:
    if debug:
        traceback.print_exc()
    say(f"error: {message}", err=True)
    if hint:
        say(f"\nhint: {hint}", err=True)


def _lower(message: str) -> str:
    message = " ".join(message.split())
    return (message[:1].lower() + message[1:]).removesuffix(".")
