"""Generals for two players: armies on a grid, fog, moves committed in secret and made at once."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int16, Int32, Key, UInt8

from selfplay.errors import ConfigError
from selfplay.game import BoardView, Game, legal_actions, pytree

_SYMBOLS = ("x", "o")
_LETTERS = "abcdefghijklmnopqrst"
# Up, right, down, left: rows and columns.
_STEPS = ((-1, 0), (0, 1), (1, 0), (0, -1))
_DIRECTIONS = "urdl"
_NORMAL, _MOUNTAIN, _CITY, _GENERAL = 0, 1, 2, 3  # and 4, the general of player 1
_NEUTRAL = -1
_NOTHING = -1
_CITY_ARMY = 40
_GENERAL_ARMY = 2


@pytree
class GeneralsState:
    """A position: 304 bytes at 10 by 10.

    Attributes:
        tiles: for each tile, as one number, what it is, whose it is, and whose it was one turn ago,
            which decides what its owner sees.
        army: how many soldiers stand there.
        turn: how many turns have been made.
        pending: what player 0 has committed for this turn, -1 before that.
    """

    tiles: UInt8[Array, "height width"]
    army: Int16[Array, "height width"]
    turn: Int16[Array, ""]
    pending: Int16[Array, ""]


@pytree
class _Board:
    """Tiles, taken apart.

    Attributes:
        kind: what each tile is; generals carry the number of their first owner.
        owner, before: -1 for nobody, now and one turn ago.
        army: soldiers.
    """

    kind: Int32[Array, "height width"]
    owner: Int32[Array, "height width"]
    before: Int32[Array, "height width"]
    army: Int32[Array, "height width"]


class Generals(Game[GeneralsState]):
    """Two-player Generals; a turn is two plies: x commits a move, o commits one, both are made.

    Args:
        height: rows of tiles, 5 to 20.
        width: columns of tiles, 5 to 20.
        max_turns: turns after which the player with more soldiers wins, 1 to 500.
        alternate: whether the players take turns in moving first; else player 0 always does.
        full_fog: whether generals, cities and mountains out of sight are hidden; else only armies
            and owners are.
    """

    name = "generals"

    def __init__(
        self,
        height: int = 10,
        width: int = 10,
        max_turns: int = 200,
        alternate: bool = True,
        full_fog: bool = False,
    ) -> None:
        for option, value, low, high in (
            ("height", height, 5, 20), ("width", width, 5, 20), ("max_turns", max_turns, 1, 500)
        ):  # fmt: skip
            if not low <= value <= high:
                raise ConfigError(
                    f"generals: {option} is {value}, but must be between {low} and {high}"
                )
        self.height = height
        self.width = width
        self.max_turns = max_turns
        self.alternate = alternate
        self.full_fog = full_fog
        self.num_tiles = height * width
        self.num_actions = 8 * self.num_tiles + 1
        self.max_plies = 2 * max_turns
        # A vein is a first tile and three more, on wide maps perhaps longer.
        self._longer = max(width // 4 - 3, 0)
        self._vein_steps = self.num_tiles // 50 * (4 + self._longer)

    def init(self, key: Key[Array, ""]) -> GeneralsState:
        """Returns a random map: veins of mountains, neutral cities, two generals far apart."""
        # All random numbers at once: every draw of its own is a second of compilation.
        draws = jax.random.uniform(key, (self._vein_steps + 4, self.height, self.width))
        normal = ~self._mountains(draws[3:])
        mountains = ~normal
        noise = jnp.where(normal, draws[0], -1.0)
        cities = noise >= jnp.sort(noise.reshape(-1))[-(self.num_tiles // 20)]
        normal &= ~cities
        first = _pick(normal, draws[1])
        rows, columns = jnp.indices(normal.shape)
        distance = sum(
            jnp.abs(places - jnp.where(first, places, 0).sum()) for places in (rows, columns)
        )
        apart = normal & (distance >= min(5, self.width // 2 + self.height // 2))
        # On a crowded map nothing may be that far away.
        second = _pick(jnp.where(apart.any(), apart, normal & ~first), draws[2])
        kind = jnp.where(first, _GENERAL, jnp.where(second, _GENERAL + 1, _NORMAL))
        kind = jnp.where(mountains, _MOUNTAIN, jnp.where(cities, _CITY, kind))
        owner = jnp.where(first, 0, jnp.where(second, 1, _NEUTRAL))
        army = jnp.where(cities, _CITY_ARMY, jnp.where(first | second, _GENERAL_ARMY, 0))
        board = _Board(kind=kind, owner=owner, before=owner, army=army)
        return self._state(board, jnp.int16(0), jnp.int16(_NOTHING))

    def step(self, state: GeneralsState, action: Int32[Array, ""]) -> GeneralsState:
        """Returns the position with the commitment, or after both players' moves were made."""
        board = _unpack(state)
        turn = state.turn + 1
        zero_first = (turn % 2 == 1) | (not self.alternate)
        pending = state.pending.astype(jnp.int32)
        order = jnp.where(zero_first, 0, 1)
        moved = self._moved(board, jnp.where(zero_first, pending, action), order)
        moved = self._moved(moved, jnp.where(zero_first, action, pending), 1 - order)
        # Who owned a tile when the turn began lets it grow, whoever owns it now.
        grows = (board.kind >= _CITY) | ((board.kind == _NORMAL) & (turn % 25 == 0))
        grown = _Board(
            kind=moved.kind,
            owner=moved.owner,
            before=board.owner,
            army=moved.army + (grows & (board.owner != _NEUTRAL)).astype(jnp.int32),
        )
        made = self._state(grown, turn, jnp.int16(_NOTHING))
        is_commitment = state.pending == _NOTHING
        return GeneralsState(
            tiles=jnp.where(is_commitment, state.tiles, made.tiles),
            army=jnp.where(is_commitment, state.army, made.army),
            turn=jnp.where(is_commitment, state.turn, made.turn),
            pending=jnp.where(is_commitment, action.astype(jnp.int16), made.pending),
        )

    def current_player(self, state: GeneralsState) -> Int32[Array, ""]:
        """Returns who is to commit a move: player 0 first, then player 1."""
        return (state.pending != _NOTHING).astype(jnp.int32)

    def legal_action_mask(self, state: GeneralsState) -> Bool[Array, " A"]:
        """Returns moves from own tiles with an army of 2 at least, and waiting."""
        board = _unpack(state)
        own = (board.owner == self.current_player(state)) & (board.army >= 2)
        open_ = jnp.pad(board.kind != _MOUNTAIN, 1)
        moves = [
            own & open_[1 + row : 1 + row + self.height, 1 + column : 1 + column + self.width]
            for row, column in _STEPS
        ]
        directions = jnp.stack(moves, axis=-1)
        halves = jnp.stack([directions, directions], axis=-1)
        return jnp.append(halves.reshape(-1), True)

    def is_terminal(self, state: GeneralsState) -> Bool[Array, ""]:
        """Returns whether a general is captured."""
        return jnp.stack(self._lost(state)).any()

    def returns(self, state: GeneralsState) -> Float32[Array, "2"]:
        """Returns 1 for who captured the general and -1 for the other; 0 if both were captured.

        As long as none is: 1 for the player with more soldiers, -1 for the other, 0 if equal.
        """
        zero_lost, one_lost = self._lost(state)
        board = _unpack(state)
        zero, one = (jnp.where(board.owner == player, board.army, 0).sum() for player in (0, 1))
        captured = one_lost.astype(jnp.int32) - zero_lost.astype(jnp.int32)
        result = jnp.where(zero_lost | one_lost, captured, jnp.sign(zero - one))
        return jnp.stack([result, -result]).astype(jnp.float32)

    def observe(self, state: GeneralsState) -> Float32[Array, "height width 17"]:
        """Returns what the player to move may know; docs/games/generals.md lists the planes."""
        board = _unpack(state)
        player = self.current_player(state)
        shape = board.kind.shape
        seen = self._seen(board, player)
        known = seen if self.full_fog else jnp.ones_like(seen)
        soldiers = jnp.log2(1 + board.army.astype(jnp.float32)) / 10
        sides = [board.owner == player, board.owner == 1 - player]
        totals = [
            total
            for side in sides
            for total in (
                jnp.log2(1 + (side * board.army).sum().astype(jnp.float32)) / 16,
                side.sum() / self.num_tiles,
            )
        ]
        obstacle = (board.kind == _MOUNTAIN) | (board.kind == _CITY)
        moves_first = ((state.turn % 2 == 0) | (not self.alternate)) == (player == 0)
        planes = [
            seen,
            *(side & seen for side in sides),
            *(jnp.where(side & seen, soldiers, 0) for side in sides),
            jnp.where((board.owner == _NEUTRAL) & seen, soldiers, 0),
            (board.kind == _MOUNTAIN) & known,
            (board.kind == _CITY) & known,
            obstacle & ~known,
            (board.kind == _GENERAL + player) & known,
            (board.kind == _GENERAL + 1 - player) & known,
            *totals,
            state.turn % 25 / 25,
            moves_first,
        ]
        return jnp.stack(
            [jnp.broadcast_to(plane, shape).astype(jnp.float32) for plane in planes], axis=-1
        )

    def render(self, state: GeneralsState) -> str:
        """Returns the whole map, without fog, and who is to commit a move or has won.

        "##" is a mountain, "c40" a city, "x7" soldiers of x; "X" and "O" are generals, and a city
        that is owned is written "x7c".
        """
        lines = ["   " + "".join(f"{letter:5}" for letter in _LETTERS[: self.width]).rstrip()]
        for row, names in enumerate(self._names(state), start=1):
            lines.append(f"{row:2} {''.join(f'{name:5}' for name in names)}".rstrip())
        zero_lost, one_lost = (bool(lost) for lost in self._lost(state))
        if zero_lost and one_lost:
            status = "draw"
        elif zero_lost or one_lost:
            status = f"{_SYMBOLS[zero_lost]} wins"
        else:
            status = f"{_SYMBOLS[int(self.current_player(state))]} to commit a move"
        return "\n".join([*lines, f"{status} (turn {int(state.turn) + 1})"])

    def action_to_string(self, state: GeneralsState, action: int) -> str:
        """Returns tile and direction, "c4r" for right, with an "h" behind for half; or "wait"."""
        if action == self.num_actions - 1:
            return "wait"
        row, column = divmod(action // 8, self.width)
        return f"{_LETTERS[column]}{row + 1}{_DIRECTIONS[action // 2 % 4]}{'h' * (action % 2)}"

    def board(self, state: GeneralsState) -> BoardView:
        """Returns the map; clicks go from tile to tile, with two clicks on the first for a half."""
        clicks: dict[tuple[int, ...], int] = {}
        for action in [] if bool(self.is_terminal(state)) else legal_actions(self, state):
            source = action // 8
            down, right = _STEPS[action // 2 % 4]
            path = (*[source] * (1 + action % 2), source + self.width * down + right)
            clicks[() if action == self.num_actions - 1 else path] = action
        board = _unpack(state)
        kinds, owners, armies = (
            field.reshape(-1).tolist() for field in (board.kind, board.owner, board.army)
        )
        cells = []
        for kind, owner, army in zip(kinds, owners, armies, strict=True):
            if kind == _MOUNTAIN:
                cells.append("rock")
            elif kind == _CITY:
                cells.append(f"tower {army}")
            elif kind >= _GENERAL:
                cells.append(f"crown {army}")
            else:
                cells.append(str(army) if army or owner != _NEUTRAL else "")
        return BoardView(
            kind="square",
            rows=self.height,
            columns=self.width,
            cells=cells,
            clicks=clicks,
            owners=[None if owner == _NEUTRAL else owner for owner in owners],
            counters={
                "soldiers": [
                    sum(army for owner, army in zip(owners, armies, strict=True) if owner == one)
                    for one in (0, 1)
                ],
                "land": [owners.count(0), owners.count(1)],
            },
            row_labels=[str(row + 1) for row in range(self.height)],
            column_labels=_LETTERS[: self.width],
            note=f"turn {int(state.turn) + 1}",
        )

    def _mountains(
        self, draws: Float32[Array, "draws height width"]
    ) -> Bool[Array, "height width"]:
        """Returns veins that begin on random tiles and wander over tiles next to each other.

        The first of `draws` decides how long the veins are, the others where they go.
        """
        per_vein = 4 + self._longer
        shares = draws[0].reshape(-1)[: self.num_tiles // 50 + 1]
        lengths = 3 + (shares * (self._longer + 1)).astype(jnp.int32)

        def extend(
            index: Int32[Array, ""],
            carry: tuple[Bool[Array, "height width"], Bool[Array, "height width"]],
        ) -> tuple[Bool[Array, "height width"], Bool[Array, "height width"]]:
            mountains, last = carry
            number = index % per_vein
            free = ~mountains & jnp.where(number == 0, True, _beside(last))
            # A vein that has found no neighbour stays without a last tile, and so ends.
            tile = _pick(free, draws[1 + index])
            tile &= number <= lengths[index // per_vein]
            return mountains | tile, tile

        nothing = jnp.zeros((self.height, self.width), jnp.bool_)
        mountains, _ = jax.lax.fori_loop(0, self._vein_steps, extend, (nothing, nothing))
        return mountains

    def _moved(self, board: _Board, action: Int32[Array, ""], player: Int32[Array, ""]) -> _Board:
        """Returns the board after a player's move, the same if it has become illegal."""
        tile, direction, half = action // 8, action // 2 % 4, action % 2
        numbers = jnp.arange(self.num_tiles).reshape(self.height, self.width)
        source = (numbers == tile) & (action < self.num_actions - 1)
        row, column = (jnp.array(steps)[direction] for steps in zip(*_STEPS, strict=True))
        # In bounds because the commitment was legal.
        target = (numbers == tile + self.width * row + column) & source.any()
        can_move = (source & (board.owner == player) & (board.army >= 2)).any()
        here = jnp.where(source, board.army, 0).sum()
        sent = jnp.where(can_move, jnp.where(half == 1, here // 2, here - 1), 0)
        is_own = board.owner == player
        captures = target & ~is_own & (sent > board.army)
        met = jnp.where(is_own, board.army + sent, jnp.abs(board.army - sent))
        return _Board(
            kind=board.kind,
            owner=jnp.where(captures, player, board.owner),
            before=board.before,
            army=jnp.where(target, met, board.army - jnp.where(source, sent, 0)),
        )

    def _seen(self, board: _Board, player: Int32[Array, ""]) -> Bool[Array, "height width"]:
        """Returns the tiles around those that were a player's one turn ago."""
        padded = jnp.pad(board.before == player, 1)
        shifted = [
            padded[row : row + self.height, column : column + self.width]
            for row in range(3)
            for column in range(3)
        ]
        return jnp.stack(shifted).any(axis=0)

    def _lost(self, state: GeneralsState) -> tuple[Bool[Array, ""], Bool[Array, ""]]:
        """Returns whether each player's general is in the opponent's hands."""
        board = _unpack(state)
        zero, one = (
            ((board.kind == _GENERAL + player) & (board.owner == 1 - player)).any()
            for player in (0, 1)
        )
        return zero, one

    def _names(self, state: GeneralsState) -> list[list[str]]:
        """Returns what a person calls each tile, on the host."""
        board = _unpack(state)
        names = []
        for kinds, owners, armies in zip(
            board.kind.tolist(), board.owner.tolist(), board.army.tolist(), strict=True
        ):
            row = []
            for kind, owner, army in zip(kinds, owners, armies, strict=True):
                symbol = "" if owner == _NEUTRAL else _SYMBOLS[owner]
                if kind == _MOUNTAIN:
                    row.append("##")
                elif kind == _CITY:
                    row.append(f"{symbol}{army}c" if symbol else f"c{army}")
                elif kind >= _GENERAL:
                    row.append(f"{symbol.upper()}{army}")
                else:
                    row.append(f"{symbol}{army}" if symbol or army else ".")
            names.append(row)
        return names

    def _state(
        self, board: _Board, turn: Int16[Array, ""], pending: Int16[Array, ""]
    ) -> GeneralsState:
        """Returns tiles put together."""
        tiles = 9 * board.kind + 3 * (board.owner + 1) + board.before + 1
        return GeneralsState(
            tiles=tiles.astype(jnp.uint8),
            army=board.army.astype(jnp.int16),
            turn=turn,
            pending=pending,
        )


def _unpack(state: GeneralsState) -> _Board:
    tiles = state.tiles.astype(jnp.int32)
    return _Board(
        kind=tiles // 9,
        owner=tiles // 3 % 3 - 1,
        before=tiles % 3 - 1,
        army=state.army.astype(jnp.int32),
    )


def _pick(
    tiles: Bool[Array, "height width"], noise: Float32[Array, "height width"]
) -> Bool[Array, "height width"]:
    """Returns the one of `tiles` with the highest random number, none if there are none."""
    best = jnp.argmax(jnp.where(tiles, noise, -1.0))
    chosen = jnp.arange(tiles.size).reshape(tiles.shape) == best
    return chosen & tiles


def _beside(tiles: Bool[Array, "height width"]) -> Bool[Array, "height width"]:
    """Returns the tiles next to one of `tiles`."""
    height, width = tiles.shape
    padded = jnp.pad(tiles, 1)
    shifted = [
        padded[1 + row : 1 + row + height, 1 + column : 1 + column + width]
        for row, column in _STEPS
    ]
    return jnp.stack(shifted).any(axis=0)
