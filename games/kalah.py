"""Kalah: sow seeds around the board, catch more of them in your store than the opponent."""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float32, Int8, Int32, Key, UInt8

from selfplay.errors import ConfigError
from selfplay.game import BoardView, Game, Reply, Solution, pytree, solve_exactly

_SYMBOLS = ("x", "o")
_SOLVER_LIMIT = 20_000


@pytree
class KalahState:
    """A position: 15 bytes with 6 pits.

    Attributes:
        seeds: for each player the seeds in every pit, in the order of sowing, then in the store.
        player: who is to move.
    """

    seeds: UInt8[Array, "2 pits_and_store"]
    player: Int8[Array, ""]


class Kalah(Game[KalahState]):
    """Kalah, also sold as mancala; player 0 (x) begins.

    Args:
        pits: pits of each player, 2 to 10.
        seeds: seeds in every pit at the start, 1 to 10.
        empty_capture: whether a last seed in an own empty pit is caught even if the pit opposite
            holds nothing.
    """

    name = "kalah"
    suite_file = "suites/kalah.txt"

    def __init__(self, pits: int = 6, seeds: int = 4, empty_capture: bool = False) -> None:
        for option, value, low in (("pits", pits, 2), ("seeds", seeds, 1)):
            if not low <= value <= 10:
                raise ConfigError(f"kalah: {option} is {value}, but must be between {low} and 10")
        self.pits = pits
        self.seeds = seeds
        self.empty_capture = empty_capture
        self.total = 2 * pits * seeds
        self.num_actions = pits
        # Twice what both players need who do nothing but stall.
        self.max_plies = pits * self.total

    def init(self, key: Key[Array, ""]) -> KalahState:
        """Returns full pits and empty stores."""
        side = jnp.full((self.pits + 1,), self.seeds, jnp.uint8).at[self.pits].set(0)
        return KalahState(seeds=jnp.stack([side, side]), player=jnp.int8(0))

    def step(self, state: KalahState, action: Int32[Array, ""]) -> KalahState:
        """Returns the position after sowing pit `action`, with all that follows from it."""
        first = state.player == 0
        own, opponent = _by_mover(state)
        # Where seeds fall, in their order: own pits, own store, the opponent's pits.
        ring = jnp.concatenate([own, opponent[:-1]])
        places = jnp.arange(2 * self.pits + 1)
        # How many places lie between the pit and each place; the pit itself comes last.
        between = places - action - 1
        between = jnp.where(between < 0, between + ring.size, between)
        in_hand = jnp.where(places == action, ring, 0).sum(dtype=jnp.int32)
        rounds, rest = in_hand // ring.size, in_hand % ring.size
        ring = jnp.where(places == action, 0, ring)
        ring = ring + rounds.astype(jnp.uint8) + (between < rest).astype(jnp.uint8)
        is_last = between == jnp.where(rest == 0, ring.size, rest) - 1

        # The pits that face each other, by the mover's numbers.
        pits, store, facing = ring[: self.pits], ring[self.pits], ring[: self.pits : -1]
        caught = is_last[: self.pits] & (pits == 1)
        if not self.empty_capture:
            caught &= facing > 0
        store = store + jnp.where(caught, pits + facing, 0).sum(dtype=jnp.uint8)
        pits, facing = jnp.where(caught, 0, pits), jnp.where(caught, 0, facing)

        # As soon as a side is empty, all that lies on the other one goes to its owner.
        over = ~pits.any() | ~facing.any()
        own = _side(pits, store, over)
        opponent = _side(facing[::-1], opponent[-1], over)
        return KalahState(
            seeds=jnp.stack([jnp.where(first, own, opponent), jnp.where(first, opponent, own)]),
            player=jnp.where(is_last[self.pits], state.player, 1 - state.player),
        )

    def current_player(self, state: KalahState) -> Int32[Array, ""]:
        """Returns who is to move; a last seed in the own store moves again."""
        return state.player.astype(jnp.int32)

    def legal_action_mask(self, state: KalahState) -> Bool[Array, " pits"]:
        """Returns the mover's pits that hold seeds."""
        own, _ = _by_mover(state)
        return own[:-1] > 0

    def is_terminal(self, state: KalahState) -> Bool[Array, ""]:
        """Returns whether all seeds lie in the stores."""
        return ~state.seeds[:, :-1].any()

    def returns(self, state: KalahState) -> Float32[Array, "2"]:
        """Returns 1 for the player with more seeds in store and -1 for the other, or 0 for both."""
        stores = state.seeds[:, -1].astype(jnp.float32)
        return jnp.sign(stores - stores[::-1])

    def observe(self, state: KalahState) -> Float32[Array, " features"]:
        """Returns a list of features: own side, then the opponent's.

        For every pit whether it holds 0, 1, ... seeds (the last number: or more) and how many it
        holds, as a share of a fair half of all; then that share of the store.
        """
        sides = jnp.stack(_by_mover(state))
        share = sides.astype(jnp.float32) / (self.total // 2)
        # So many seeds go once around the board.
        many = 2 * self.pits + 1
        numbers = jnp.arange(many + 1, dtype=jnp.uint8).reshape(1, 1, -1)
        held = jnp.minimum(sides[:, :-1, None], many) == numbers
        features = [held.reshape(2, -1).astype(jnp.float32), share]
        return jnp.concatenate(features, axis=1).reshape(-1)

    def auxiliary_targets(self, state: KalahState, final_state: KalahState) -> dict[str, Array]:
        """Returns by how many seeds the player to move wins.

        Returns:
            "score_margin", []: seeds more than the opponent's, divided by all seeds.
        """
        stores = final_state.seeds[:, -1].astype(jnp.float32)
        margin = (stores[0] - stores[1]) / self.total
        return {"score_margin": jnp.where(state.player == 0, margin, -margin)}

    def render(self, state: KalahState) -> str:
        """Returns the board, o's pits above x's, each between its letters and with the stores."""
        (*x, x_store), (*o, o_store) = state.seeds.tolist()
        letters = "abcdefghij"[: self.pits]
        width = len(str(self.total))
        if any(x) or any(o):
            status = f"{_SYMBOLS[int(state.player)]} to move"
        elif x_store == o_store:
            status = "draw"
        else:
            status = f"{_SYMBOLS[o_store > x_store]} wins"
        rows = (letters[::-1], reversed(o), x, letters)
        margin = " " * (width + 2)
        above, upper, lower, below = (
            margin + " ".join(f"{entry:>{width}}" for entry in row) for row in rows
        )
        gap = " " * (len(upper) - width - 1)
        return "\n".join(
            [
                above,
                upper,
                f"o {o_store:>{width}}{gap}{x_store:>{width}} x",
                lower,
                below,
                f"{status} (x {x_store}, o {o_store})",
            ]
        )

    def action_to_string(self, state: KalahState, action: int) -> str:
        """Returns the letter of the pit, in the order of sowing: "a" is farthest from the store."""
        return "abcdefghij"[action]

    def board(self, state: KalahState) -> BoardView:
        """Returns two rows, o's above x's, with the stores at their ends; cells hold numbers."""
        (*x, x_store), (*o, o_store) = state.seeds.tolist()
        player = int(state.player)
        columns = self.pits + 2
        # Sowing runs to the right below, to the left above.
        cells = [[columns - 2 - pit, columns + 1 + pit][player == 0] for pit in range(self.pits)]
        letters = "abcdefghij"[: self.pits]
        return BoardView(
            kind="pits",
            rows=2,
            columns=columns,
            cells=[
                f"{count}" if count is not None else "void"
                for count in (o_store, *reversed(o), None, None, *x, x_store)
            ],
            clicks={(cell,): pit for pit, cell in enumerate(cells) if state.seeds[player, pit] > 0},
            owners=[1] * (columns - 1) + [None, None] + [0] * (columns - 1),
            column_labels=["", *letters[::-1], "", "", *letters, ""],
        )

    def solve(self, state: KalahState) -> Solution | None:
        """Returns the exact solution, or None if it takes more than 20,000 positions to find."""
        player = int(state.player)
        sides = state.seeds.tolist()
        (*own, store), (*opponent, other_store) = sides[player], sides[1 - player]
        side = _Seeds(tuple(own), tuple(opponent), store - other_store)
        return solve_exactly(self._replies(side), self._expand, max_positions=_SOLVER_LIMIT)

    def _expand(self, seeds: "_Seeds") -> float | list[Reply]:
        """Returns the result if it is decided, else what follows each move, on the host."""
        own, opponent = sum(seeds.own), sum(seeds.opponent)
        lead = seeds.lead
        if not own or not opponent:
            lead += own - opponent
        elif abs(lead) <= own + opponent:
            return self._replies(seeds)
        return float((lead > 0) - (lead < 0))

    def _replies(self, seeds: "_Seeds") -> list[Reply]:
        """Returns what follows each move: those first that move again, then by what they gain."""
        own, opponent, lead = seeds
        pits, places = self.pits, 2 * self.pits + 1
        found = []
        for pit in range(pits):
            in_hand = own[pit]
            if not in_hand:
                continue
            ring = [*own, 0, *opponent]
            ring[pit] = 0
            for step in range(1, in_hand + 1):
                ring[(pit + step) % places] += 1
            last = (pit + in_hand) % places
            gain = ring[pits]
            if last < pits and ring[last] == 1:
                facing = 2 * pits - last
                if ring[facing] or self.empty_capture:
                    gain += 1 + ring[facing]
                    ring[last] = ring[facing] = 0
            after, other = tuple(ring[:pits]), tuple(ring[pits + 1 :])
            again = last == pits
            if again:
                position = _Seeds(after, other, lead + gain)
            else:
                position = _Seeds(other, after, -lead - gain)
            found.append((again, gain, Reply(pit, position, again)))
        found.sort(key=_promise, reverse=True)
        return [reply for _, _, reply in found]


class _Seeds(NamedTuple):
    """A position on the host, seen by the player to move.

    Attributes:
        own: seeds in the pits of the player to move, in the order of sowing.
        opponent: likewise.
        lead: seeds in the own store less those in the opponent's.
    """

    own: tuple[int, ...]
    opponent: tuple[int, ...]
    lead: int


def _promise(ranked: tuple[bool, int, Reply]) -> tuple[bool, int]:
    return ranked[:2]


def _by_mover(
    state: KalahState,
) -> tuple[UInt8[Array, " pits_and_store"], UInt8[Array, " pits_and_store"]]:
    """Returns the seeds of the player to move, then the opponent's."""
    first = state.player == 0
    return (
        jnp.where(first, state.seeds[0], state.seeds[1]),
        jnp.where(first, state.seeds[1], state.seeds[0]),
    )


def _side(
    pits: UInt8[Array, " pits"], store: UInt8[Array, ""], over: Bool[Array, ""]
) -> UInt8[Array, " pits_and_store"]:
    """Returns one player's pits and store, the pits swept into the store if it is over."""
    left = pits.sum(dtype=jnp.uint8)
    return jnp.append(jnp.where(over, 0, pits), jnp.where(over, store + left, store))
