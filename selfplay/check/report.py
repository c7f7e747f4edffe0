"""What a check found: a fault with the moves that prove it, and the report of a game."""

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A law that a game breaks.

    Attributes:
        rule: name of the law, a key of `selfplay.check.laws.table.LAWS`.
        message: what was seen.
        moves: actions from the first position that show it; the last one is what goes wrong,
            unless `at_position`. As short as could be found.
        moves_text: the same as a person writes them.
        outcomes: chance outcomes that followed the moves, -1 for none.
        start_key: key data of the first position.
        before: the board before the last move, or the one position that is wrong.
        after: the board after the last move; empty if the position itself is wrong.
        other: the second position of two that are compared; of it only moves and boards count.
        law: what must hold.
        advice: what to change.
        is_warning: whether it is allowed to break it.
    """

    rule: str
    message: str
    moves: tuple[int, ...] = ()
    moves_text: tuple[str, ...] = ()
    outcomes: tuple[int, ...] = ()
    start_key: tuple[int, int] = (0, 0)
    before: str = ""
    after: str = ""
    other: "Fault | None" = None
    law: str = ""
    advice: str = ""
    is_warning: bool = False

    def to_dict(self) -> dict[str, Any]:
        """Returns the fault as `selfplay check --json` prints it."""
        return {
            "rule": self.rule,
            "message": self.message,
            "moves": list(self.moves),
            "moves_text": list(self.moves_text),
            "outcomes": list(self.outcomes) if any(o >= 0 for o in self.outcomes) else [],
            "start_key": list(self.start_key),
            "before": self.before,
            "after": self.after,
            "law": self.law,
            "change": self.advice,
        } | ({"other": self.other.to_dict()} if self.other else {})

    def to_text(self, *, width: int = 100) -> str:
        """Returns the fault, or the warning, for a terminal."""
        kind = "warning" if self.is_warning else self.rule
        lines = textwrap.wrap(
            f"{kind}: {self.message}",
            width,
            subsequent_indent="  ",
            break_long_words=False,
            break_on_hyphens=False,
        )
        for shown in (self, self.other):
            if shown is not None:
                lines += shown._position(width)
        if self.law:
            lines += _wrapped("rule", self.law, width) + _wrapped("change", self.advice, width)
        return "\n".join(lines)

    def _position(self, width: int) -> list[str]:
        """Returns the moves and the boards."""
        lines = []
        if self.moves or self.before:
            spelled = " ".join(self.moves_text) or "none, the first position"
            numbers = " ".join(map(str, self.moves))
            extra = f" (actions {numbers})" if numbers and numbers != spelled else ""
            lines += _wrapped("moves", f"{spelled}{extra}", width)
        if self.after:
            lines += _side_by_side(self.before, self.after, width)
        elif self.before:
            lines += ["  position:", *(f"    {line}" for line in self.before.splitlines())]
        return lines


@dataclasses.dataclass(frozen=True, kw_only=True)
class CheckReport:
    """What was found out about a game.

    Attributes:
        game: its name.
        faults: what is wrong; empty if nothing was found.
        warnings: what is allowed, but will hurt training or is seldom meant.
        measures: numbers by name.
    """

    game: str
    faults: tuple[Fault, ...]
    warnings: tuple[Fault, ...]
    measures: Mapping[str, Any]

    @property
    def ok(self) -> bool:
        """Returns whether nothing is wrong."""
        return not self.faults

    def to_dict(self) -> dict[str, Any]:
        """Returns the document that `selfplay check --json` prints."""
        return {
            "game": self.game,
            "ok": self.ok,
            "problems": [fault.to_dict() for fault in self.faults],
            "warnings": [warning.to_dict() for warning in self.warnings],
            "measures": dict(self.measures),
        }


def _wrapped(name: str, text: str, width: int) -> list[str]:
    return textwrap.wrap(
        text,
        width,
        initial_indent=f"  {name}: ",
        subsequent_indent=" " * (len(name) + 4),
        break_long_words=False,
        break_on_hyphens=False,
    )


def _side_by_side(left: str, right: str, width: int) -> list[str]:
    """Returns two boards next to each other, or one below the other where there is no room."""
    boards = [left.splitlines(), right.splitlines()]
    columns = max(len("before"), *map(len, boards[0]))
    if 4 + columns + 4 + max(map(len, boards[1])) > width:
        return [
            line
            for name, board in zip(("before", "after"), boards, strict=True)
            for line in (f"  {name}:", *(f"    {row}" for row in board))
        ]
    rows: Sequence[tuple[str, str]] = [
        (
            boards[0][index] if index < len(boards[0]) else "",
            boards[1][index] if index < len(boards[1]) else "",
        )
        for index in range(max(map(len, boards)))
    ]
    return [
        f"    {one.ljust(columns)}    {other}".rstrip()
        for one, other in [("before", "after"), *rows]
    ]
