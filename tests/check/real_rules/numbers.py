"""Games that are not bundled, written as their users would: heaps, dice, walkers."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from selfplay.game import ChanceGame, Game, pytree


@pytree
class Heaps:
    """Stones in each heap, and who is to move."""

    heaps: Array
    player: Array


class Nim(Game[Heaps]):
    """Take any number from one heap; who takes the last stone wins."""

    name = "nim"
    num_actions = 15
    max_plies = 12

    def init(self, key: Any) -> Heaps:
        return Heaps(heaps=jnp.array([3, 4, 5], jnp.int8), player=jnp.bool_(False))

    def step(self, state: Heaps, action: Any) -> Heaps:
        heap, count = action // 5, action % 5 + 1
        heaps = state.heaps.at[heap].add(-count.astype(jnp.int8))
        return Heaps(heaps=heaps, player=~state.player)

    def current_player(self, state: Heaps) -> Any:
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: Heaps) -> Any:
        return (state.heaps[:, None] > jnp.arange(5)[None]).reshape(-1)

    def is_terminal(self, state: Heaps) -> Any:
        return (state.heaps == 0).all()

    def returns(self, state: Heaps) -> Any:
        lost = jnp.where(jnp.arange(2) == self.current_player(state), -1.0, 1.0)
        return jnp.where(self.is_terminal(state), lost, 0.0)

    def observe(self, state: Heaps) -> Any:
        return jax.nn.one_hot(state.heaps, 6).reshape(-1)


class NimLastStone(Nim):
    """Mistake: the result is that of whoever is to move, always a loss for entry 0."""

    def returns(self, state: Heaps) -> Any:
        return jnp.where(self.is_terminal(state), jnp.array([-1.0, 1.0]), 0.0)


class NimTakesTooMany(Nim):
    """Mistake: more stones than there are may be taken."""

    def legal_action_mask(self, state: Heaps) -> Any:
        return jnp.repeat(state.heaps > 0, 5)


class NimFromCount(Nim):
    """The same, counting turns: the mover is the parity of a number of the state."""

    name = "nim_from_count"

    def init(self, key: Any) -> Any:
        return {"stones": jnp.array([3, 4, 5], jnp.int8), "turn": jnp.uint8(0)}

    def _plain(self, state: Any) -> Heaps:
        return Heaps(heaps=state["stones"], player=(state["turn"] % 2).astype(bool))

    def step(self, state: Any, action: Any) -> Any:
        heaps = super().step(self._plain(state), action).heaps
        return {"stones": heaps, "turn": state["turn"] + 1}

    def current_player(self, state: Any) -> Any:
        return (state["turn"] % 2).astype(jnp.int32)

    def legal_action_mask(self, state: Any) -> Any:
        return super().legal_action_mask(self._plain(state))

    def is_terminal(self, state: Any) -> Any:
        return super().is_terminal(self._plain(state))

    def returns(self, state: Any) -> Any:
        lost = jnp.where(jnp.arange(2) == self.current_player(state), -1.0, 1.0)
        return jnp.where(self.is_terminal(state), lost, 0.0)

    def observe(self, state: Any) -> Any:
        return super().observe(self._plain(state))


class NimFromCountSign(NimFromCount):
    """Mistake: player 0 wins whoever took the last stone."""

    def returns(self, state: Any) -> Any:
        return jnp.where(self.is_terminal(state), jnp.array([1.0, -1.0]), 0.0)


class Chomp(Game[Heaps]):
    """Bite off a corner of a bar of chocolate; who eats the last square loses."""

    name = "chomp"
    num_actions = 12
    max_plies = 12

    def init(self, key: Any) -> Heaps:
        return Heaps(heaps=jnp.full(3, 4, jnp.uint8), player=jnp.int8(-1))

    def step(self, state: Heaps, action: Any) -> Heaps:
        row, column = action // 4, (action % 4).astype(jnp.uint8)
        bitten = jnp.where(jnp.arange(3) >= row, jnp.minimum(state.heaps, column), state.heaps)
        return Heaps(heaps=bitten, player=-state.player)

    def current_player(self, state: Heaps) -> Any:
        return (state.player > 0).astype(jnp.int32)

    def legal_action_mask(self, state: Heaps) -> Any:
        return (jnp.arange(4)[None] < state.heaps[:, None]).reshape(-1)

    def is_terminal(self, state: Heaps) -> Any:
        return state.heaps.sum() == 0

    def returns(self, state: Heaps) -> Any:
        won = jnp.where(jnp.arange(2) == self.current_player(state), 1.0, -1.0)
        return jnp.where(self.is_terminal(state), won, 0.0)

    def observe(self, state: Heaps) -> Any:
        return jax.nn.one_hot(state.heaps, 5).reshape(-1)


class ChompKeepsTheTurn(Chomp):
    """Mistake: biting off the last column hands the turn to player 0, whoever bit."""

    def step(self, state: Heaps, action: Any) -> Heaps:
        after = super().step(state, action)
        player = jnp.where(action % 4 == 3, jnp.int8(-1), after.player)
        return Heaps(heaps=after.heaps, player=player)


@pytree
class Scores:
    """Points of both, points of this turn, and who is to move."""

    points: Array
    turn_points: Array
    player: Array


class Pig(ChanceGame[Scores]):
    """Hold (0) or roll (1); a one loses the points of the turn. Twelve points win."""

    name = "pig"
    num_actions = 2
    num_outcomes = 3
    max_plies = 60

    def init(self, key: Any) -> Scores:
        return Scores(points=jnp.zeros(2, jnp.int32), turn_points=jnp.int32(0), player=jnp.int32(0))

    def step(self, state: Scores, action: Any) -> Scores:
        held = Scores(
            points=state.points.at[state.player].add(state.turn_points),
            turn_points=jnp.int32(0),
            player=1 - state.player,
        )
        # A roll is waiting for its outcome while the points of the turn are negative.
        rolling = Scores(
            points=state.points, turn_points=-1 - state.turn_points, player=state.player
        )
        return jax.tree.map(lambda one, two: jnp.where(action == 0, one, two), held, rolling)

    def is_chance(self, state: Scores) -> Any:
        return state.turn_points < 0

    def chance_probabilities(self, state: Scores) -> Any:
        return jnp.full(3, 1 / 3, jnp.float32)

    def resolve(self, state: Scores, outcome: Any) -> Scores:
        before = -1 - state.turn_points
        lost = outcome == 0
        return Scores(
            points=state.points,
            turn_points=jnp.where(lost, 0, before + outcome + 1),
            player=jnp.where(lost, 1 - state.player, state.player),
        )

    def current_player(self, state: Scores) -> Any:
        return state.player

    def legal_action_mask(self, state: Scores) -> Any:
        return jnp.stack([state.turn_points > 0, jnp.bool_(True)])

    def is_terminal(self, state: Scores) -> Any:
        return (state.points >= 12).any()

    def returns(self, state: Scores) -> Any:
        won = (state.points >= 12).astype(jnp.float32)
        return won - won[::-1]

    def observe(self, state: Scores) -> Any:
        mine = jnp.where(state.player == 0, state.points, state.points[::-1])
        return jnp.concatenate([mine, state.turn_points[None]]).astype(jnp.float32) / 12


class PigOfPlayerZero(Pig):
    """Mistake: the points of player 0 first."""

    def observe(self, state: Scores) -> Any:
        points = jnp.concatenate([state.points, state.turn_points[None]])
        return points.astype(jnp.float32) / 12


class PigLoaded(Pig):
    """Mistake: the probabilities do not sum to 1."""

    def chance_probabilities(self, state: Scores) -> Any:
        return jnp.full(3, 0.3, jnp.float32)


@pytree
class Climb:
    """Steps of both players, steps of this turn, the two columns rolled, and who is to move."""

    steps: Array
    runners: Array
    dice: Array
    player: Array


class CantStop(ChanceGame[Climb]):
    """Climb one of the two columns rolled, then roll on or stop; two columns to the top win.

    A turn climbs two columns at most. Who can climb neither of those rolled loses the steps of
    the turn. Actions: either column and roll on (0, 1), either column and stop (2, 3), lose (4).
    """

    name = "cant_stop"
    num_actions = 5
    num_outcomes = 16
    max_plies = 120
    tops = jnp.array([2, 4, 4, 2], jnp.int8)
    chances = jnp.array([0.15, 0.35, 0.35, 0.15], jnp.float32)

    def init(self, key: Any) -> Climb:
        return Climb(
            steps=jnp.zeros((2, 4), jnp.int8),
            runners=jnp.zeros(4, jnp.int8),
            dice=jax.random.choice(key, 4, (2,), p=self.chances).astype(jnp.int8),
            player=jnp.int8(0),
        )

    def step(self, state: Climb, action: Any) -> Climb:
        column = state.dice[action % 2]
        climbed = state.runners + (jnp.arange(4) == column).astype(jnp.int8)
        runners = jnp.where(action == 4, 0, climbed).astype(jnp.int8)
        stops = action >= 2
        return Climb(
            steps=state.steps.at[state.player].add(jnp.where(stops, runners, 0)),
            runners=jnp.where(stops, 0, runners),
            dice=state.dice,
            player=jnp.where(stops, 1 - state.player, state.player),
        )

    def chance_probabilities(self, state: Climb) -> Any:
        return (self.chances[:, None] * self.chances[None]).reshape(-1)

    def resolve(self, state: Climb, outcome: Any) -> Climb:
        dice = jnp.stack([outcome // 4, outcome % 4]).astype(jnp.int8)
        return dataclasses.replace(state, dice=dice)

    def current_player(self, state: Climb) -> Any:
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: Climb) -> Any:
        now = state.steps[state.player] + state.runners
        closed = (state.steps == self.tops[None]).any(0) | (now == self.tops)
        started = state.runners > 0
        climbs = (~closed & (started | (started.sum() < 2)))[state.dice]
        return jnp.concatenate([climbs, climbs, ~climbs.any(keepdims=True)])

    def is_terminal(self, state: Climb) -> Any:
        return ((state.steps == self.tops[None]).sum(-1) >= 2).any()

    def returns(self, state: Climb) -> Any:
        won = ((state.steps == self.tops[None]).sum(-1) >= 2).astype(jnp.float32)
        return won - won[::-1]

    def observe(self, state: Climb) -> Any:
        mine = jnp.where(state.player == 0, state.steps, state.steps[::-1])
        progress = jnp.concatenate([mine, state.runners[None]]) / self.tops[None]
        return jnp.concatenate([progress.reshape(-1), jax.nn.one_hot(state.dice, 4).reshape(-1)])


class CantStopLeavesOutFullColumns(CantStop):
    """Mistake: columns that are closed are not rolled, but the others become no likelier."""

    def chance_probabilities(self, state: Climb) -> Any:
        chances = jnp.where((state.steps == self.tops[None]).any(0), 0.0, self.chances)
        return (chances[:, None] * chances[None]).reshape(-1)


@pytree
class Track:
    """Two runners on a circle of seven, who is to move, and who made the last steps."""

    places: Array
    player: Array
    plies: Array


class Waiting(Game[Track]):
    """Run 1 to 3 fields, not onto the other; if one could only wait, each runner has its own wait.

    Actions 3 and 4 are the waits of player 0 and player 1: never legal together.
    """

    name = "waiting"
    num_actions = 5
    max_plies = 40

    def init(self, key: Any) -> Track:
        return Track(places=jnp.array([0, 0], jnp.int8), player=jnp.int32(0), plies=jnp.int32(0))

    def current_player(self, state: Track) -> Any:
        return state.player

    def runs(self, state: Track) -> Any:
        mine, other = state.places[state.player], state.places[1 - state.player]
        behind = other - mine
        # Close behind the other one has to wait.
        return jnp.broadcast_to(behind != 1, 3)

    def step(self, state: Track, action: Any) -> Track:
        more = jnp.where(action < 3, action + 1, 0).astype(jnp.int8)
        places = state.places.at[state.player].add(more)
        return Track(places=places, player=1 - state.player, plies=state.plies + 1)

    def legal_action_mask(self, state: Track) -> Any:
        runs = self.runs(state)
        waits = ~runs.any() & (jnp.arange(2) == state.player)
        return jnp.concatenate([runs, waits])

    def is_terminal(self, state: Track) -> Any:
        return (state.places >= 12).any()

    def returns(self, state: Track) -> Any:
        won = (state.places >= 12).astype(jnp.float32)
        return won - won[::-1]

    def observe(self, state: Track) -> Any:
        places = jnp.where(state.player == 0, state.places, state.places[::-1])
        # Who is to move is shown: the waits are not the same actions.
        seat = jax.nn.one_hot(state.player, 2)
        return jnp.concatenate([jax.nn.one_hot(places, 16).reshape(-1), seat])


class WaitingTwice(Waiting):
    """Mistake: both waits are legal together."""

    def legal_action_mask(self, state: Track) -> Any:
        runs = self.runs(state)
        return jnp.concatenate([runs, jnp.broadcast_to(~runs.any(), 2)])
