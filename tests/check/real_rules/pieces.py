"""Games that are not bundled, written as their users would: pieces that move.

Their states differ on purpose: positions seen by the mover, two sides with aims of their own, cards
that change hands, and walls.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array

from selfplay.game import Game, pytree

_ROOK = ((-1, 0), (1, 0), (0, -1), (0, 1))
_KING = (*_ROOK, (-1, -1), (-1, 1), (1, -1), (1, 1))


def seen_from(cells: Any, down: int, right: int, outside: Any = False) -> Any:
    """Returns for each cell what stands so far from it; beyond the edge is `outside`."""
    height, width = cells.shape
    edge = max(abs(down), abs(right))
    padded = jnp.pad(cells, edge, constant_values=outside)
    return padded[edge + down : edge + down + height, edge + right : edge + right + width]


@pytree
class Castle:
    """0 empty, 1 attacker, 2 defender, 3 king; and who is to move."""

    board: Array
    player: Array


class Tablut(Game[Castle]):
    """Brandubh, Tablut on 7 by 7: attackers (player 0) take the king, which flees to a corner.

    An action is a direction, a distance and a cell. A piece between two enemies is taken.
    """

    name = "tablut"
    num_actions = 4 * 6 * 49
    max_plies = 60
    corners = jnp.zeros((7, 7), bool).at[jnp.array([0, 0, 6, 6]), jnp.array([0, 6, 0, 6])].set(True)

    def init(self, key: Any) -> Castle:
        line = jnp.array([1, 1, 2, 3, 2, 1, 1], jnp.int8)
        board = jnp.zeros((7, 7), jnp.int8).at[3].set(line).at[:, 3].set(line)
        return Castle(board=board, player=jnp.int8(0))

    def current_player(self, state: Castle) -> Any:
        return state.player.astype(jnp.int32)

    def own(self, state: Castle) -> Any:
        return jnp.where(state.player == 0, state.board == 1, state.board >= 2)

    def step(self, state: Castle, action: Any) -> Castle:
        way, distance, origin = action // 49 // 6, action // 49 % 6 + 1, action % 49
        target = origin + distance * jnp.array([-7, 7, -1, 1])[way]
        cells = state.board.reshape(-1)
        board = cells.at[target].set(cells[origin]).at[origin].set(0).reshape(7, 7)
        after = Castle(board=board, player=state.player)
        friends, moved = self.own(after), (jnp.arange(49) == target).reshape(7, 7)
        taken = jnp.zeros((7, 7), bool)
        for down, right in _ROOK:
            anvil = seen_from(friends | self.corners, down, right)
            taken |= seen_from(moved, -down, -right) & anvil & (board > 0) & ~friends
        return Castle(board=jnp.where(taken, 0, board), player=1 - state.player)

    def legal_action_mask(self, state: Castle) -> Any:
        # Only the king may stop in a corner; nobody has anywhere to go from there.
        free, own = state.board == 0, self.own(state)
        moves = []
        for down, right in _ROOK:
            clear = own
            for distance in range(1, 7):
                place = distance * down, distance * right
                clear &= seen_from(free, *place)
                moves.append(clear & ((state.board == 3) | ~seen_from(self.corners, *place)))
        return jnp.stack(moves).reshape(-1)

    def winner(self, state: Castle) -> Any:
        king = state.board == 3
        stuck = jnp.where(self.legal_action_mask(state).any(), -1, 1 - self.current_player(state))
        return jnp.where(~king.any(), 0, jnp.where((king & self.corners).any(), 1, stuck))

    def is_terminal(self, state: Castle) -> Any:
        return self.winner(state) >= 0

    def returns(self, state: Castle) -> Any:
        won = jnp.where(jnp.arange(2) == self.winner(state), 1.0, -1.0)
        return jnp.where(self.is_terminal(state), won, 0.0)

    def observe(self, state: Castle) -> Any:
        attacking = jnp.broadcast_to(state.player == 0, (7, 7))
        planes = [state.board == piece for piece in (1, 2, 3)]
        return jnp.stack([*planes, attacking], -1).astype(jnp.float32)


class TablutHidesTheMover(Tablut):
    """Mistake: the view does not say which side is to move."""

    def observe(self, state: Castle) -> Any:
        return super().observe(state)[..., :3]


@pytree
class Temple:
    """Seen by the mover: own pupils 1 and master 2, theirs -1 and -2; who has each card."""

    board: Array
    holders: Array
    player: Array


class Onitama(Game[Temple]):
    """A card says how a piece moves, and goes to the table for the one that lies there.

    Who takes the master or enters the other's temple wins. An action is a card, one of its steps
    and a cell, all as the mover sees them.
    """

    name = "onitama"
    num_actions = 5 * 4 * 25
    max_plies = 60
    cards = (
        ((-2, 0), (1, 0)),
        ((-1, 0), (0, -2), (0, 2)),
        ((-1, -1), (-1, 1), (1, -1), (1, 1)),
        ((-1, 0), (1, -1), (1, 1)),
        ((-1, -2), (-1, 2), (1, -1), (1, 1)),
    )

    def init(self, key: Any) -> Temple:
        row = jnp.array([1, 1, 2, 1, 1], jnp.int8)
        return Temple(
            board=jnp.zeros((5, 5), jnp.int8).at[4].set(row).at[0].set(-row),
            # 0 and 1 the players, 2 the table.
            holders=jax.random.permutation(key, jnp.array([0, 0, 1, 1, 2], jnp.int8)),
            player=jnp.uint8(0),
        )

    def current_player(self, state: Temple) -> Any:
        return state.player.astype(jnp.int32)

    def step(self, state: Temple, action: Any) -> Temple:
        card, origin = action // 100, action % 25
        steps = [list(card) + [(0, 0)] * (4 - len(card)) for card in self.cards]
        down, right = jnp.array(steps).reshape(-1, 2)[action // 25]
        cells = state.board.reshape(-1)
        board = cells.at[origin + 5 * down + right].set(cells[origin]).at[origin].set(0)
        mine = state.player.astype(jnp.int8)
        holders = jnp.where(state.holders == 2, mine, state.holders).at[card].set(2)
        turned = -board.reshape(5, 5)[::-1, ::-1]
        return Temple(board=turned, holders=holders, player=1 - state.player)

    def legal_action_mask(self, state: Temple) -> Any:
        moves = []
        for card, steps in enumerate(self.cards):
            mine = state.holders[card] == state.player
            # 1 is a piece of one's own: nobody goes beyond the edge.
            moves += [
                (state.board > 0) & (seen_from(state.board, *s, 1) <= 0) & mine for s in steps
            ]
            moves += [jnp.zeros((5, 5), bool)] * (4 - len(steps))
        return jnp.stack(moves).reshape(-1)

    def is_terminal(self, state: Temple) -> Any:
        lost = ~(state.board == 2).any() | (state.board[4, 2] == -2)
        return lost | ~self.legal_action_mask(state).any()

    def returns(self, state: Temple) -> Any:
        lost = jnp.where(jnp.arange(2) == self.current_player(state), -1.0, 1.0)
        return jnp.where(self.is_terminal(state), lost, 0.0)

    def cards_seen(self, state: Temple) -> Any:
        return jnp.stack([state.holders == state.player, state.holders == 1 - state.player])

    def observe(self, state: Temple) -> Any:
        pieces = jnp.stack([state.board == piece for piece in (1, 2, -1, -2)])
        cards = self.cards_seen(state).reshape(-1)
        return jnp.concatenate([pieces.reshape(-1), cards]).astype(jnp.float32)


class OnitamaForTheMover(Onitama):
    """Mistake: entry 0 of the results is for whoever is to move."""

    def returns(self, state: Temple) -> Any:
        return jnp.where(self.is_terminal(state), jnp.array([-1.0, 1.0]), 0.0)


class OnitamaCardsOfPlayerZero(Onitama):
    """Mistake: the board is turned for player 1, but the cards of player 0 come first."""

    def cards_seen(self, state: Temple) -> Any:
        return jnp.stack([state.holders == 0, state.holders == 1])


@pytree
class Towers:
    """Heights, the cells of both workers (the mover's first), and the plies."""

    heights: Array
    workers: Array
    ply: Array


class Santorini(Game[Towers]):
    """One worker each on 4 by 4 moves, at most one level up, and builds; level 3 wins.

    An action is a way to move and a way to build from there. Who cannot do both loses.
    """

    name = "santorini"
    num_actions = 64
    max_plies = 64
    ways = jnp.array(_KING)

    def init(self, key: Any) -> Towers:
        workers = jnp.array([5, 10], jnp.int8)
        return Towers(heights=jnp.zeros((4, 4), jnp.int8), workers=workers, ply=jnp.int32(0))

    def current_player(self, state: Towers) -> Any:
        return state.ply % 2

    def places(self, state: Towers, action: Any) -> Any:
        """Returns row and column of where an action moves to and of where it builds."""
        start = jnp.stack([state.workers[0] // 4, state.workers[0] % 4])
        target = start + self.ways[action // 8]
        return target, target + self.ways[action % 8]

    def step(self, state: Towers, action: Any) -> Towers:
        target, site = self.places(state, action)
        moved = (target[0] * 4 + target[1]).astype(jnp.int8)
        heights = state.heights.at[site[0], site[1]].add(1)
        workers = jnp.stack([state.workers[1], moved])
        return Towers(heights=heights, workers=workers, ply=state.ply + 1)

    def legal_action_mask(self, state: Towers) -> Any:
        def allowed(action: Any) -> Any:
            target, site = self.places(state, action)
            other = jnp.stack([state.workers[1] // 4, state.workers[1] % 4])
            inside = ((target >= 0) & (target < 4) & (site >= 0) & (site < 4)).all()
            level = state.heights.reshape(-1)[state.workers[0]]
            # A dome, level 4, cannot be climbed, for nobody stands on level 3.
            climbs = state.heights[target[0], target[1]] <= level + 1
            builds = state.heights[site[0], site[1]] < 4
            apart = (target != other).any() & (site != other).any()
            return inside & climbs & builds & apart

        return jax.vmap(allowed)(jnp.arange(64))

    def is_terminal(self, state: Towers) -> Any:
        won = state.heights.reshape(-1)[state.workers[1]] == 3
        return won | ~self.legal_action_mask(state).any()

    def returns(self, state: Towers) -> Any:
        lost = jnp.where(jnp.arange(2) == self.current_player(state), -1.0, 1.0)
        return jnp.where(self.is_terminal(state), lost, 0.0)

    def observe(self, state: Towers) -> Any:
        workers = (jnp.arange(16)[:, None] == state.workers[None]).reshape(4, 4, 2)
        return jnp.concatenate([jax.nn.one_hot(state.heights, 5), workers], -1)


class SantoriniByWorkers(Santorini):
    """Mistake: the results stand in the order of the workers, the mover's first."""

    def returns(self, state: Towers) -> Any:
        return jnp.where(self.is_terminal(state), jnp.array([-1.0, 1.0]), 0.0)


@pytree
class Maze:
    """The cells of both pawns, walls [across or upright, row, column], how many are left."""

    pawns: Array
    walls: Array
    left: Array
    player: Array


class Quoridor(Game[Maze]):
    """A pawn and three walls each on 5 by 5; who gets to the far side wins.

    A wall is two cells long and may not close the last path of a pawn. A pawn in the way is jumped
    over. Actions are four steps and 32 walls, as the mover sees them: up is forward.
    """

    name = "quoridor"
    num_actions = 4 + 32
    max_plies = 80
    # Where each action is for player 1, who sees the board turned by half.
    turned = jnp.array([1, 0, 3, 2, *range(19, 3, -1), *range(35, 19, -1)])
    offsets = jnp.array([-5, 5, -1, 1])

    def init(self, key: Any) -> Maze:
        return Maze(
            pawns=jnp.array([22, 2], jnp.int8),
            walls=jnp.zeros((2, 4, 4), bool),
            left=jnp.array([3, 3], jnp.int8),
            player=jnp.bool_(False),
        )

    def current_player(self, state: Maze) -> Any:
        return state.player.astype(jnp.int32)

    def passages(self, walls: Any) -> Any:
        """Returns whether one may leave each cell up, down, left and right: [4, 25]."""
        across = jnp.pad(walls[0], ((0, 0), (1, 1)))
        upright = jnp.pad(walls[1], ((1, 1), (0, 0)))
        below = ~(across[:, :-1] | across[:, 1:])
        beside = ~(upright[:-1] | upright[1:])
        ways = [
            jnp.pad(below, ((1, 0), (0, 0))),
            jnp.pad(below, ((0, 1), (0, 0))),
            jnp.pad(beside, ((0, 0), (1, 0))),
            jnp.pad(beside, ((0, 0), (0, 1))),
        ]
        return jnp.stack(ways).reshape(4, 25)

    def paths(self, walls: Any, pawns: Any) -> Any:
        """Returns whether each pawn can reach its far side: a flood from there."""
        ways = self.passages(walls).reshape(4, 5, 5)

        def flood(_: Any, wet: Any) -> Any:
            for way, (down, right) in enumerate(_ROOK):
                wet |= ways[way] & seen_from(wet, down, right)
            return wet

        sides = jnp.zeros((2, 5, 5), bool).at[0, 0].set(True).at[1, 4].set(True)
        wet = jax.vmap(lambda side: jax.lax.fori_loop(0, 16, flood, side))(sides)
        return wet.reshape(2, 25)[jnp.arange(2), pawns]

    def steps(self, state: Maze) -> Any:
        """Returns where the four steps of the mover lead, -1 nowhere."""
        mine, other = state.pawns[self.current_player(state)], state.pawns[1 - state.player]
        ways = self.passages(state.walls)
        near = mine + self.offsets
        # The second step may leave the board, and is then not asked for.
        jumps = near == other
        open_ = ways[:, mine] & (~jumps | ways[jnp.arange(4), near])
        return jnp.where(open_, jnp.where(jumps, near + self.offsets, near), -1)

    def step(self, state: Maze, action: Any) -> Maze:
        player = self.current_player(state)
        action = jnp.where(state.player, self.turned[action], action)
        walks = action < 4
        to = self.steps(state)[jnp.minimum(action, 3)].astype(jnp.int8)
        wall = (jnp.arange(32) == action - 4).reshape(2, 4, 4)
        return Maze(
            pawns=state.pawns.at[player].set(jnp.where(walks, to, state.pawns[player])),
            walls=state.walls | wall,
            left=state.left.at[player].add(jnp.where(walks, 0, -1).astype(jnp.int8)),
            player=~state.player,
        )

    def legal_action_mask(self, state: Maze) -> Any:
        across, upright = state.walls
        crossed = across | upright
        longer = [
            crossed | seen_from(across, 0, -1) | seen_from(across, 0, 1),
            crossed | seen_from(upright, -1, 0) | seen_from(upright, 1, 0),
        ]
        added = jnp.eye(32, dtype=bool).reshape(32, 2, 4, 4) | state.walls[None]
        paths = jax.vmap(self.paths, (0, None))(added, state.pawns).all(-1)
        has_walls = state.left[self.current_player(state)] > 0
        walls = ~jnp.stack(longer).reshape(-1) & paths & has_walls
        mask = jnp.concatenate([self.steps(state) >= 0, walls])
        return jnp.where(state.player, mask[self.turned], mask)

    def winner(self, state: Maze) -> Any:
        home = jnp.stack([state.pawns[0] < 5, state.pawns[1] >= 20])
        stuck = jnp.where(self.legal_action_mask(state).any(), -1, 1 - self.current_player(state))
        return jnp.where(home[0], 0, jnp.where(home[1], 1, stuck))

    def is_terminal(self, state: Maze) -> Any:
        return self.winner(state) >= 0

    def returns(self, state: Maze) -> Any:
        won = jnp.where(jnp.arange(2) == self.winner(state), 1.0, -1.0)
        return jnp.where(self.is_terminal(state), won, 0.0)

    def observe(self, state: Maze) -> Any:
        pawns = (jnp.arange(25)[None] == state.pawns[:, None]).reshape(2, 5, 5)
        pawns = jnp.where(state.player, pawns[::-1, ::-1, ::-1], pawns)
        walls = jnp.where(state.player, state.walls[:, ::-1, ::-1], state.walls)
        left = jnp.where(state.player, state.left[::-1], state.left)
        planes = [
            *pawns,
            *jnp.pad(walls, ((0, 0), (0, 1), (0, 1))),
            *jnp.ones((2, 5, 5)) * left[:, None, None] / 3,
        ]
        return jnp.stack(planes, -1).astype(jnp.float32)


class QuoridorForgetsOnePath(Quoridor):
    """Mistake: a wall may close the last path of player 1."""

    def paths(self, walls: Any, pawns: Any) -> Any:
        return super().paths(walls, pawns)[:1]
