"""Plays matches of a plain-Python game a second time with the players exchanged.

Where the author wrote `exchange_players`, the image of every position must behave alike. Where a
way was only found, the images may be states that never occur: then nothing follows from what goes
wrong in them, and they count only where they behave alike to the end of every match.
"""

import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from selfplay.adapters import answers
from selfplay.adapters.probe import require_unchanged, same, views
from selfplay.adapters.tree import HostTree, Moves
from selfplay.check.plain.exchange import PlayerExchange
from selfplay.check.plain.time_limit import StillRunningError, TimeLimit

_TOLERANCE = 1e-5


def require_image(
    tree: HostTree, exchange: PlayerExchange, moves: Moves, entries: Sequence[int]
) -> None:
    """Raises `GameContractError` unless the image of a position behaves as its author says.

    Args:
        tree: the positions.
        exchange: the author's own.
        moves: lead to the position.
        entries: moves or outcomes that follow.
    """
    node = tree.node(moves)
    before = views(tree, moves, node.state)
    image = _image(tree, exchange, moves, node.state)
    require_unchanged(tree, moves, "exchange_players(state)", before, node.state)
    told = views(tree, moves, image)
    if told["is_terminal"] != before["is_terminal"]:
        problem = "only one of a position and its image under exchange_players is over"
        tree.refuse(moves, problem, rule="seats")
    if not np.allclose(told["returns"], before["returns"][::-1], atol=_TOLERANCE):
        shown = [answers.shortened(one["returns"]) for one in (before, told)]
        tree.refuse(
            moves,
            f"returns is {shown[0]}, but with the players exchanged {shown[1]}, which is not the "
            "other way round",
            rule="value-sign",
        )
    if "current_player" not in before:
        return
    if told["current_player"] != 1 - before["current_player"]:
        problem = "in the image under exchange_players the same player is to move"
        tree.refuse(moves, problem, rule="seats")
    if told["legal_actions"] != before["legal_actions"]:
        shown = [answers.shortened(one["legal_actions"]) for one in (before, told)]
        tree.refuse(
            moves,
            f"legal_actions is {shown[0]}, but with the players exchanged {shown[1]}",
            rule="seats",
        )
    if not _alike(told["observe"], before["observe"]):
        tree.refuse(
            moves,
            "with the players exchanged the player to move sees something else: not the position "
            "from the mover's side",
            rule="observation-side",
        )
    for entry in entries:
        longer = tree.extend(moves, entry)
        after = _image(tree, exchange, longer, tree.node(longer).state)
        asked = f"apply(exchange_players(state), {entry})"
        other = tree.called(moves, asked, tree.rules.apply, image, entry)
        one, two = views(tree, longer, after), views(tree, longer, other)
        wrong = [name for name in one if not same(one[name], two.get(name))]
        if wrong:
            tree.refuse(
                longer,
                "to play and then exchange the players is not to exchange them and then play: "
                f"{wrong[0]} answers differently",
                rule="seats",
            )


def _image(tree: HostTree, exchange: PlayerExchange, moves: Moves, state: Any) -> Any:
    image = tree.called(moves, "exchange_players(state)", exchange.turn, state)
    if image is None:
        tree.refuse(moves, "exchange_players(state) returns None", rule="contract")
    return image


@dataclasses.dataclass(frozen=True, kw_only=True)
class TwinResult:
    """One match and its twin, in which the other player begins.

    Attributes:
        moves: of the match.
        behaves: whether the twin went on alike to the end: players exchanged, equal legal actions.
        side: the first moves after which the mover saw something else in the twin, if any.
        opposite: whether the twin ended with the opposite result; None without a result.
        results: of both for player 0.
    """

    moves: Moves
    behaves: bool
    side: Moves | None
    opposite: bool | None
    results: tuple[float, float]


class Twins:
    """Plays twins by an exchange that was found."""

    def __init__(self, tree: HostTree, exchange: PlayerExchange, limit: TimeLimit) -> None:
        """Prepares; `limit` ends calls that do not return, as may happen in such states."""
        self._tree = tree
        self._exchange = exchange
        self._limit = limit

    def play(self, moves: Moves) -> TwinResult:
        """Plays a match and its twin by the same moves, as far as they are legal."""
        tree, rules = self._tree, self._tree.rules
        before: Moves = (moves[0], b"")
        side = None
        try:
            twin = self._limit.run(lambda: self._exchange.turn(tree.node(before).state))
            for entry in [*tree.listed(moves), None]:
                node = tree.node(before)
                over = self._limit.run(functools.partial(_ask, rules.is_terminal, twin, read=bool))
                if over != node.terminal:
                    return _result(before, behaves=False)
                if node.terminal or entry is None:
                    break
                if node.chance is None:
                    if not self._like(before, twin):
                        return _result(before, behaves=False)
                    if side is None and not self._looks(before, twin):
                        side = before
                    if entry not in _legal(tree, before):
                        break
                    method = rules.apply
                else:
                    if not node.chance[entry] > 0:
                        break
                    method = rules.resolve  # type: ignore[attr-defined]
                twin = self._limit.run(functools.partial(method, twin, entry))
                before = tree.extend(before, entry)
            mine = tree.node(before).result
            other = self._limit.run(lambda: answers.result(rules.returns(twin)))
        except (Exception, StillRunningError):
            return _result(before, behaves=False)
        opposite = None if mine == other == 0 else abs(mine + other) < _TOLERANCE
        return _result(before, behaves=True, side=side, opposite=opposite, results=(mine, other))

    def _like(self, moves: Moves, twin: Any) -> bool:
        rules, node = self._tree.rules, self._tree.node(moves)
        player = self._limit.run(lambda: answers.player(rules.current_player(twin)))
        legal = self._limit.run(lambda: sorted(rules.legal_actions(twin)))
        return player == 1 - node.player and legal == _legal(self._tree, moves)

    def _looks(self, moves: Moves, twin: Any) -> bool:
        rules = self._tree.rules
        told = self._limit.run(lambda: np.asarray(rules.observe(twin), np.float32))
        return _alike(told, self._tree.observation(moves))


def _result(
    moves: Moves,
    *,
    behaves: bool,
    side: Moves | None = None,
    opposite: bool | None = None,
    results: tuple[float, float] = (0.0, 0.0),
) -> TwinResult:
    return TwinResult(moves=moves, behaves=behaves, side=side, opposite=opposite, results=results)


def _ask(method: Callable[..., Any], state: Any, *, read: Callable[[Any], Any]) -> Any:
    return read(method(state))


def _legal(tree: HostTree, moves: Moves) -> list[int]:
    bits = np.frombuffer(tree.node(moves).legal, np.uint8)
    return np.flatnonzero(np.unpackbits(bits, count=tree.rules.num_actions)).tolist()


def _alike(one: Any, other: Any) -> bool:
    return np.shape(one) == np.shape(other) and bool(np.allclose(one, other, atol=_TOLERANCE))
