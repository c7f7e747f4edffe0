"""Go against known positions, the rules written plainly, pgx and GNU Go."""

import dataclasses
import functools
import itertools
import os
import random
import shutil
import subprocess

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from pgx.go import Go as PgxGo

from selfplay.errors import ConfigError, IllegalActionError
from selfplay.games.go import Go, Go9x9, Go19x19, GoState
from selfplay.registry import make
from tests.games.matches import play_randomly

GNU_GO = shutil.which("gnugo", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/games"]))
Stones = dict[int, int]


class PlainGo:
    """The rules point by point, with every position kept."""

    def __init__(self, size: int) -> None:
        self.size = size
        self.stones: Stones = {}
        self.mover = 0
        self.passes = 0
        self.seen: set[frozenset[tuple[int, int]]] = set()
        self.repetitions = 0

    def neighbours(self, point: int) -> list[int]:
        row, column = divmod(point, self.size)
        around = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        return [r * self.size + c for r, c in around if 0 <= r < self.size and 0 <= c < self.size]

    def region(self, stones: Stones, point: int) -> tuple[set[int], set[int]]:
        """Returns the points connected to `point` that hold the same, and those around them."""
        inside, around, todo = {point}, set(), [point]
        while todo:
            for neighbour in self.neighbours(todo.pop()):
                if stones.get(neighbour) != stones.get(point):
                    around.add(neighbour)
                elif neighbour not in inside:
                    inside.add(neighbour)
                    todo.append(neighbour)
        return inside, around

    def breathes(self, stones: Stones, point: int) -> bool:
        return any(other not in stones for other in self.region(stones, point)[1])

    def after(self, point: int) -> Stones | None:
        """Returns the stones after a move, or None if it is occupied or suicide."""
        if point in self.stones:
            return None
        stones = {**self.stones, point: self.mover}
        for other in self.neighbours(point):
            if stones.get(other) == 1 - self.mover and not self.breathes(stones, other):
                for captured in self.region(stones, other)[0]:
                    del stones[captured]
        return stones if self.breathes(stones, point) else None

    def mask(self) -> list[bool]:
        found = []
        for point in range(self.size**2):
            stones = self.after(point)
            repeated = stones is not None and frozenset(stones.items()) in self.seen
            self.repetitions += repeated
            found.append(stones is not None and not repeated)
        return [*found, True]

    def play(self, action: int) -> None:
        if action == self.size**2:
            self.passes += 1
        else:
            after = self.after(action)
            assert after is not None
            self.stones, self.passes = after, 0
        self.seen.add(frozenset(self.stones.items()))
        self.mover = 1 - self.mover

    def area(self) -> list[int]:
        owners = [0] * self.size**2
        for point in range(self.size**2):
            if point in self.stones:
                owners[point] = 1 - 2 * self.stones[point]
            else:
                colours = {self.stones[p] for p in self.region(self.stones, point)[1]}
                if len(colours) == 1:
                    owners[point] = 1 - 2 * colours.pop()
        return owners


@pytest.fixture(scope="module")
def small() -> Go:
    return Go(size=5)


@functools.cache
def compiled(game: Go) -> tuple[jax.stages.Wrapped, jax.stages.Wrapped, jax.stages.Wrapped]:
    return jax.jit(game.step), jax.jit(game.legal_action_mask), jax.jit(game.init)


def play(game: Go, text: str) -> GoState:
    """Returns the position after moves such as "C3", each of which must be legal."""
    step, _, init = compiled(game)
    state = init(jax.random.key(0))
    for name in text.split():
        assert legal(game, state, name), name
        state = step(state, jnp.int32(point(game, name)))
    return state


def point(game: Go, name: str) -> int:
    if name == "pass":
        return game.num_actions - 1
    return (game.size - int(name[1:])) * game.size + "ABCDEFGHJKLMNOPQRST".index(name[0])


def legal(game: Go, state: GoState, name: str) -> bool:
    return bool(compiled(game)[1](state)[point(game, name)])


@pytest.mark.parametrize(("size", "max_plies"), [(3, 60), (5, 0)])
def test_random_matches_agree_with_the_plain_rules(size: int, max_plies: int) -> None:
    game = Go(size=size, komi=0.0, max_plies=max_plies)
    num_matches = 24
    plain = [PlainGo(size) for _ in range(num_matches)]
    for ply in play_randomly(game, num_matches, seed=size):
        for index, rules in enumerate(plain):
            margin = np.sign(sum(rules.area()))
            np.testing.assert_array_equal(ply.returns[index], [margin, -margin])
            if ply.over[index]:
                continue
            assert rules.passes < 2
            assert ply.player[index] == rules.mover
            np.testing.assert_array_equal(ply.mask[index], rules.mask())
            rules.play(int(ply.actions[index]))
    # Superko was needed, and some matches ended by two passes.
    assert sum(rules.repetitions for rules in plain) > 1
    assert any(rules.passes == 2 for rules in plain)


def test_random_matches_agree_with_pgx() -> None:
    """They forbid the simple ko only, and end the match as lost by whoever repeats a position."""
    size, num_matches = 5, 64
    game, pgx = Go(size=size), PgxGo(size=size, komi=7.5)
    with jax.numpy_rank_promotion("allow"):
        theirs = jax.jit(jax.vmap(pgx.init))(jax.random.split(jax.random.key(0), num_matches))
    theirs = theirs.replace(_player_order=jnp.tile(jnp.array([[0, 1]]), (num_matches, 1)))
    with jax.numpy_rank_promotion("allow"):
        their_step = (
            jax.jit(jax.vmap(pgx.step)).lower(theirs, jnp.zeros(num_matches, jnp.int32)).compile()
        )
    result_after = jax.jit(jax.vmap(lambda state, a: game.returns(game.step(state, a))))
    repetitions = 0
    live = np.ones(num_matches, bool)
    for ply in play_randomly(game, num_matches):
        live &= ~np.asarray(theirs.terminated)
        np.testing.assert_array_equal(ply.over[live], False)
        masks = np.asarray(theirs.legal_action_mask)
        assert (~ply.mask | masks)[live].all()
        for index, action in np.argwhere((masks & ~ply.mask) & live[:, None]):
            repeated = their_step(theirs, jnp.full(num_matches, action, jnp.int32))
            assert bool(repeated.terminated[index]) and bool(repeated._x.is_psk[index])
            repetitions += 1
        theirs = their_step(theirs, jnp.asarray(ply.actions))
        ended = live & np.asarray(theirs.terminated)
        if ended.any():
            results = np.asarray(result_after(ply.states, jnp.asarray(ply.actions)))
            np.testing.assert_array_equal(results[ended], np.asarray(theirs.rewards)[ended])
    assert repetitions > 0


def settled(size: int, seed: int) -> PlainGo:
    """Returns a random match played on until every point is a stone or somebody's eye."""
    choose, rules = random.Random(seed), PlainGo(size)
    while rules.passes < 2:
        moves = []
        for candidate, allowed in enumerate(rules.mask()[:-1]):
            eye = all(rules.stones.get(p) == rules.mover for p in rules.neighbours(candidate))
            if allowed and not eye:
                moves.append(candidate)
        rules.play(choose.choice(moves) if moves else size**2)
    return rules


@pytest.mark.skipif(GNU_GO is None, reason="GNU Go is not installed (apt install gnugo)")
def test_area_agrees_with_gnu_go(small: Go) -> None:
    matches = [settled(5, seed) for seed in range(12)]
    area, start = jax.jit(small.returns), small.init(jax.random.key(0))
    commands = ["boardsize 5"]
    for rules in matches:
        commands += ["clear_board", "komi 0.5"]
        commands += [
            f"play {'bw'[colour]} {small.action_to_string(start, at)}"
            for at, colour in rules.stones.items()
        ]
        commands += ["final_score", "final_status_list dead"]
    finished = subprocess.run(
        [str(GNU_GO), "--mode", "gtp", "--chinese-rules", "--score", "aftermath"],
        input="\n".join([*commands, "quit", ""]),
        capture_output=True, text=True, timeout=300, check=True,
    )  # fmt: skip
    answers = finished.stdout.split("=")[1:]
    scores = [(a, dead) for a, dead in itertools.pairwise(answers) if "+" in a]
    assert len(scores) == len(matches)
    # Where it sees dead stones that nobody took, it takes them away before it counts.
    alive = [
        (rules, score.strip())
        for rules, (score, dead) in zip(matches, scores, strict=True)
        if not dead.strip()
    ]
    assert len(alive) >= 5
    for rules, score in alive:
        margin = sum(rules.area()) - 0.5
        assert score == f"{'B' if margin > 0 else 'W'}+{abs(margin):.1f}"
        board = [0] * 25
        for at, colour in rules.stones.items():
            board[at] = 1 - 2 * colour
        state = dataclasses.replace(
            start, board=jnp.array(board, jnp.int8), passes=jnp.int8(2), komi=jnp.int16(1)
        )
        np.testing.assert_array_equal(area(state), [np.sign(margin), -np.sign(margin)])


def test_capture_and_suicide(small: Go) -> None:
    # White's corner stone loses its last liberty.
    state = play(small, "A2 A1 B1")
    assert int((state.board != 0).sum()) == 2
    # White may not go back where it has no liberty, black may.
    assert not legal(small, state, "A1")
    assert legal(small, play(small, "A2 A1 B1 pass"), "A1")


def test_ko(small: Go) -> None:
    before = "B3 C3 A2 D2 B1 C1 C2 B2"  # white's last move took C2
    state = play(small, before)
    assert not legal(small, state, "C2")
    # After an exchange elsewhere the position would be another.
    assert legal(small, play(small, before + " E5 E4"), "C2")
    # A pass changes no stone: the position would still be one that has been.
    assert not legal(small, play(small, before + " pass pass"), "C2")


def test_snapback(small: Go) -> None:
    # Black throws in at A1, white takes it and is taken in turn, three stones at once.
    state = play(small, "C1 B1 C2 B2 A3 A2 B3 pass A1")
    np.testing.assert_array_equal(jnp.sign(state.board).reshape(5, 5)[2:, :3],
                                  [[1, 1, 0], [0, 0, 1], [1, 0, 1]])  # fmt: skip


def test_sending_two_returning_one(small: Go) -> None:
    # Black gives two stones at A1 and B1, white takes them from C1, and black may not take that
    # stone from B1: with A1 and C1 empty the position was there before.
    state = play(small, "B1 A2 C2 B2 D1 E5 A1 C1")
    assert int(state.board[point(small, "B1")]) == 0
    assert not legal(small, state, "B1")
    assert legal(small, state, "A1")


def test_triple_ko() -> None:
    game = Go9x9()
    black, white = [], []
    for row in (1, 4, 7):
        black += [f"A{row + 1}", f"B{row}", f"B{row + 2}"]
        white += [f"D{row + 1}", f"C{row}", f"C{row + 2}"]
    black += ["C5", "pass"]
    white += ["B2", "B8"]
    setup = " ".join(f"{b} {w}" for b, w in zip(black, white, strict=True))
    state = play(game, setup + " C2 B5 C8 B2 C5")
    # The sixth capture would bring back the position before the first.
    assert not legal(game, state, "B8")
    assert legal(game, state, "E5")


def test_two_passes_end_the_match_and_area_counts(small: Go) -> None:
    # A wall each; column C is nobody's.
    moves = "B1 D1 B2 D2 B3 D3 B4 D4 B5 D5 pass"
    state = play(small, moves)
    assert not bool(small.is_terminal(state))
    assert small.render(state).endswith("o to move, after a pass (komi 7.5)")
    state = play(small, moves + " pass")
    assert bool(small.is_terminal(state))
    np.testing.assert_array_equal(small.returns(state), [-1, 1])
    assert small.render(state).endswith("o wins by 7.5 (komi 7.5)")
    assert small.board(state).clicks == {}
    targets = small.auxiliary_targets(play(small, "A1"), state)
    assert targets["ownership"].tolist() == [[-1, -1, 0, 1, 1]] * 5
    assert float(targets["score_margin"]) == pytest.approx(7.5 / 25)
    own = small.auxiliary_targets(small.init(jax.random.key(0)), state)
    np.testing.assert_array_equal(own["ownership"], -targets["ownership"])


def test_drawn_komi_is_even_and_seen() -> None:
    game = Go(size=5, komi=2.0, komi_spread=2)
    states = jax.jit(jax.vmap(game.init))(jax.random.split(jax.random.key(1), 400))
    komi, counts = np.unique(states.komi, return_counts=True)
    np.testing.assert_array_equal(komi, [0, 2, 4, 6, 8])
    assert counts.min() > 50
    seen = np.asarray(jax.jit(jax.vmap(game.observe))(states))[..., -1]
    np.testing.assert_allclose(seen, np.broadcast_to(-states.komi[:, None, None] / 20, seen.shape))
    # Two passes on the empty board leave the komi: none is a draw.
    results = np.asarray(jax.jit(jax.vmap(game.returns))(states))
    np.testing.assert_array_equal(results[:, 1], np.sign(states.komi))


def test_observation_is_the_movers(small: Go) -> None:
    state = play(small, "A2 A1 pass")
    planes = np.moveaxis(np.asarray(small.observe(state)), -1, 0)
    assert np.argwhere(planes[0]).tolist() == [[4, 0]]
    assert np.argwhere(planes[1]).tolist() == [[3, 0]]
    assert np.argwhere(planes[2]).tolist() == [[4, 0]]
    assert not planes[3].any()
    assert (planes[4] == 1).all()
    assert (planes[5] == np.float32(7.5 / 10)).all()
    taken = play(small, "A2 A1 B1")
    assert np.argwhere(np.asarray(small.observe(taken))[..., 3]).tolist() == [[4, 0]]


def test_symmetries_turn_what_is_seen(small: Go) -> None:
    """Hashes cannot be turned, so the board does not turn either: what is seen of it must."""
    state = play(small, "B3 C3 A2 D2 B1 C1 C2 B2")
    seen = np.asarray(small.observe(state))
    for symmetry in small.symmetries():
        image = small.observe(symmetry.map_state(state))
        turned = np.zeros_like(seen).reshape(25, -1)
        turned[list(symmetry.permutation[:25])] = seen.reshape(25, -1)
        np.testing.assert_array_equal(image, turned.reshape(seen.shape))
    back = small.symmetries()[0].map_state(small.symmetries()[0].map_state(state))
    assert small.render(back) == small.render(state)
    flipped = small.symmetries()[1]
    assert flipped.name == "upside down"
    assert small.render(flipped.map_state(state)).splitlines()[0] == "5 . x o . ."


def test_text_and_board(small: Go) -> None:
    state = play(small, "C3 D4")
    assert small.render(state) == "\n".join(
        [
            "5 . . . . .",
            "4 . . . o .",
            "3 . . x . .",
            "2 . . . . .",
            "1 . . . . .",
            "  A B C D E",
            "x to move (komi 7.5)",
        ]
    )
    board = small.board(state)
    assert [board.cells[cell] for cell in (8, 12)] == ["white", "black"]
    assert set(board.clicks.values()) == set(np.flatnonzero(small.legal_action_mask(state)))
    assert board.clicks[()] == 25
    assert small.string_to_action(state, " e1 ") == 24
    assert small.action_to_string(state, 25) == "pass"
    with pytest.raises(IllegalActionError, match="'c3' is not a legal move here"):
        small.string_to_action(state, "c3")
    assert Go19x19().action_to_string(state, 8) == "J19"


def test_boards_of_tournaments() -> None:
    for name, size, longest, most in (("go_9x9", 9, 162, 1400), ("go_19x19", 19, 722, 6600)):
        game = make(name)
        assert (game.num_actions, game.max_plies) == (size * size + 1, longest)
        leaves = jax.tree.leaves(jax.eval_shape(game.init, jax.random.key(0)))
        assert sum(leaf.size * leaf.dtype.itemsize for leaf in leaves) <= most


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 2}, "go: size is 2, but must be between 3 and 19"),
        ({"komi": 0.25}, "go: komi is 0.25, but must be a multiple of 0.5 between -81 and 81"),
        ({"komi": float("nan")}, "go: komi is nan, but must be a multiple"),
        ({"komi_spread": -1}, "go: komi_spread is -1, but must be between 0 and 81"),
        ({"max_plies": -1}, "go: max_plies is -1, but must be between 1 and 10000, or 0 for 162"),
    ],
)
def test_options_out_of_range(options: dict[str, float], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Go(**options)
