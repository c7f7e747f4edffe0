"""A program that plays tic-tac-toe by GTP or UCI: its first free cell, or what a script says.

Plain Python, started by the tests as an engine would be. It writes what it reads into a file.
"""

import argparse
import os
import sys
import time

CELLS = ["a3", "b3", "c3", "a2", "b2", "c2", "a1", "b1", "c1"]
KNOWN = ["clear_board", "play", "genmove", "quit", "known_command", "list_commands"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("protocol", choices=["gtp", "uci"])
    parser.add_argument("--log")
    parser.add_argument("--script", help="its answer after 0, 1, ... moves")
    parser.add_argument("--fault", default="")
    parser.add_argument("--knows", nargs="*", default=[])
    arguments = parser.parse_args()
    stub = Stub(arguments)
    stub.note("started")
    if arguments.fault == "banner":
        say("Stub 1.0\nno warranty")
    for line in sys.stdin:
        stub.note(line.strip())
        if stub.gtp(line) if arguments.protocol == "gtp" else stub.uci(line):
            break
    stub.note("ended")


def say(text: str) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


class Stub:
    def __init__(self, arguments: argparse.Namespace) -> None:
        self.log = arguments.log
        self.script = arguments.script.split() if arguments.script else []
        self.fault = arguments.fault
        self.known = [*KNOWN, *arguments.knows]
        self.moves: list[str] = []

    def note(self, text: str) -> None:
        if self.log:
            with open(self.log, "a", encoding="utf-8") as file:
                file.write(f"{os.getpid()} {text}\n")

    def choice(self) -> str:
        if self.fault == "silent":
            time.sleep(3600)
        if self.fault == "dies":
            sys.stderr.write("thinking hard\n\nout of memory\n")
            sys.exit(3)
        if self.script:
            return self.script[len(self.moves)]
        return next(cell for cell in CELLS if cell not in self.moves)

    def gtp(self, line: str) -> bool:
        number, command, *words = line.split() if line[0].isdigit() else ("", *line.split())
        answer = self.obeyed(command, words)
        status = "?" if answer.startswith("?") else "="
        if self.fault == "wrong-id" and command == "genmove":
            number = "999"
        if self.fault == "no-ids":
            number = ""
        if self.fault == "babbles" and command == "genmove":
            say("let me see\n")
        say(f"{status}{number} {answer.removeprefix('?')}\n")
        return command == "quit"

    def obeyed(self, command: str, words: list[str]) -> str:
        if command == "known_command":
            return (
                "?unknown command" if self.fault == "shy" else str(words[0] in self.known).lower()
            )
        if command not in self.known:
            return "?unknown command"
        if command == "clear_board":
            self.moves = []
        elif command == "play":
            if self.fault == "refuses":
                return "?illegal move"
            if self.fault == "no-pass" and words[1] == "pass":
                return "?syntax error"
            self.moves.append(words[1])
        elif command == "genmove":
            # In capitals, as engines may: texts are compared without case.
            chosen = self.choice()
            self.moves.append(chosen)
            return chosen.upper()
        return ""

    def uci(self, line: str) -> bool:
        word, *words = line.split()
        if word == "uci":
            say("id name stub\noption name Skill Level type spin default 1\nuciok")
        elif word == "isready":
            say("info string here\nreadyok")
        elif word == "position":
            self.moves = words[words.index("moves") + 1 :] if "moves" in words else []
        elif word == "go":
            say(f"info depth 1\nbestmove {self.choice()} ponder a1")
        return word == "quit"


if __name__ == "__main__":
    main()
