"""Games with one deliberate mistake each, and what the check must say of them.

The mistakes are those that people make, found in the issue trackers of other systems. Each game
is a few lines over a sound one.
"""

import dataclasses
import itertools
import random
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.check.solved.small_games import Coins
from selfplay.game import BoardView, ChanceGame, Game, Solution, Symmetry
from selfplay.games.connect_four import ConnectFour
from selfplay.games.othello import Othello
from selfplay.games.tic_tac_toe import TicTacToe, TicTacToeState


@dataclasses.dataclass(frozen=True)
class Broken:
    """What the check must say of a game.

    Attributes:
        game: the class.
        rule: the rule it breaks; no other must be reported.
        moves: the length of the shortest list that shows it; None where there are no moves.
        options: constructor arguments.
        measures: whether only the measures show it.
    """

    game: type[Game[Any]]
    rule: str
    moves: int | None = None
    options: dict[str, Any] = dataclasses.field(default_factory=dict)
    measures: bool = False


@dataclasses.dataclass(frozen=True)
class Pair:
    """Two games that differ, and the law that says so."""

    game: Game[Any]
    other: Game[Any]
    law: str


BROKEN: list[Broken] = []


def broken(rule: str, moves: int | None = None, *, measures: bool = False, **options: Any) -> Any:
    """Adds the class below to the corpus."""

    def add(game: type[Game[Any]]) -> type[Game[Any]]:
        BROKEN.append(Broken(game, rule, moves, options, measures))
        return game

    return add


class Plain(TicTacToe):
    """Tic-tac-toe with nothing but rules, which compiles fast."""

    name = "plain"
    board = Game.board
    solve = Game.solve

    def symmetries(self) -> Sequence[Symmetry[TicTacToeState]]:
        return ()


class Walk(Game[dict[str, Any]]):
    """Both walk a token along a path, one or two steps; who reaches the end wins."""

    name = "walk"
    num_actions = 2
    max_plies = 20
    length = 9

    def init(self, key: Any) -> dict[str, Any]:
        return {"at": jnp.int32(0), "player": jnp.int32(0)}

    def step(self, state: dict[str, Any], action: Any) -> dict[str, Any]:
        return {"at": state["at"] + action + 1, "player": 1 - state["player"]}

    def current_player(self, state: dict[str, Any]) -> Any:
        return state["player"]

    def legal_action_mask(self, state: dict[str, Any]) -> Any:
        return jnp.ones(2, bool)

    def is_terminal(self, state: dict[str, Any]) -> Any:
        return state["at"] >= self.length

    def returns(self, state: dict[str, Any]) -> Any:
        won = jnp.where(jnp.arange(2) == state["player"], -1.0, 1.0)
        return jnp.where(self.is_terminal(state), won, 0.0)

    def observe(self, state: dict[str, Any]) -> Any:
        return jax.nn.one_hot(state["at"], self.length + 2)


class Dice(ChanceGame[dict[str, Any]], Walk):
    """Walk, with a third step now and then."""

    name = "dice"
    num_outcomes = 2

    def chance_probabilities(self, state: dict[str, Any]) -> Any:
        return jnp.array([0.75, 0.25])

    def resolve(self, state: dict[str, Any], outcome: Any) -> dict[str, Any]:
        return {"at": state["at"] + outcome, "player": state["player"]}


SOUND: list[Game[Any]] = [Plain(), Walk(), Dice(), Coins(), ConnectFour(rows=4, columns=4)]


# Results


@broken("value-sign", 5)
class WinsOfPlayerOneGoToPlayerZero(Plain):
    def returns(self, state: Any) -> Any:
        return jnp.where(state.winner < 0, 0.0, jnp.array([1.0, -1.0]))


@broken("value-sign", 5)
class ResultsForWhoIsToMove(Plain):
    """The canonical form: entry 0 is for the player to move."""

    def returns(self, state: Any) -> Any:
        mine = jnp.where(state.winner == state.player, 1.0, -1.0)
        return jnp.where(state.winner < 0, 0.0, jnp.stack([mine, -mine]))


@broken("value-sign", 2)
class LeadOfPlayerZeroOnly(Coins):
    def __init__(self) -> None:
        super().__init__(coins=(2, 4))

    def returns(self, state: Any) -> Any:
        share = jnp.abs(state.lead.astype(jnp.float32)) / 6
        return jnp.stack([share, -share])


@broken("returns", 5)
class LoserGetsNothing(Plain):
    def returns(self, state: Any) -> Any:
        return (jnp.arange(2) == state.winner).astype(jnp.float32)


@broken("returns", 1)
class ScoreIsNotScaled(Coins):
    def returns(self, state: Any) -> Any:
        lead = state.lead.astype(jnp.float32)
        return jnp.stack([lead, -lead])


@broken("returns", 0)
class ShareOfNothing(Walk):
    def returns(self, state: Any) -> Any:
        return super().returns(state) * (state["at"] / state["at"])


@broken("returns", 5)
class ResultIsNoNumber(Walk):
    def returns(self, state: Any) -> Any:
        return super().returns(state) * jnp.where(self.is_terminal(state), jnp.nan, 1.0)


# Players


@broken("player", 1)
class TurnIsNeverHandedOver(Plain):
    def step(self, state: Any, action: Any) -> Any:
        after = super().step(state, action)
        return TicTacToeState(cells=after.cells, player=state.player, winner=after.winner)


@broken("seats", 1)
class PlayerOneKeepsTheTurn(Plain):
    def step(self, state: Any, action: Any) -> Any:
        after = super().step(state, action)
        return TicTacToeState(cells=after.cells, player=jnp.int8(1), winner=after.winner)


@broken("player", 1)
class PlayersAreOneAndTwo(Walk):
    def current_player(self, state: Any) -> Any:
        return state["player"] + 1


@broken("seats", 5)
class OnlyPlayerZeroCanEndIt(Plain):
    max_plies = 9

    def is_terminal(self, state: Any) -> Any:
        return (state.winner == 0) | (state.cells >= 0).all()


@broken("seats", 5)
class GoalsAreNotShown(Plain):
    """Player 0 wins by rows alone, player 1 by columns, and the observation does not tell."""

    def step(self, state: Any, action: Any) -> Any:
        cells = jnp.where(jnp.arange(9).reshape(3, 3) == action, state.player, state.cells)
        own = cells == state.player
        first = state.player == 0
        line = jnp.where(first, own.all(axis=1).any(), own.all(axis=0).any())
        winner = jnp.where(line, state.player, state.winner)
        return TicTacToeState(cells=cells, player=1 - state.player, winner=winner)


# Masks and ends


@broken("illegal-move", 2)
class OccupiedCellsAreLegal(Plain):
    max_plies = 30

    def legal_action_mask(self, state: Any) -> Any:
        return jnp.ones(9, bool)

    def step(self, state: Any, action: Any) -> Any:
        taken = state.cells.reshape(-1)[action] >= 0
        after = super().step(state, action)
        return TicTacToeState(
            cells=jnp.where(taken, state.cells, after.cells),
            player=after.player,
            winner=jnp.where(taken, state.winner, after.winner),
        )


@broken("illegal-move", 7)
class FullColumnsAreLegal(ConnectFour):
    def legal_action_mask(self, state: Any) -> Any:
        return jnp.ones(self.num_actions, bool)

    def is_terminal(self, state: Any) -> Any:
        return state.winner >= 0

    def symmetries(self) -> Any:
        return ()

    board = Game.board


@broken("no-legal-action", 9)
class FullBoardGoesOn(Plain):
    max_plies = 30

    def is_terminal(self, state: Any) -> Any:
        return state.winner >= 0


@broken("no-legal-action", size=4)
class NobodyMayPass(Othello):
    def legal_action_mask(self, state: Any) -> Any:
        return super().legal_action_mask(state).at[-1].set(False)

    def symmetries(self) -> Any:
        return ()


@broken("nothing-changes", 1)
class StandingStillIsLegal(Walk):
    def step(self, state: Any, action: Any) -> Any:
        return jax.tree.map(
            lambda new, old: jnp.where(action == 0, old, new), super().step(state, action), state
        )


@broken("never-ends", 0)
class RunningInCircles(Walk):
    def step(self, state: Any, action: Any) -> Any:
        return {"at": (state["at"] + action + 1) % self.length, "player": 1 - state["player"]}


@broken("start", 0)
class OverBeforeItBegins(Walk):
    def is_terminal(self, state: Any) -> Any:
        return state["at"] < self.length


# Observations


@broken("observation-side", 1)
class PlayerZeroIsAlwaysShownFirst(Plain):
    def observe(self, state: Any) -> Any:
        return jnp.stack([state.cells == 0, state.cells == 1], axis=-1).astype(jnp.float32)


@broken("observation-side", 1)
class LeadIsThatOfPlayerZero(Coins):
    def observe(self, state: Any) -> Any:
        return jnp.stack([state.left, state.right, state.lead]).astype(jnp.float32)


@broken("seats", 0, size=4)
class OthelloFromOneSide(Othello):
    def observe(self, state: Any) -> Any:
        planes = [self._grid(tuple(discs)) for discs in state.discs]
        return jnp.stack(planes, axis=-1).astype(jnp.float32)

    def symmetries(self) -> Any:
        return ()


@broken("finite", 0)
class DividedByTheMoveNumber(Walk):
    def observe(self, state: Any) -> Any:
        return jnp.stack([state["at"] / state["at"], 1.0 * state["at"]])


@broken("finite", 5)
class DividedByWhatIsLeft(Walk):
    """Only the ended position is not a number; a search evaluates it all the same."""

    def observe(self, state: Any) -> Any:
        left = jnp.maximum(self.length - state["at"], 0)
        return jnp.stack([1.0 / left, 1.0 * state["at"]])


# Symmetries


class Rotated(Plain):
    """A quarter turn, and its permutation."""

    def symmetries(self) -> Any:
        return [Symmetry(name="turn", map_state=self.turned, permutation=self.permutation())]

    def turned(self, state: Any) -> Any:
        return TicTacToeState(
            cells=jnp.rot90(state.cells), player=state.player, winner=state.winner
        )

    def permutation(self) -> Any:
        origins = np.rot90(np.arange(9).reshape(3, 3)).reshape(-1)
        return np.argsort(origins).tolist()


SOUND.append(Rotated())


@broken("symmetry", 0)
class PermutationTheOtherWayRound(Rotated):
    def legal_action_mask(self, state: Any) -> Any:
        # The corner is closed at first, so that the mask shows it at once.
        corner_first = (state.cells < 0).sum() == 9
        return super().legal_action_mask(state) & ~(corner_first & (jnp.arange(9) == 0))


@broken("symmetry", 1)
class PermutationIsTheInverse(Rotated):
    def permutation(self) -> Any:
        return np.argsort(super().permutation()).tolist()


@broken("symmetry")
class PermutationLeavesOneOut(Rotated):
    def permutation(self) -> Any:
        return [0, *range(8)]


@broken("symmetry", 1)
class MapForgetsTheBoard(Rotated):
    def turned(self, state: Any) -> Any:
        return state


@broken("symmetry", 5)
class MapTakesTheWinAway(Rotated):
    def turned(self, state: Any) -> Any:
        return TicTacToeState(
            cells=jnp.rot90(state.cells), player=state.player, winner=jnp.int8(-1)
        )


@broken("symmetry", 1)
class HomeAdvantageUnderAMirror(Rotated):
    """One corner grants another move."""

    def step(self, state: Any, action: Any) -> Any:
        after = super().step(state, action)
        player = jnp.where(action == 0, state.player, after.player)
        return TicTacToeState(cells=after.cells, player=player, winner=after.winner)


# Purity


@broken("randomness")
class DiceOnTheHost(Walk):
    def init(self, key: Any) -> Any:
        return {"at": jnp.int32(random.randrange(1 << 20)), "player": jnp.int32(0)}


@broken("randomness")
class NoiseOfNumPy(Walk):
    def observe(self, state: Any) -> Any:
        noise = np.random.default_rng().normal(size=self.length + 2).astype(np.float32)
        return super().observe(state) + noise


@broken("randomness")
class CountsItsCalls(Walk):
    calls = 0

    def step(self, state: Any, action: Any) -> Any:
        self.calls += 1
        return {"at": state["at"] + action + self.calls, "player": 1 - state["player"]}


@broken("randomness")
class KeyInTheState(Walk):
    def init(self, key: Any) -> Any:
        return super().init(key) | {"key": key}

    def step(self, state: Any, action: Any) -> Any:
        key, roll_key = jax.random.split(state["key"])
        more = jax.random.randint(roll_key, (), 0, 2)
        return {"at": state["at"] + action + 1 + more, "player": 1 - state["player"], "key": key}


@broken("jit")
class AnotherGameUncompiled(Walk):
    def returns(self, state: Any) -> Any:
        sign = 1.0 if isinstance(state["at"], jax.core.Tracer) else 0.5
        return sign * super().returns(state) + (0.0 if sign == 1.0 else jnp.array([0.1, -0.1]))


@broken("fingerprint", measures=True)
class VersionOfToday(Walk):
    """The version is another one whenever it is asked for, as a date or a time would be."""

    asked = itertools.count(1)

    @property
    def version(self) -> int:  # type: ignore[override]
        return next(self.asked)


# States


@broken("state", 0)
class StateHoldsTheObservation(Walk):
    def init(self, key: Any) -> Any:
        plain = super().init(key)
        return plain | {"seen": Walk.observe(self, plain)}

    def step(self, state: Any, action: Any) -> Any:
        plain = super().step(state, action)
        return plain | {"seen": Walk.observe(self, plain)}


@broken("state", 0)
class StateHoldsTheMask(Plain):
    def init(self, key: Any) -> Any:
        plain = super().init(key)
        return {"plain": plain, "legal": Plain.legal_action_mask(self, plain)}

    def step(self, state: Any, action: Any) -> Any:
        plain = super().step(state["plain"], action)
        return {"plain": plain, "legal": Plain.legal_action_mask(self, plain)}

    def current_player(self, state: Any) -> Any:
        return super().current_player(state["plain"])

    def legal_action_mask(self, state: Any) -> Any:
        return state["legal"]

    def is_terminal(self, state: Any) -> Any:
        return super().is_terminal(state["plain"])

    def returns(self, state: Any) -> Any:
        return super().returns(state["plain"])

    def observe(self, state: Any) -> Any:
        return super().observe(state["plain"])

    def render(self, state: Any) -> str:
        return super().render(state["plain"])

    action_to_string = Game.action_to_string


@broken("dtypes")
class PlainNumbersInInit(Walk):
    def init(self, key: Any) -> Any:
        return {"at": 0, "player": jnp.int32(0)}

    def step(self, state: Any, action: Any) -> Any:
        return super().step(state, action) | {"at": jnp.int32(state["at"] + action + 1)}


@broken("contract")
class TypeChangesInStep(Walk):
    def step(self, state: Any, action: Any) -> Any:
        return {"at": state["at"] + 1.0 * action, "player": 1 - state["player"]}


@broken("contract")
class IfOnAnArray(Walk):
    def is_terminal(self, state: Any) -> Any:
        if state["at"] > 3:
            return jnp.bool_(True)
        return jnp.bool_(False)


# Targets, text, boards, solvers


@broken("auxiliary")
class MarginIsNotScaled(Walk):
    def auxiliary_targets(self, state: Any, final_state: Any) -> Any:
        return {"left": (final_state["at"] - state["at"]).astype(jnp.float32)}


@broken("text", 0)
class TwoMovesOfOneName(Walk):
    def action_to_string(self, state: Any, action: int) -> str:
        return "go"


@broken("text", 0)
class NamesAreReadWrongly(Walk):
    def action_to_string(self, state: Any, action: int) -> str:
        return "ab"[action]

    def string_to_action(self, state: Any, text: str) -> int:
        return "ba".index(text)


@broken("render", 0)
class RenderCannotCount(Walk):
    def render(self, state: Any) -> str:
        return "." * int(state["at"])


@broken("board", 1)
class TakenCellsCanBeClicked(TicTacToe):
    def symmetries(self) -> Any:
        return ()

    def board(self, state: Any) -> BoardView:
        view = super().board(state)
        return dataclasses.replace(view, clicks={(cell,): cell for cell in range(9)})


@broken("solve")
class SolvesForPlayerZero(TicTacToe):
    def symmetries(self) -> Any:
        return ()

    def solve(self, state: Any) -> Solution:
        solution = super().solve(state)
        sign = 1 if int(state.player) == 0 else -1
        return Solution(value=sign * solution.value, actions=solution.actions)


# Chance


@broken("chance", 2)
class ProbabilitiesDoNotSumToOne(Dice):
    def chance_probabilities(self, state: Any) -> Any:
        return jnp.array([0.75, 0.25]) * jnp.where(state["at"] > 3, 0.9, 1.0)


@broken("chance", 2)
class AProbabilityIsNegative(Dice):
    def chance_probabilities(self, state: Any) -> Any:
        return jnp.where(state["at"] > 3, jnp.array([1.25, -0.25]), jnp.array([0.75, 0.25]))


PAIRS = [Pair(Plain(), OnlyPlayerZeroCanEndIt(), "against")]
