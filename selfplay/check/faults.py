"""What is wrong with a game: one fault with the moves that prove it, and how it is told."""

import dataclasses
import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

SYMMETRY_PARTS = ("step", "legal_action_mask", "current_player", "is_terminal", "returns")
"""What a symmetry must map or keep."""

POSITION_LAWS = (
    "start",
    "player",
    "no-legal-action",
    "returns:finite",
    "returns:range",
    "returns:zero-sum",
    "finite:observation",
    "finite:state",
)
"""Laws about a position; all others are about a move, which belongs to the moves that show it."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Fault:
    """A rule of the contract that a game breaks, or a warning.

    Attributes:
        rule: name of the rule, a key of `RULES`, or of `WARNINGS`.
        message: what was seen.
        moves: actions from the first position that show it; the last one is what goes wrong,
            unless `at_position`. As short as could be found.
        moves_text: the same as a person writes them.
        outcomes: chance outcomes that followed the moves, -1 for none.
        start_key: key data of the first position.
        before: the board before the last move, or the one position that is wrong.
        after: the board after the last move; empty if the position itself is wrong.
        other: the second position of two that are compared, with nothing but its moves and boards.
        words: law and advice in place of those in `RULES`; None for those.
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
    words: tuple[str, str] | None = None

    @property
    def law(self) -> str:
        """Returns what must hold; empty for a warning that says all itself."""
        return (self.words or (RULES | WARNINGS)[self.rule])[0]

    @property
    def advice(self) -> str:
        """Returns what to change, likewise."""
        return (self.words or (RULES | WARNINGS)[self.rule])[1]

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
        kind = "warning" if self.rule in WARNINGS else self.rule
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


RULES: dict[str, tuple[str, str]] = {
    "contract": (
        "sizes, shapes and types are those of the contract, and JAX can trace every method",
        "what the message names; help(selfplay.Game) says what each method takes and returns",
    ),
    "dtypes": (
        "a state has the same types from init to the end",
        "write jnp.int8(0) instead of 0 in init and step, and cast results with .astype",
    ),
    "start": ("the first position is not over", "is_terminal or max_plies, or what init returns"),
    "player": (
        "current_player is 0 or 1, and both players get to move",
        "hand the turn over in step: player=1 - state.player, but for moves that grant another",
    ),
    "no-legal-action": (
        "a match that is not over has a legal action",
        "is_terminal must be True here, or legal_action_mask must allow a pass",
    ),
    "returns": (
        "returns are finite, in [-1, 1] and sum to 0, in every position",
        "scale a score to [-1, 1], and give one player the negative of the other's",
    ),
    "finite": (
        "observations are finite, and no NaN stands in a state",
        "a division by zero, a logarithm of zero, or infinity less infinity in observe or step",
    ),
    "value-sign": (
        "who is player 0 and who is player 1 decides nothing by itself: the same match between "
        "exchanged players has the opposite result",
        "returns must be [result of player 0, result of player 1], whoever is to move: look at "
        "the player whose win is counted for the other. If the rules really treat the two apart, "
        "observe must show which of them is to move",
    ),
    "seats": (
        "positions that look the same to the player to move behave the same",
        "a rule that forgets to ask who is to move, or an observation that does not show what "
        "the two players have apart (who is to move, goals, directions)",
    ),
    "observation-side": (
        "observe shows the position from the side of the player to move",
        "put the mover's pieces first: jnp.where(player == 0, board0, board1), then the "
        "opponent's; do not show player 0 first",
    ),
    "illegal-move": (
        "the legal action mask allows no move that changes nothing",
        "legal_action_mask: leave out occupied cells, full columns and whatever else step ignores",
    ),
    "nothing-changes": (
        "a legal move leads to another position",
        "legal_action_mask allows a move that step ignores; a pass must hand the turn over",
    ),
    "symmetry": (
        "step(map_state(s), permutation[a]) == map_state(step(s, a)), and mask, end and results "
        "follow",
        "permutation[a] is the image of action a (not where it comes from), and map_state must "
        "map every field of the state",
    ),
    "randomness": (
        "a game is a function of its arguments: all that is random comes from the key of init, "
        "or is an outcome of a ChanceGame",
        "no random, numpy.random, time, counters or globals that change; dice after the first "
        "position need ChanceGame",
    ),
    "jit": (
        "every method returns the same compiled, batched and called by itself",
        "no effects, no Python state, no callbacks that depend on how they are called",
    ),
    "never-ends": (
        "matches end, or are decided when max_plies ends them",
        "is_terminal never becomes True in random play: look at it, count repetitions or moves "
        "without progress, or score unfinished matches in returns",
    ),
    "state": (
        "a state holds what the rules need and nothing that follows from it",
        "compute the observation in observe and the mask in legal_action_mask: one state is "
        "stored in every node of every search tree",
    ),
    "auxiliary": (
        "auxiliary targets have fixed names and shapes and are floats in [-1, 1]",
        "scale them in auxiliary_targets, for example by the number of cells",
    ),
    "text": (
        "in every position each legal action has a name of its own, and string_to_action finds it",
        "action_to_string and string_to_action must be inverses; names hold no spaces",
    ),
    "render": ("render returns text in every position", "render; it is called with one state"),
    "board": (
        "board shows rows * columns cells, and its clicks are the legal actions",
        "board: one entry of clicks for every action that legal_action_mask allows",
    ),
    "solve": (
        "solve agrees with brute force over the rules",
        "solve: its value is for the player to move, its actions all that reach it",
    ),
    "fingerprint": (
        "the same rules have the same fingerprint every time",
        "look for randomness that does not come from the key",
    ),
    "chance": (
        "chance probabilities are finite, not negative and sum to 1, and every outcome that is "
        "possible can be resolved",
        "chance_probabilities; an impossible outcome has probability 0",
    ),
    "against": (
        "both games agree at every ply on players, legal actions, ends and results",
        "one of the two; the moves lead to the first difference",
    ),
}
"""What must hold, and what to change where it does not, by rule."""

WARNINGS: dict[str, tuple[str, str]] = {
    "look-alike": (
        "a position is all that the player to move sees",
        "show in observe what the rules look at (a board or piece that the last move forces, a "
        "count of passes, who moves next). If it is hidden from the player on purpose, set "
        "hidden_information = True: the search sees all of the state, so an agent knows in every "
        "search what a player could not know, and train and arena say so",
    ),
    "state-size": ("", ""),
    "constants": ("", ""),
    "long-matches": ("", ""),
    "cut-matches": ("", ""),
    "drawn-matches": ("", ""),
    "one-never-wins": ("", ""),
    "last-mover-loses": ("", ""),
    "slow-compilation": ("", ""),
    "two-views": ("", ""),
    "unequal-players": ("", ""),
}
"""What is no fault, but will hurt training or is seldom meant, likewise; most say it all."""
