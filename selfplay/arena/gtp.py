"""The Go Text Protocol, version 2, from the side that asks."""

import time
from collections.abc import Sequence

from selfplay.arena.program import Program
from selfplay.errors import EngineError

_COLOURS = ("black", "white")
_NEEDED = ("clear_board", "play", "genmove")


class GtpEngine:
    """A program that speaks GTP: https://www.lysator.liu.se/~gunnar/gtp/.

    Player 0 is black, player 1 white. Moves are written as the game writes them.
    """

    def __init__(self, name: str, command: Sequence[str], *, timeout: float) -> None:
        """Starts the program.

        Args:
            name: what error messages call it.
            command: the program and its arguments.
            timeout: seconds that it may take for any one answer.
        """
        self._name = name
        self._timeout = timeout
        self._program = Program(name, command)
        self._last_id = 0
        self._known: dict[str, bool] = {}

    def begin(self, setup: Sequence[str]) -> None:
        """Sets up the first position of a match.

        Args:
            setup: commands that say which one, such as "boardsize 9" and "komi 7.5".

        Raises:
            EngineError: the engine does not know a command, or refuses it.
        """
        commands = [*setup, "clear_board"]
        for command in (*commands, *_NEEDED):
            self._must_know(command.partition(" ")[0])
        for command in commands:
            self.ask(command)

    def play(self, moves: Sequence[tuple[int, str]]) -> None:
        """Makes moves: the player and the text of each.

        Raises:
            EngineError: the engine holds one of them to be illegal.
        """
        commands = [f"play {_COLOURS[player]} {text}" for player, text in moves]
        for command, (status, answer) in zip(commands, self._ask(commands), strict=True):
            if status == "?":
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
        return [self._answer(first + index, each, deadline) for index, each in enumerate(commands)]

    def _answer(self, number: int, command: str, deadline: float) -> tuple[str, str]:
        lines: list[str] = []
        while True:
            line = self._program.receive(asked=command, deadline=deadline)
            # An answer begins with its status and ends with an empty line.
            if line.strip():
                lines.append(line)
            elif lines:
                break
        status, head = lines[0][0], lines[0][1:]
        digits = head[: len(head) - len(head.lstrip("0123456789"))]
        # Some engines write no number; those that do must write this one.
        if status not in "=?" or (digits and int(digits) != number):
            raise EngineError(
                f"{self._name} answers {command!r} with {lines[0]!r}, which is not GTP",
                hint=f"the answer to command {number} must begin with ={number} or ?{number}",
            )
        return status, "\n".join([head.removeprefix(digits), *lines[1:]]).strip()
