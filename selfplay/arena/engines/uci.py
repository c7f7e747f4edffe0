"""The Universal Chess Interface, from the side that asks."""

import difflib
import time
from collections.abc import Collection, Mapping, Sequence

from selfplay.arena.engines.gtp import STRANGE_SECONDS
from selfplay.arena.engines.subprocesses import Program
from selfplay.errors import ConfigError, EngineError


class UciEngine:
    """A program that speaks UCI, about whatever game: moves are written as the game writes them."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        timeout: float,
        limits: str,
        options: Mapping[str, str],
    ) -> None:
        """Starts the program.

        Args:
            name: what error messages call it.
            command: the program and its arguments.
            timeout: seconds that it may take for any one answer.
            limits: how long it thinks, as `go` has it: "nodes 1000".
            options: of the engine, by name.
        """
        self._name = name
        self._timeout = timeout
        self._limits = limits
        self._options = options
        self._program = Program(name, command)
        self._greeted = False
        self._first = "startpos"
        self._moves: list[str] = []

    def begin(self, setup: Sequence[str]) -> None:
        """Begins a match where `setup` says: one text, such as "startpos" or "fen ..."."""
        (self._first,) = setup
        if not self._greeted:
            self._set_options(self._greet())
            self._greeted = True
        self._moves = []
        self._say("ucinewgame")
        self._await_ready()

    def play(self, moves: Sequence[tuple[int, str]], *, forced: Collection[int] = ()) -> None:
        """Makes moves: the player and the text of each; UCI can leave no forced pass out."""
        del forced
        self._moves += [text for _, text in moves]

    def choose(self, player: int) -> str:
        """Returns the engine's move, which counts as made, or "resign"."""
        del player
        moves = f" moves {' '.join(self._moves)}" if self._moves else ""
        self._say(f"position {self._first}{moves}")
        words = self._until("bestmove", f"go {self._limits}").split()
        if len(words) < 2 or words[1].casefold() in ("(none)", "none", "0000"):
            raise EngineError(
                f"{self._name} finds no move after {' '.join(self._moves) or 'the start'}",
                hint="it may play by other rules, or hold a move before to be illegal",
            )
        self._moves.append(words[1])
        return words[1]

    def close(self) -> None:
        """Ends the program."""
        self._program.close()

    def kill(self) -> None:
        """Ends the program at once."""
        self._program.kill()

    def _next_line(self, question: str, deadline: float, strange: str) -> str:
        """Returns the next line; before the first answer, refuses what is not UCI.

        Args:
            question: what it answers.
            deadline: on `time.monotonic`.
            strange: a line that was no answer; "" if there was none.
        """
        if self._greeted or not strange:
            line = self._program.receive(asked=question, deadline=deadline).strip()
        else:
            until = min(deadline, time.monotonic() + STRANGE_SECONDS)
            found = self._program.listen(asked=question, until=until)
            if found is None:
                raise EngineError(
                    f"{self._name} answers {question!r} with {strange!r}, which is not UCI",
                    hint="does the program need an option for UCI? see its manual",
                )
            line = found.strip()
        if not self._greeted and line.startswith(("=", "?")):
            raise EngineError(
                f"{self._name} speaks GTP, not UCI",
                hint="write gtp: instead of uci: in front of its command",
            )
        return line

    def _greet(self) -> list[str]:
        """Returns the names of the options that the engine has."""
        names: list[str] = []
        self._until("uciok", "uci", names)
        return names

    def _set_options(self, names: Sequence[str]) -> None:
        known = {name.casefold(): name for name in names}
        for name, value in self._options.items():
            if name.casefold() not in known:
                close = difflib.get_close_matches(name, names, n=1)
                some = f"did you mean {close[0]}? " if close else ""
                raise ConfigError(
                    f"{self._name} has no option {name!r}",
                    hint=f"{some}its options: {', '.join(names) or 'none'}; and those of "
                    "selfplay: movetime, nodes, depth, timeout",
                )
            self._say(f"setoption name {known[name.casefold()]} value {value}")

    def _await_ready(self) -> None:
        self._until("readyok", "isready")

    def _say(self, line: str) -> None:
        self._program.send(f"{line}\n")

    def _until(self, word: str, question: str, options: list[str] | None = None) -> str:
        """Asks, and returns the line that begins with `word`; notes options on the way."""
        deadline = time.monotonic() + self._timeout
        self._say(question)
        strange = ""
        while True:
            line = self._next_line(question, deadline, strange)
            if not self._greeted:
                strange = strange or line
            if line.split(maxsplit=1)[:1] == [word]:
                return line
            if options is not None and line.startswith("option name "):
                options.append(line.removeprefix("option name ").partition(" type ")[0].strip())
