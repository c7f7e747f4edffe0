"""Backgammon without the doubling cube: one checker at a time, so that there are 51 actions."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int8, Int32, Key

from selfplay.game import BoardView, ChanceGame, legal_actions, pytree

_POINTS = 24
_BAR = 24
"""A mover's own places: 0 to 23 are points 1 to 24, 24 is the bar."""
_SOURCES = 25
_CHECKERS = 15
_PASS = 2 * _SOURCES
_ROLLS = tuple((high, low) for high in range(1, 7) for low in range(1, high + 1))
_START = {24: 2, 13: 5, 8: 3, 6: 5}
_PIECES = ("x", "o")


@pytree
class BackgammonState:
    """A position in which a checker is to be moved, or an afterstate before a roll.

    Attributes:
        points: checkers on player 0's points 1 to 24; those of player 1 are negative.
        bar: checkers of each player on the bar.
        dice: the larger and the smaller die that are still to be played, 0 where played; of
            doubles only the first. Both are 0 in an afterstate.
        repeats: how often the first die may be played yet.
        player: who is to move, or to roll.
    """

    points: Int8[Array, "24"]
    bar: Int8[Array, "2"]
    dice: Int8[Array, "2"]
    repeats: Int8[Array, ""]
    player: Int8[Array, ""]


@pytree
class _View:
    """The board as the mover sees it.

    Attributes:
        own: the mover's checkers on points 1 to 24 and on the bar.
        other: the opponent's on the same points.
        other_bar: the opponent's on the bar.
    """

    own: Int8[Array, "25"]
    other: Int8[Array, "24"]
    other_bar: Int8[Array, ""]


class Backgammon(ChanceGame[BackgammonState]):
    """Race fifteen checkers home and off the board by two dice; no doubling cube.

    Args:
        gammons: whether a gammon counts two thirds and a backgammon a whole win, with a plain win
            at one third; else every win counts alike.
        max_plies: moves of single checkers after which a match is called off as a draw.
    """

    name = "backgammon"
    num_actions = _PASS + 1
    num_outcomes = len(_ROLLS)

    def __init__(self, gammons: bool = True, max_plies: int = 1000) -> None:
        self.gammons = gammons
        self.max_plies = max_plies

    def init(self, key: Key[Array, ""]) -> BackgammonState:
        """Returns the opening position; who threw the larger die begins with both dice."""
        player_key, roll_key = jax.random.split(key)
        mixed = [index for index, (high, low) in enumerate(_ROLLS) if high != low]
        points = [0] * _POINTS
        for point, count in _START.items():
            points[point - 1] += count
            points[_POINTS - point] -= count
        return self.resolve(
            BackgammonState(
                points=jnp.array(points, jnp.int8),
                bar=jnp.zeros(2, jnp.int8),
                dice=jnp.zeros(2, jnp.int8),
                repeats=jnp.int8(0),
                player=jax.random.bernoulli(player_key).astype(jnp.int8),
            ),
            jax.random.choice(roll_key, jnp.array(mixed, jnp.int32)),
        )

    def step(self, state: BackgammonState, action: Int32[Array, ""]) -> BackgammonState:
        """Returns the board after one checker moved; the turn ends when no die can be played."""
        passes = action >= _PASS
        slot = jnp.where(passes, 0, action // _SOURCES)
        view = _view(state)
        moved = _move(view, action % _SOURCES, state.dice[slot])
        after = jax.tree.map(lambda new, old: jnp.where(passes, old, new), moved, view)
        repeats = state.repeats - (slot == 0).astype(jnp.int8)
        first = jnp.where(repeats > 0, state.dice[0], 0)
        second = jnp.where(slot == 1, 0, state.dice[1])
        goes_on = ~passes & (_sources(after, first).any() | _sources(after, second).any())
        points = after.own[:_POINTS] - after.other
        bars = jnp.stack([after.own[_BAR], after.other_bar])
        is_first = state.player == 0
        return BackgammonState(
            points=jnp.where(is_first, points, -points[::-1]),
            bar=jnp.where(is_first, bars, bars[::-1]),
            dice=jnp.where(goes_on, jnp.stack([first, second]), 0).astype(jnp.int8),
            repeats=jnp.where(goes_on, repeats, 0).astype(jnp.int8),
            player=jnp.where(goes_on, state.player, 1 - state.player),
        )

    def is_chance(self, state: BackgammonState) -> Bool[Array, ""]:
        """Returns whether the turn is over, so that the dice are thrown next."""
        return (state.dice == 0).all()

    def chance_probabilities(self, state: BackgammonState) -> Float32[Array, "21"]:
        """Returns 1/36 for doubles and 2/36 for other rolls."""
        ways = [1 if high == low else 2 for high, low in _ROLLS]
        return jnp.array(ways, jnp.float32) / 36

    def resolve(self, state: BackgammonState, outcome: Int32[Array, ""]) -> BackgammonState:
        """Returns the position with the dice on the table."""
        high, low = jnp.array(_ROLLS, jnp.int8)[outcome]
        double = high == low
        return BackgammonState(
            points=state.points,
            bar=state.bar,
            dice=jnp.stack([high, jnp.where(double, 0, low)]).astype(jnp.int8),
            repeats=jnp.where(double, 4, 1).astype(jnp.int8),
            player=state.player,
        )

    def current_player(self, state: BackgammonState) -> Int32[Array, ""]:
        """Returns who is to move; a turn is up to four moves of the same player."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: BackgammonState) -> Bool[Array, "51"]:
        """Returns the moves that leave as much of the roll playable as can be.

        Both dice must be played if they can be in either order, or else the larger one if it
        can. Of doubles no move ever spoils a later one: checkers advance independently.
        """
        view = _view(state)
        high, low = state.dice[0], state.dice[1]
        with_high, with_low = _sources(view, high), _sources(view, low)
        both = (high > 0) & (low > 0)
        high_first = with_high & _plays_on(view, high, low)
        low_first = with_low & _plays_on(view, low, high)
        two = high_first.any() | low_first.any()
        only_low = ~with_high.any()
        mask = jnp.where(
            both,
            jnp.stack(
                [
                    jnp.where(two, high_first, with_high),
                    jnp.where(two, low_first, with_low & only_low),
                ]
            ),
            jnp.stack([with_high, with_low]),
        ).reshape(-1)
        return jnp.append(mask, ~mask.any())

    def is_terminal(self, state: BackgammonState) -> Bool[Array, ""]:
        """Returns whether a player has borne off all checkers."""
        return (_remaining(state) == 0).any()

    def returns(self, state: BackgammonState) -> Float32[Array, "2"]:
        """Returns the stake for the winner, its negative for the other; 0 before the end."""
        remaining = _remaining(state)
        won = remaining == 0
        stake = jnp.float32(1)
        if self.gammons:
            # The loser has borne off nothing, and is still on the bar or in the winner's home.
            gammon = remaining.max() == _CHECKERS
            behind = jnp.where(
                won[0],
                (state.points[:6] < 0).any() | (state.bar[1] > 0),
                (state.points[-6:] > 0).any() | (state.bar[0] > 0),
            )
            stake = (1 + gammon.astype(jnp.float32) * (1 + behind.astype(jnp.float32))) / 3
        signs = won.astype(jnp.float32) - won[::-1].astype(jnp.float32)
        return (signs * stake).astype(jnp.float32)

    def observe(self, state: BackgammonState) -> Float32[Array, "209"]:
        """Returns the mover's view: checkers by point in four steps, bars, borne off, dice.

        Counts as in Tesauro, "Practical issues in temporal difference learning", 1992.
        """
        view = _view(state)
        counts = jnp.concatenate([view.own[:_POINTS], view.other]).astype(jnp.float32)
        steps = [counts >= 1, counts >= 2, counts >= 3, jnp.maximum(counts - 3, 0) / 2]
        remaining = jnp.stack([view.own.sum(), view.other.sum() + view.other_bar])
        bars = jnp.stack([view.own[_BAR], view.other_bar])
        faces = jnp.arange(1, 7)[None] == state.dice[:, None]
        return jnp.concatenate(
            [
                *(step.astype(jnp.float32) for step in steps),
                bars.astype(jnp.float32) / 2,
                1 - remaining.astype(jnp.float32) / _CHECKERS,
                faces.reshape(-1).astype(jnp.float32),
                state.repeats[None].astype(jnp.float32) / 4,
            ]
        )

    def render(self, state: BackgammonState) -> str:
        """Returns the points as player 0 counts them, bars and checkers borne off, and the dice."""
        cells = self._cells(state)
        top, bottom = cells[:14], cells[14:]
        numbers = (
            [*range(13, 19), "bar", *range(19, 25), "off"],
            [*range(12, 6, -1), "bar", *range(6, 0, -1), "off"],
        )
        lines = [
            "".join(f"{entry or '.':>4}" for entry in line)
            for line in (numbers[0], top, bottom, numbers[1])
        ]
        remaining = _left(state)
        player = int(state.player)
        dice = [die for die in state.dice.tolist() if die]
        if 0 in remaining:
            status = f"{_PIECES[remaining.index(0)]} wins"
        elif not dice:
            status = f"{_PIECES[player]} to roll"
        else:
            shown = dice * int(state.repeats) if len(dice) == 1 else dice
            status = f"{_PIECES[player]} to move, dice {' '.join(map(str, shown))}"
        return "\n".join([*lines, status])

    def action_to_string(self, state: BackgammonState, action: int) -> str:
        """Returns from where to where, by the mover's own count: "24/18", "bar/20", "5/off:6"."""
        if action == _PASS:
            return "pass"
        source, die = action % _SOURCES, state.dice.tolist()[action // _SOURCES]
        start = "bar" if source == _BAR else str(source + 1)
        # Either die may bear the same checker off.
        return f"{start}/{source + 1 - die}" if source >= die else f"{start}/off:{die}"

    def outcome_to_string(self, state: BackgammonState, outcome: int) -> str:
        """Returns both dice, the larger first: "6-1"."""
        high, low = _ROLLS[outcome]
        return f"{high}-{low}"

    def board(self, state: BackgammonState) -> BoardView:
        """Returns two rows of points with bars and checkers borne off; click from, then to.

        Player 0 is at home at the bottom right. A click on a die, then on a checker, plays that
        die. Where either die bears a checker off, the clicks from there to off play the smaller.
        """
        faces, player = state.dice.tolist(), int(state.player)
        slots = [*[0] * max(1, int(state.repeats)), 1]
        dice = [faces[slot] for slot in slots]
        first_die = {slot: 28 + sum(map(bool, dice[: slots.index(slot)])) for slot in (0, 1)}
        clicks: dict[tuple[int, ...], int] = {}
        for action in [] if 0 in _left(state) else legal_actions(self, state):
            if action == _PASS:
                clicks[()] = action
                continue
            source, die = action % _SOURCES, faces[action // _SOURCES]
            start, end = (_cell(player, place) for place in (source, source - die))
            clicks[start, end] = action
            clicks[first_die[action // _SOURCES], start] = action
        above = [*map(str, range(13, 19)), "bar", *map(str, range(19, 25)), "off"]
        below = [*map(str, range(12, 6, -1)), "bar", *map(str, range(6, 0, -1)), "off"]
        return BoardView(
            kind="wedges",
            rows=2,
            columns=14,
            cells=self._cells(state),
            clicks=clicks,
            dice=[die for die in dice if die],
            counters={"pips": self._pips(state)},
            shaded=(6, 13, 20, 27),
            column_labels=[*above, *below],
        )

    def _pips(self, state: BackgammonState) -> list[int]:
        """Returns how far each player has to go, on the host."""
        points = state.points.tolist()
        ways = [
            sum((place + 1) * max(0, count) for place, count in enumerate(points)),
            sum((_POINTS - place) * max(0, -count) for place, count in enumerate(points)),
        ]
        return [way + 25 * bar for way, bar in zip(ways, state.bar.tolist(), strict=True)]

    def _cells(self, state: BackgammonState) -> list[str]:
        cells = [""] * 28
        bar, left = state.bar.tolist(), _left(state)
        for index, count in enumerate(state.points.tolist()):
            if count:
                cells[_cell(0, index)] = f"{_PIECES[0 if count > 0 else 1]}{abs(count)}"
        for player, piece in enumerate(_PIECES):
            for place, count in ((_BAR, bar[player]), (-1, _CHECKERS - left[player])):
                if count:
                    cells[_cell(player, place)] = f"{piece}{count}"
        return cells


def _view(state: BackgammonState) -> _View:
    points = jnp.where(state.player == 0, state.points, -state.points[::-1])
    own = jnp.maximum(points, 0)
    return _View(
        own=jnp.append(own, state.bar[state.player]),
        other=jnp.maximum(-points, 0),
        other_bar=state.bar[1 - state.player],
    )


def _remaining(state: BackgammonState) -> Int32[Array, "2"]:
    """Returns how many checkers of each player are not borne off yet."""
    on_points = jnp.stack([jnp.maximum(state.points, 0), jnp.maximum(-state.points, 0)])
    return on_points.sum(axis=1, dtype=jnp.int32) + state.bar.astype(jnp.int32)


def _left(state: BackgammonState) -> list[int]:
    """Returns `_remaining` on the host, without a compiled program."""
    points, bar = state.points.tolist(), state.bar.tolist()
    return [sum(max(0, sign * count) for count in points) + bar[sign < 0] for sign in (1, -1)]


def _sources(view: _View, die: Int8[Array, ""]) -> Bool[Array, "25"]:
    """Returns from where the mover can play `die`; from nowhere if it is 0."""
    return _playable(view.own, _is_open(view, die), die)


def _is_open(view: _View, die: Int8[Array, ""]) -> Bool[Array, "25"]:
    """Returns from where `die` leads to a point that the opponent does not hold."""
    target = jnp.arange(_SOURCES) - die.astype(jnp.int32)
    return jnp.where(target >= 0, view.other[jnp.maximum(target, 0)] <= 1, False)


def _playable(
    own: Int8[Array, "25"], is_open: Bool[Array, "25"], die: Int8[Array, ""]
) -> Bool[Array, "25"]:
    """Returns from where the mover can play `die`, given where it leads to an open point."""
    places = jnp.arange(_SOURCES)
    target = places - die.astype(jnp.int32)
    present = own > 0
    highest = jnp.max(jnp.where(present, places, -1))
    # A larger die than needed bears off from the highest point alone.
    off = (target < 0) & (highest < 6) & ((target == -1) | (places == highest))
    on_bar = present[_BAR]
    return (die > 0) & present & (is_open | off) & (~on_bar | (places == _BAR))


def _move(view: _View, source: Int32[Array, ""], die: Int8[Array, ""]) -> _View:
    """Returns the board after a legal move of one checker; a lone opponent goes to the bar."""
    places = jnp.arange(_SOURCES)
    target = source - die.astype(jnp.int32)
    change = (places == target).astype(jnp.int8) - (places == source).astype(jnp.int8)
    hit = (places[:_POINTS] == target) & (view.other == 1)
    return _View(
        own=view.own + change,
        other=jnp.where(hit, 0, view.other).astype(jnp.int8),
        other_bar=view.other_bar + hit.any().astype(jnp.int8),
    )


def _plays_on(view: _View, first: Int8[Array, ""], second: Int8[Array, ""]) -> Bool[Array, "25"]:
    """Returns for each source whether `second` can be played after `first` from there."""
    # A move closes no point and opens none: the point of a checker that it hits was open before.
    is_open = _is_open(view, second)
    return jax.vmap(
        lambda source: _playable(_move(view, source, first).own, is_open, second).any()
    )(jnp.arange(_SOURCES))


def _cell(player: int, place: int) -> int:
    """Returns the cell of a player's own place on the board of `board`; -1 and less are off."""
    row = player if place == _BAR or place < 0 else None
    if row is not None:
        column = 6 if place == _BAR else 13
        return column if row == 1 else 14 + column
    index = place if player == 0 else _POINTS - 1 - place
    if index >= 12:
        column = index - 12
        return column + (1 if column >= 6 else 0)
    column = 11 - index
    return 14 + column + (1 if column >= 6 else 0)
