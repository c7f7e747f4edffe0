"""Games that are not bundled, written as their users would: stones on boards.

Their states differ on purpose: who is to move stands in a field, follows from the ply or from the
marks, or is a bit of a number.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from selfplay.game import Game, pytree


def lines_of(size: int, length: int) -> Array:
    """Returns the cells of every row, column and diagonal of a length on a square board."""
    found = []
    for row in range(size):
        for column in range(size):
            for down, right in ((0, 1), (1, 0), (1, 1), (1, -1)):
                cells = [(row + k * down, column + k * right) for k in range(length)]
                if all(0 <= y < size and 0 <= x < size for y, x in cells):
                    found.append([y * size + x for y, x in cells])
    return jnp.array(found)


def signed(winner: Any) -> Any:
    """Returns the results where -1 is nobody."""
    return jnp.where(winner < 0, 0.0, jnp.where(jnp.arange(2) == winner, 1.0, -1.0))


@pytree
class Ply:
    """Marks (0 empty, 1, 2) and the number of plies."""

    cells: Array
    ply: Array


class Connect6(Game[Ply]):
    """Four in a row on 5 by 5; one stone first, then two a turn. The ply says who is to move."""

    name = "connect6"
    num_actions = 25
    max_plies = 25
    lines = lines_of(5, 4)

    def init(self, key: Any) -> Ply:
        return Ply(cells=jnp.zeros(25, jnp.uint8), ply=jnp.int32(0))

    def current_player(self, state: Ply) -> Any:
        return (state.ply + 1) // 2 % 2

    def step(self, state: Ply, action: Any) -> Ply:
        mark = (self.current_player(state) + 1).astype(jnp.uint8)
        return Ply(cells=state.cells.at[action].set(mark), ply=state.ply + 1)

    def legal_action_mask(self, state: Ply) -> Any:
        return state.cells == 0

    def winner(self, state: Ply) -> Any:
        won = [(state.cells[self.lines] == mark).all(-1).any() for mark in (1, 2)]
        return jnp.where(won[0], 0, jnp.where(won[1], 1, -1))

    def is_terminal(self, state: Ply) -> Any:
        return (self.winner(state) >= 0) | (state.cells > 0).all()

    def returns(self, state: Ply) -> Any:
        return signed(self.winner(state))

    def observe(self, state: Ply) -> Any:
        own = (self.current_player(state) + 1).astype(jnp.uint8)
        second = jnp.full(25, (state.ply > 0) & (state.ply % 2 == 0))
        planes = [state.cells == own, state.cells == 3 - own, second]
        return jnp.stack(planes, -1).reshape(5, 5, 3).astype(jnp.float32)


class Connect6OfPlayerZero(Connect6):
    """Mistake: the stones of player 0 first."""

    def observe(self, state: Ply) -> Any:
        planes = [state.cells == 1, state.cells == 2, jnp.full(25, state.ply % 2 == 0)]
        return jnp.stack(planes, -1).reshape(5, 5, 3).astype(jnp.float32)


class Connect6ForTheMover(Connect6):
    """Mistake: results for whoever is to move."""

    def returns(self, state: Ply) -> Any:
        plain = super().returns(state)
        return jnp.where(self.current_player(state) == 0, plain, plain[::-1])


class Quixo(Game[Ply]):
    """Push a line of a 4 by 4 board: its first cube, blank or one's own, comes in at the other end.

    Diagonals alone win, so a row can be full of one's own cubes: pushing it changes nothing.
    """

    name = "quixo"
    num_actions = 16
    max_plies = 60
    diagonals = jnp.array([[0, 5, 10, 15], [3, 6, 9, 12]])

    def init(self, key: Any) -> Ply:
        return Ply(cells=jnp.zeros((4, 4), jnp.int8), ply=jnp.int32(0))

    def current_player(self, state: Ply) -> Any:
        return state.ply % 2

    def pushes(self, state: Ply) -> Any:
        """Returns the board after each action, and the cube that is taken."""
        own = (self.current_player(state) + 1).astype(jnp.int8)
        boards, taken = [], []
        for action in range(16):
            turned = state.cells.T if action >= 8 else state.cells
            line, backwards = action % 4, action % 8 >= 4
            row = turned[line]
            end, step = (3, 1) if backwards else (0, -1)
            pushed = jnp.where(jnp.arange(4) == 3 - end, own, jnp.roll(row, step))
            board = jnp.where((jnp.arange(4) == line)[:, None], pushed[None], turned)
            boards.append(board.T if action >= 8 else board)
            taken.append(row[end])
        return jnp.stack(boards), jnp.stack(taken)

    def step(self, state: Ply, action: Any) -> Ply:
        return Ply(cells=self.pushes(state)[0][action], ply=state.ply + 1)

    def legal_action_mask(self, state: Ply) -> Any:
        taken = self.pushes(state)[1]
        return (taken == 0) | (taken == self.current_player(state) + 1)

    def winner(self, state: Ply) -> Any:
        cells = state.cells.reshape(-1)[self.diagonals]
        won = [(cells == mark).all(-1).any() for mark in (1, 2)]
        mover = self.current_player(state)
        # Whoever makes a line for the other one loses.
        both = jnp.where(won[0] & won[1], mover, -1)
        return jnp.where(won[0] & ~won[1], 0, jnp.where(won[1] & ~won[0], 1, both))

    def is_terminal(self, state: Ply) -> Any:
        return (self.winner(state) >= 0) | ~self.legal_action_mask(state).any()

    def returns(self, state: Ply) -> Any:
        return signed(self.winner(state))

    def observe(self, state: Ply) -> Any:
        own = self.current_player(state) + 1
        return jnp.stack([state.cells == own, state.cells == 3 - own], -1).astype(jnp.float32)


class QuixoTakesAnyCube(Quixo):
    """Mistake: the cubes of the opponent may be chosen, and nothing happens."""

    def legal_action_mask(self, state: Ply) -> Any:
        return jnp.ones(16, bool)

    def step(self, state: Ply, action: Any) -> Ply:
        allowed = super().legal_action_mask(state)[action]
        cells = jnp.where(allowed, super().step(state, action).cells, state.cells)
        return Ply(cells=cells, ply=state.ply + 1)


@pytree
class Seats:
    """Marks of the colours, how many, and whether the colours have changed hands."""

    cells: Array
    count: Array
    swapped: Array


class SwapRule(Game[Seats]):
    """Four in a row on 4 by 4 with the pie rule: action 16 takes over the first stone."""

    name = "swap_rule"
    num_actions = 17
    max_plies = 17
    lines = lines_of(4, 3)

    def init(self, key: Any) -> Seats:
        return Seats(cells=jnp.full(16, -1, jnp.int8), count=jnp.int8(0), swapped=jnp.bool_(False))

    def colour(self, state: Seats) -> Any:
        return state.count % 2

    def current_player(self, state: Seats) -> Any:
        return (self.colour(state) ^ state.swapped.astype(jnp.int8)).astype(jnp.int32)

    def step(self, state: Seats, action: Any) -> Seats:
        swap = action == 16
        placed = state.cells.at[jnp.minimum(action, 15)].set(self.colour(state))
        return Seats(
            cells=jnp.where(swap, state.cells, placed),
            count=jnp.where(swap, state.count, state.count + 1),
            swapped=state.swapped | swap,
        )

    def legal_action_mask(self, state: Seats) -> Any:
        return jnp.append(state.cells < 0, (state.count == 1) & ~state.swapped)

    def winner(self, state: Seats) -> Any:
        won = [(state.cells[self.lines] == mark).all(-1).any() for mark in (0, 1)]
        colour = jnp.where(won[0], 0, jnp.where(won[1], 1, -1))
        return jnp.where(colour < 0, -1, colour ^ state.swapped.astype(jnp.int32))

    def is_terminal(self, state: Seats) -> Any:
        return (self.winner(state) >= 0) | (state.count >= 16)

    def returns(self, state: Seats) -> Any:
        return signed(self.winner(state))

    def observe(self, state: Seats) -> Any:
        colour = self.colour(state)
        swap = jnp.full(16, (state.count == 1) & ~state.swapped)
        planes = [state.cells == colour, state.cells == 1 - colour, swap]
        return jnp.stack(planes, -1).reshape(4, 4, 3).astype(jnp.float32)


class SwapEndsNothing(SwapRule):
    """Mistake: a full board goes on."""

    def is_terminal(self, state: Seats) -> Any:
        return self.winner(state) >= 0


class SwapResultsOfColours(SwapRule):
    """Mistake: results are those of the colours, whoever has taken them over."""

    def returns(self, state: Seats) -> Any:
        winner = self.winner(state)
        return signed(jnp.where(winner < 0, -1, winner ^ state.swapped.astype(jnp.int32)))


_PLACES = jnp.arange(16, dtype=jnp.uint16)


@pytree
class Quarters:
    """Bit boards of both players and who is to move."""

    bits: Array
    player: Array


class Pentago(Game[Quarters]):
    """Place a stone on 4 by 4 and turn a quarter; four in a row or column win. Packed in bits."""

    name = "pentago"
    num_actions = 64
    max_plies = 16
    lines = [sum(1 << int(c) for c in line) for line in lines_of(4, 4)]
    corners = [(0, 1, 5, 4), (2, 3, 7, 6), (8, 9, 13, 12), (10, 11, 15, 14)]

    def init(self, key: Any) -> Quarters:
        return Quarters(bits=jnp.zeros(2, jnp.uint16), player=jnp.uint8(0))

    def current_player(self, state: Quarters) -> Any:
        return state.player.astype(jnp.int32)

    def step(self, state: Quarters, action: Any) -> Quarters:
        cell, quarter = (action // 4).astype(jnp.uint16), action % 4
        player = self.current_player(state)
        bits = state.bits.at[player].set(state.bits[player] | (jnp.uint16(1) << cell))
        cells = (bits[:, None] >> _PLACES[None]) & 1
        turned = []
        for corner in self.corners:
            places = list(range(16))
            for index, place in enumerate(corner):
                places[corner[(index + 1) % 4]] = place
            turned.append(cells[:, jnp.array(places)])
        after = jnp.stack(turned)[quarter]
        words = (after << _PLACES[None]).sum(-1, dtype=jnp.uint16)
        return Quarters(bits=words, player=1 - state.player)

    def legal_action_mask(self, state: Quarters) -> Any:
        free = ((state.bits[0] | state.bits[1]) >> _PLACES) & 1 == 0
        return jnp.repeat(free, 4)

    def won(self, state: Quarters) -> Any:
        masks = jnp.array(self.lines, jnp.uint16)
        return ((state.bits[:, None] & masks[None]) == masks[None]).any(-1).astype(jnp.float32)

    def is_terminal(self, state: Quarters) -> Any:
        full = (state.bits[0] | state.bits[1]) == jnp.uint16(0xFFFF)
        return full | (self.won(state) > 0).any()

    def returns(self, state: Quarters) -> Any:
        won = self.won(state)
        return won - won[::-1]

    def observe(self, state: Quarters) -> Any:
        cells = (state.bits[:, None] >> _PLACES[None]) & 1
        own = jnp.where(state.player == 0, cells, cells[::-1])
        return own.T.reshape(4, 4, 2).astype(jnp.float32)


class PentagoCountsForPlayerZero(Pentago):
    """Mistake: any line wins for player 0."""

    def returns(self, state: Quarters) -> Any:
        return jnp.abs(super().returns(state)) * jnp.array([1.0, -1.0])


@pytree
class Phases:
    """Marks, who is to move, and the plies."""

    cells: Array
    player: Array
    ply: Array


class ThreeMensMorris(Game[Phases]):
    """Three stones each are placed, then moved to any free cell; the mover is 1 or 2."""

    name = "three_mens_morris"
    num_actions = 9 + 81
    max_plies = 50
    lines = lines_of(3, 3)

    def init(self, key: Any) -> Phases:
        return Phases(cells=jnp.zeros(9, jnp.int8), player=jnp.int8(1), ply=jnp.int16(0))

    def current_player(self, state: Phases) -> Any:
        return state.player.astype(jnp.int32) - 1

    def step(self, state: Phases, action: Any) -> Phases:
        moving = action >= 9
        origin, target = (action - 9) // 9, jnp.where(moving, (action - 9) % 9, action)
        cells = jnp.where(moving & (jnp.arange(9) == origin), 0, state.cells)
        cells = jnp.where(jnp.arange(9) == target, state.player, cells).astype(jnp.int8)
        return Phases(cells=cells, player=3 - state.player, ply=state.ply + 1)

    def legal_action_mask(self, state: Phases) -> Any:
        free, own = state.cells == 0, state.cells == state.player
        moves = (own[:, None] & free[None]).reshape(-1)
        placing = state.ply < 6
        return jnp.concatenate([free & placing, moves & ~placing])

    def winner(self, state: Phases) -> Any:
        won = [(state.cells[self.lines] == mark).all(-1).any() for mark in (1, 2)]
        return jnp.where(won[0], 0, jnp.where(won[1], 1, -1))

    def is_terminal(self, state: Phases) -> Any:
        return self.winner(state) >= 0

    def returns(self, state: Phases) -> Any:
        return signed(self.winner(state))

    def observe(self, state: Phases) -> Any:
        planes = [state.cells == state.player, state.cells == 3 - state.player]
        placing = jnp.broadcast_to(jnp.clip(state.ply, 0, 6) / 6, 9)
        return jnp.stack([*planes, placing], -1).reshape(3, 3, 3).astype(jnp.float32)


class MorrisForgetsToClear(ThreeMensMorris):
    """Mistake: a stone may also be "moved" to where it stands."""

    def legal_action_mask(self, state: Phases) -> Any:
        own = state.cells == state.player
        stay = (jnp.eye(9, dtype=bool) & own[:, None]).reshape(-1) & (state.ply >= 6)
        return super().legal_action_mask(state) | jnp.concatenate([jnp.zeros(9, bool), stay])


class MorrisOfPlayerZero(ThreeMensMorris):
    """Mistake: the stones of player 0 first."""

    def observe(self, state: Phases) -> Any:
        placing = jnp.broadcast_to(jnp.clip(state.ply, 0, 6) / 6, 9)
        planes = [state.cells == 1, state.cells == 2, placing]
        return jnp.stack(planes, -1).reshape(3, 3, 3).astype(jnp.float32)


@pytree
class Meta:
    """Who stands on the ring, and [mover, plies]."""

    ring: Array
    meta: Array


class MuTorere(Game[Meta]):
    """Nine points, eight of them a ring; move to the empty one. Who cannot move loses."""

    name = "mu_torere"
    num_actions = 9
    max_plies = 60

    def init(self, key: Any) -> Meta:
        ring = jnp.array([1, 1, 1, 1, -1, -1, -1, -1, 0], jnp.int8)
        return Meta(ring=ring, meta=jnp.array([0, 0], jnp.int32))

    def current_player(self, state: Meta) -> Any:
        return state.meta[0]

    def mark(self, state: Meta) -> Any:
        return 1 - 2 * state.meta[0]

    def step(self, state: Meta, action: Any) -> Meta:
        empty = jnp.argmax(state.ring == 0)
        ring = state.ring.at[empty].set(state.ring[action]).at[action].set(0)
        return Meta(ring=ring, meta=jnp.stack([1 - state.meta[0], state.meta[1] + 1]))

    def legal_action_mask(self, state: Meta) -> Any:
        rim, own = state.ring[:8], state.ring == self.mark(state)
        near = (jnp.roll(rim, 1) == 0) | (jnp.roll(rim, -1) == 0)
        enemy = -self.mark(state)
        beside = (jnp.roll(rim, 1) == enemy) | (jnp.roll(rim, -1) == enemy)
        from_rim = near | ((state.ring[8] == 0) & beside)
        return own & jnp.append(from_rim, True)

    def is_terminal(self, state: Meta) -> Any:
        return ~self.legal_action_mask(state).any()

    def returns(self, state: Meta) -> Any:
        lost = jnp.where(jnp.arange(2) == state.meta[0], -1.0, 1.0)
        return jnp.where(self.is_terminal(state), lost, 0.0)

    def observe(self, state: Meta) -> Any:
        mine = state.ring * self.mark(state)
        return jnp.concatenate([mine == 1, mine == -1, mine == 0]).astype(jnp.float32)


class MuTorereLostByPlayerOne(MuTorere):
    """Mistake: who cannot move loses, but player 0 always wins."""

    def returns(self, state: Meta) -> Any:
        return jnp.where(self.is_terminal(state), jnp.array([1.0, -1.0]), 0.0)


@pytree
class Squares:
    """Covered squares and who is to move."""

    covered: Array
    vertical: Array


class Domineering(Game[Squares]):
    """Player 0 lays dominoes upright, player 1 across; who cannot lay one loses."""

    name = "domineering"
    num_actions = 32
    max_plies = 8

    def init(self, key: Any) -> Squares:
        return Squares(covered=jnp.zeros((4, 4), bool), vertical=jnp.bool_(True))

    def current_player(self, state: Squares) -> Any:
        return jnp.where(state.vertical, 0, 1)

    def step(self, state: Squares, action: Any) -> Squares:
        place, upright = action % 16, action < 16
        other = place + jnp.where(upright, 4, 1)
        cells = (jnp.arange(16) == place) | (jnp.arange(16) == other)
        return Squares(covered=state.covered | cells.reshape(4, 4), vertical=~state.vertical)

    def legal_action_mask(self, state: Squares) -> Any:
        free = ~state.covered
        upright = jnp.pad(free[:-1] & free[1:], ((0, 1), (0, 0))).reshape(-1)
        across = jnp.pad(free[:, :-1] & free[:, 1:], ((0, 0), (0, 1))).reshape(-1)
        return jnp.concatenate([upright & state.vertical, across & ~state.vertical])

    def is_terminal(self, state: Squares) -> Any:
        return ~self.legal_action_mask(state).any()

    def returns(self, state: Squares) -> Any:
        lost = jnp.where(jnp.arange(2) == self.current_player(state), -1.0, 1.0)
        return jnp.where(self.is_terminal(state), lost, 0.0)

    def observe(self, state: Squares) -> Any:
        upright = jnp.broadcast_to(state.vertical, (4, 4))
        return jnp.stack([state.covered, upright], -1).astype(jnp.float32)


class DomineeringForgetsWhoCannotMove(Domineering):
    """Mistake: the match only ends when the board is full."""

    def is_terminal(self, state: Squares) -> Any:
        return state.covered.all()


@pytree
class Hunt:
    """Where the hare and the three hounds are, who is to move, and the plies."""

    hare: Array
    hounds: Array
    player: Array


# Points 0 to 10, from the left; the hounds may not go back.
_NEAR = [(1, 2, 3), (0, 2, 4, 5), (0, 1, 3, 5), (0, 2, 5, 6), (1, 5, 7), (1, 2, 3, 4, 6, 7, 8, 9),
         (3, 5, 9), (4, 5, 8, 10), (5, 7, 9, 10), (5, 6, 8, 10), (7, 8, 9)]  # fmt: skip
_COLUMN = jnp.array([0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4])
_STEPS = jnp.array([[b in _NEAR[a] for b in range(11)] for a in range(11)])


class HareAndHounds(Game[Hunt]):
    """Hounds (player 0) surround the hare, which wins when it has passed them all."""

    name = "hare_and_hounds"
    num_actions = 121
    max_plies = 40

    def init(self, key: Any) -> Hunt:
        hounds = jnp.array([0, 1, 3], jnp.int8)
        return Hunt(hare=jnp.int8(10), hounds=hounds, player=jnp.int8(0))

    def current_player(self, state: Hunt) -> Any:
        return state.player.astype(jnp.int32)

    def step(self, state: Hunt, action: Any) -> Hunt:
        origin, target = action // 11, (action % 11).astype(jnp.int8)
        hounds = jnp.sort(jnp.where(state.hounds == origin, target, state.hounds))
        first = state.player == 0
        return Hunt(
            hare=jnp.where(first, state.hare, target),
            hounds=jnp.where(first, hounds, state.hounds),
            player=1 - state.player,
        )

    def legal_action_mask(self, state: Hunt) -> Any:
        places = jnp.arange(11)
        hounds = (places[:, None] == state.hounds[None]).any(-1)
        hare = places == state.hare
        forward = _COLUMN[None] >= _COLUMN[:, None]
        free = _STEPS & ~(hounds | hare)[None]
        first = state.player == 0
        return jnp.where(first, free & forward & hounds[:, None], free & hare[:, None]).reshape(-1)

    def is_terminal(self, state: Hunt) -> Any:
        return self.escaped(state) | ~self.legal_action_mask(state).any()

    def escaped(self, state: Hunt) -> Any:
        return (_COLUMN[state.hare] <= _COLUMN[state.hounds]).all()

    def returns(self, state: Hunt) -> Any:
        # Whoever cannot move loses; a hare that has passed has won.
        winner = jnp.where(self.escaped(state), 1, 1 - self.current_player(state))
        return jnp.where(self.is_terminal(state), signed(winner), 0.0)

    def observe(self, state: Hunt) -> Any:
        places = jnp.arange(11)
        hounds = (places[:, None] == state.hounds[None]).any(-1)
        hare = places == state.hare
        first = state.player == 0
        own, theirs = jnp.where(first, hounds, hare), jnp.where(first, hare, hounds)
        return jnp.concatenate([own, theirs, first[None]]).astype(jnp.float32)


class HareWinsNothing(HareAndHounds):
    """Mistake: the result of an escape is that of a capture, so the sum is not 0."""

    def returns(self, state: Hunt) -> Any:
        return jnp.where(self.escaped(state), jnp.array([1.0, 1.0]), super().returns(state))


class HoundsMayBeStuck(HareAndHounds):
    """Mistake: the match goes on when nobody can move."""

    def is_terminal(self, state: Hunt) -> Any:
        return self.escaped(state)


@pytree
class Table:
    """Pieces on the board (-1 none), and the piece to place."""

    board: Array
    hand: Array
    turn: Array


class Quarto(Game[Table]):
    """Eight pieces of three attributes on 3 by 3; place the piece you got and name the next."""

    name = "quarto"
    num_actions = 72
    max_plies = 8
    lines = lines_of(3, 3)

    def init(self, key: Any) -> Table:
        hand = jax.random.randint(key, (), 0, 8).astype(jnp.int8)
        return Table(board=jnp.full(9, -1, jnp.int8), hand=hand, turn=jnp.int8(-1))

    def current_player(self, state: Table) -> Any:
        return (state.turn > 0).astype(jnp.int32)

    def step(self, state: Table, action: Any) -> Table:
        board = state.board.at[action // 8].set(state.hand)
        return Table(board=board, hand=(action % 8).astype(jnp.int8), turn=-state.turn)

    def legal_action_mask(self, state: Table) -> Any:
        pieces = jnp.arange(8)
        used = (state.board[:, None] == pieces[None]).any(0) | (pieces == state.hand)
        # The last piece leaves none to name: then any will do, so let it be piece 0.
        named = jnp.where(used.all(), pieces == 0, ~used)
        return ((state.board < 0)[:, None] & named[None]).reshape(-1)

    def line(self, state: Table) -> Any:
        cells = state.board[self.lines]
        bits = (cells[..., None] >> jnp.arange(3)[None, None]) & 1
        same = (bits == bits[:, :1]).all(1).any(-1)
        return (same & (cells >= 0).all(-1)).any()

    def is_terminal(self, state: Table) -> Any:
        return self.line(state) | ((state.board >= 0).sum() == 8)

    def returns(self, state: Table) -> Any:
        return jnp.where(self.line(state), signed(1 - self.current_player(state)), 0.0)

    def observe(self, state: Table) -> Any:
        pieces = jnp.concatenate([state.board, state.hand[None]])
        return jax.nn.one_hot(pieces, 8).reshape(-1)


class QuartoHidesTheHand(Quarto):
    """Mistake: the piece to place is not shown."""

    def observe(self, state: Table) -> Any:
        return jax.nn.one_hot(state.board, 8).reshape(-1)


class QuartoWonByTheOther(Quarto):
    """Mistake: a line counts for player 1 whoever made it."""

    def returns(self, state: Table) -> Any:
        return jnp.where(self.line(state), jnp.array([-1.0, 1.0]), 0.0)
