"""The Go Text Protocol, version 2, from the side that asks."""

import re
import time
from collections.abc import Callable, Collection, Sequence

from selfplay.arena.engines.subprocesses import Program
from selfplay.errors import EngineError

PROBE_SECONDS = 5.0
"""A program that has said nothing for so long is asked whether it speaks UCI."""

STRANGE_SECONDS = 10.0
"""So long after its last line one that writes anything but answers is held to speak neither."""

_COLOURS = ("black", "white")
_NEEDED = ("clear_board", "play", "genmove")
_STATUS = ("=", "?")
_UCI = re.compile(r"(id (name|author)|uciok\b|option name|info |bestmove )")


class GtpEngine:
    """A program that speaks GTP: https://www.lysator.liu.se/~gunnar/gtp/.

    Player 0 is black, player 1 white. Moves are written as the game writes them.
    """

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        *,
        timeout: float,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Starts the program.

        Args:
            name: what error messages call it.
            command: the program and its arguments.
            timeout: seconds that it may take for any one answer.
            say: is told, once for each kind, of what is overlooked.
        """
        self._name = name
        self._timeout = timeout
        self._program = Program(name, command)
        self._last_id = 0
        self._known: dict[str, bool] = {}
        self._say = say
        self._noted: set[str] = set()
        self._speaks_gtp = False
        self._refusal_follows = False

    def begin(self, setup: Sequence[str]) -> None:
        """Sets up the first position of a match.

        Args:
            setup: commands that say which one, such as "boardsize 9" and "komi 7.5";
                "clear_board" comes after them unless it is among them.

        Raises:
            EngineError: the engine does not know a command, or refuses it.
        """
        commands = [*setup, *(() if "clear_board" in setup else ("clear_board",))]
        for command in (*commands, *_NEEDED):
            self._must_know(command.partition(" ")[0])
        for command in commands:
            self.ask(command)

    def play(self, moves: Sequence[tuple[int, str]], *, forced: Collection[int] = ()) -> None:
        """Makes moves: the player and the text of each.

        Args:
            moves: in order.
            forced: indices of passes that were the only legal move. Many programs know no such
                pass, and find out by the colour of the next move who made it.

        Raises:
            EngineError: the engine holds one of them to be illegal.
        """
        commands = [f"play {_COLOURS[player]} {text}" for player, text in moves]
        for index, (status, answer) in enumerate(self._ask(commands)):
            command = commands[index]
            if status == "?" and index in forced:
                self._note("pass", f"{self._name} refuses {command!r}: forced passes are skipped")
            elif status == "?":
                raise EngineError(
                    f"{self._name} refuses {command!r}, which is legal here: {answer}",
                    hint="it plays by other rules or writes moves differently; see docs/engines.md",
                )

    def choose(self, player: int) -> str:
        """Returns the engine's move, which it has made on its own board, or "resign"."""
        command = f"genmove {_COLOURS[player]}"
        ((status, answer),) = self._ask([command])
        if status == "?" or not answer:
            raise EngineError(f"{self._name} finds no move at {command!r}: {answer or 'no answer'}")
        return answer

    def ask(self, command: str) -> str:
        """Returns the answer to any command.

        Raises:
            EngineError: the engine refuses it.
        """
        ((status, answer),) = self._ask([command])
        if status == "?":
            raise EngineError(f"{self._name} refuses {command!r}: {answer}")
        return answer

    def close(self) -> None:
        """Ends the program."""
        self._program.close()

    def kill(self) -> None:
        """Ends the program at once."""
        self._program.kill()

    def _must_know(self, command: str) -> None:
        if command not in self._known:
            ((status, answer),) = self._ask([f"known_command {command}"])
            # Who does not even know that will be asked, and refuse by himself.
            self._known[command] = status == "?" or answer.casefold() == "true"
        if not self._known[command]:
            raise EngineError(
                f"{self._name} does not know the command {command}, which this game needs",
                hint="see docs/engines.md for what an engine is asked",
            )

    def _ask(self, commands: Sequence[str]) -> list[tuple[str, str]]:
        """Returns "=" or "?" and what follows it for each command; all are sent before."""
        deadline = time.monotonic() + self._timeout
        first = self._last_id + 1
        self._last_id += len(commands)
        self._program.send(
            "".join(f"{first + index} {command}\n" for index, command in enumerate(commands))
        )
        answers = []
        for index, command in enumerate(commands):
            answers.append(self._answer(first + index, command, deadline))
            if self._refusal_follows and index == 0:
                self._refusal_follows = False
                self._skip_refusal()
        return answers

    def _answer(self, number: int, command: str, deadline: float) -> tuple[str, str]:
        """Returns "=" or "?" of the next answer, which must be that of `number`, and its text."""
        lines = self._lines(number, command, deadline)
        status, head = lines[0][0], lines[0][1:]
        digits = head[: len(head) - len(head.lstrip("0123456789"))]
        # Some engines write no number; those that do must write this one.
        if digits and int(digits) != number:
            raise self._not_gtp(number, command, lines[0])
        return status, "\n".join([head.removeprefix(digits), *lines[1:]]).strip()

    def _lines(self, number: int, command: str, deadline: float) -> list[str]:
        """Returns the lines of the next answer; what comes before it is noted and skipped."""
        line = ""
        if not self._speaks_gtp:
            line = self._first_line(number, command, deadline)
            self._speaks_gtp = True
        while not line.startswith(_STATUS):
            if line.strip():
                self._note_strange(line)
            line = self._program.receive(asked=command, deadline=deadline)
        lines = []
        # It ends with an empty line.
        while line.strip():
            lines.append(line)
            line = self._program.receive(asked=command, deadline=deadline)
        return lines

    def _first_line(self, number: int, command: str, deadline: float) -> str:
        """Returns the first line of the first answer of all.

        Who is silent, or writes something else, is asked "uci": a GTP engine refuses that word,
        a UCI engine must answer it.

        Raises:
            EngineError: the program speaks UCI, or neither.
        """
        strange: list[str] = []
        asked = False
        while True:
            patience = STRANGE_SECONDS if strange else deadline if asked else PROBE_SECONDS
            until = min(deadline, time.monotonic() + patience)
            line = self._program.listen(asked=command, until=until)
            if line is None and time.monotonic() < deadline and strange:
                raise self._not_gtp(number, command, strange[0])
            if line is None and asked:
                # The time is over; this says so.
                line = self._program.receive(asked=command, deadline=deadline)
            if line is not None and line.startswith(_STATUS):
                break
            if line is not None and line.strip():
                strange.append(line)
                self._refuse_other_protocols(number, command, line)
            if not asked and (line is None or line.strip()):
                asked = True
                self._program.send("uci\n")
        for one in strange:
            self._note_strange(one)
        if asked:
            # Commands are answered in order, so the refusal comes after this answer.
            self._refusal_follows = True
        return line

    def _refuse_other_protocols(self, number: int, command: str, line: str) -> None:
        if _UCI.match(line):
            raise EngineError(
                f"{self._name} speaks UCI, not GTP",
                hint="write uci: instead of gtp: in front of its command",
            )
        if line.strip() == f"{number} {command}":
            # An echo, as that of cat.
            raise self._not_gtp(number, command, line)

    def _skip_refusal(self) -> None:
        """Reads over the answer to "uci"; some programs do not even refuse it."""
        until = time.monotonic() + PROBE_SECONDS
        started = False
        while (line := self._program.listen(asked="uci", until=until)) is not None:
            if started and not line.strip():
                return
            started = started or line.startswith(_STATUS)

    def _not_gtp(self, number: int, command: str, line: str) -> EngineError:
        return EngineError(
            f"{self._name} answers {command!r} with {line!r}, which is not GTP",
            hint=f"the answer to command {number} must begin with ={number} or ?{number}; does the "
            "program need an option, such as --mode gtp?",
        )

    def _note_strange(self, line: str) -> None:
        text = f"{self._name} writes lines that are no answers, such as {line!r}: they are skipped"
        self._note("strange", text)

    def _note(self, kind: str, text: str) -> None:
        if kind not in self._noted:
            self._noted.add(kind)
            self._say(text)
