"""Tests whose result is returned and whose side is observed in a plain-Python game."""

from collections.abc import Sequence
from typing import Any

from selfplay.adapters.tree import HostTree, Moves
from selfplay.check.faults import guesses_findings
from selfplay.check.guessing.guesses import fit_guesses
from selfplay.check.plain.exchange import PlayerExchange, PlayerToMove, find_exchange
from selfplay.check.plain.random_play import PlainRules, Readings
from selfplay.check.plain.time_limit import StillRunningError, TimeLimit
from selfplay.check.plain.timed_tree import Noting, entries, moves_of, shortest
from selfplay.check.plain.twin import TwinResult, Twins, require_image
from selfplay.errors import GameContractError

_TWINS = 96
_IMAGES = 400
_SEATS = 200


class Sides:
    """Looks for results and observations that belong to the wrong player.

    Attributes:
        warnings: what is allowed, but seldom meant.
        measures: "exchange": how the players were exchanged, in words; "read_matches": random
            matches whose results were guessed from observations.
    """

    def __init__(self, plain: PlainRules, limit: TimeLimit) -> None:
        """Prepares; `plain` keeps what is broken."""
        self.rules = plain.rules
        self.errors = plain.errors
        self._limit = limit
        self.warnings: list[GameContractError] = []
        self.measures: dict[str, Any] = {}

    def exchange(self, tree: HostTree, readings: Readings) -> None:
        """Compares what happens with what happens with the players exchanged."""
        sample = readings.sample()
        guesses = None if sample is None else fit_guesses(sample)
        suspect = {} if guesses is None else guesses_findings(guesses)
        named = guesses is not None and guesses.named
        self.measures["read_matches"] = len(readings.matches) if guesses is not None else 0
        try:
            found = self._limit.run(
                lambda: find_exchange(self.rules, _seats(tree, readings.matches))
            )
        except StillRunningError:
            found = None
        if found is not None and found.given:
            self._images(tree, found, readings)
            suspect.pop("observation-side", None)
            suspect.pop("value-sign", None)
            self.measures["exchange"] = "every position compared with its image"
        elif found is not None and self._twins(tree, found, readings, suspect, named=named):
            suspect.pop("observation-side", None)
            suspect.pop("value-sign", None)
        elif guesses is None:
            self.measures["exchange"] = (
                "not played, and too few decided matches to read: whether results and observations "
                "are those of the right player is unproven; exchange_players would show it"
            )
        else:
            self.measures["exchange"] = (
                "not played: nothing in the state says who is to move and nothing else; results "
                f"and observations were judged by {len(readings.matches):,} random matches alone, "
                "exchange_players would prove them"
            )
        for rule, text in suspect.items():
            line = _example(readings)
            with Noting(self.errors):
                tree.refuse(line, text, rule=rule)

    def _images(self, tree: HostTree, exchange: PlayerExchange, readings: Readings) -> None:
        left = _IMAGES
        lines = sorted(readings.matches[:_TWINS], key=lambda moves: len(moves[1]))
        for line in lines:
            moves: Moves = (line[0], b"")
            listed = tree.listed(line)
            for number in range(len(listed) + 1):
                node = tree.node(moves)
                if left <= 0:
                    return
                left -= 1
                some = entries(tree, node)[:4] if node.chance is None and not node.terminal else []
                known = len(self.errors)
                if node.chance is None:
                    with Noting(self.errors):
                        plays = [] if tree.outcomes else some
                        require_image(tree, exchange, moves, plays)
                if len(self.errors) > known:
                    break
                if number < len(listed):
                    moves = tree.extend(moves, listed[number])
        for error in list(self.errors.values()):

            def breaks(moves: Moves, rule: str = error.rule) -> Moves | None:
                found: dict[str, GameContractError] = {}
                before: Moves = (moves[0], b"")
                with Noting(found):
                    for entry in [*tree.listed(moves), None]:
                        node = tree.node(before)
                        if node.chance is None:
                            require_image(tree, exchange, before, [])
                        if entry is None or entry not in entries(tree, node):
                            break
                        before = tree.extend(before, entry)
                shown = found.get(rule)
                if shown is None:
                    return None
                self.errors[rule] = shown
                return moves_of(tree, shown)

            shortest(tree, moves_of(tree, error), breaks)

    def _twins(
        self,
        tree: HostTree,
        exchange: PlayerExchange,
        readings: Readings,
        suspect: dict[str, str],
        *,
        named: bool,
    ) -> bool:
        """Plays twins; returns whether they behaved, so that they say something."""
        twins = Twins(tree, exchange, self._limit)
        short = sorted(readings.matches, key=lambda moves: len(moves[1]))[: _TWINS // 3]
        results = [twins.play(moves) for moves in [*readings.matches[: 2 * _TWINS // 3], *short]]
        if not all(result.behaves for result in results):
            return False
        self.measures["exchange"] = (
            f"{len(results)} matches played again with {exchange.name} exchanged at the start"
        )
        wrong = [result for result in results if result.opposite is False]
        sides = [result for result in results if result.side is not None]
        if wrong:
            line = _shortest(tree, twins, wrong, "opposite")
            text = _wrong_result(tree, twins, exchange, line)
            if "value-sign" in suspect:
                with Noting(self.errors):
                    tree.refuse(line, text, rule="value-sign")
            else:
                found: dict[str, GameContractError] = {}
                with Noting(found):
                    tree.refuse(
                        line,
                        f"{text}: right if the rules treat the two players apart, else returns has "
                        "the wrong sign for one of them",
                        rule="unequal-players",
                    )
                self.warnings += found.values()
        elif sides and not named:
            line = _shortest(tree, twins, sides, "side")
            with Noting(self.errors):
                tree.refuse(
                    line,
                    f"if the other player had begun ({exchange.name} changed), the same moves "
                    "would have been just as legal and led to the opposite result, but the player "
                    "to move would now see something else: not the position from the mover's side",
                    rule="observation-side",
                )
        return True


def _wrong_result(tree: HostTree, twins: Twins, exchange: PlayerExchange, line: Moves) -> str:
    mine, other = twins.play(line).results
    return (
        f"returns is [{mine:g}, {-mine:g}] at the end of this match; if the other player had "
        f"begun ({exchange.name} changed), the same moves would have been legal and have led to "
        f"[{other:g}, {-other:g}], which is not the opposite"
    )


def _shortest(tree: HostTree, twins: Twins, results: Sequence[TwinResult], what: str) -> Moves:
    """Returns the fewest moves found that show a wrong result or a wrong side."""

    def breaks(moves: Moves) -> Moves | None:
        result = twins.play(moves)
        if not result.behaves:
            return None
        if what == "side":
            return result.side
        ended = result.opposite is False and tree.node(result.moves).terminal
        return result.moves if ended else None

    lines = [result.side if result.side and what == "side" else result.moves for result in results]
    return shortest(tree, min(lines, key=lambda moves: len(moves[1])), breaks)


def _example(readings: Readings) -> Moves:
    """Returns a short match that somebody won."""
    decided = [
        moves
        for moves, result in zip(readings.matches, readings.results, strict=True)
        if result != 0
    ]
    return min(decided or readings.matches, key=lambda moves: len(moves[1]))


def _seats(tree: HostTree, matches: Sequence[Moves]) -> list[PlayerToMove]:
    """Returns positions of some matches in which somebody is to move."""
    seats: list[PlayerToMove] = []
    for line in matches[:32]:
        before: Moves = (line[0], b"")
        for entry in tree.listed(line):
            node = tree.node(before)
            if node.chance is None:
                seats.append(PlayerToMove(node.state, node.player, entry))
            before = tree.extend(before, entry)
            if len(seats) >= _SEATS:
                return seats
    return seats
