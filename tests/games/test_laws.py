"""What must hold for every bundled game: the contract as properties over random matches."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.game import Game
from selfplay.registry import game_names, make
from tests.games.matches import Played, play_randomly

MATCHES = 16
SPECS: list[tuple[str, dict[str, object]]] = [
    ("tic_tac_toe", {}),
    ("connect_four", {}),
    ("connect_four", {"rows": 4, "columns": 5}),
    ("othello", {"size": 6}),
    ("othello", {}),
    ("backgammon", {"gammons": False}),
    ("einstein_wuerfelt_nicht", {}),
    ("dots_and_boxes", {}),
    ("dots_and_boxes", {"rows": 2, "columns": 5}),
    ("flagz", {"rows": 5, "columns": 6, "rocks": 3}),
    ("generals", {"height": 5, "width": 6, "max_turns": 20}),
    ("kalah", {}),
    ("nine_mens_morris", {}),
    ("breakthrough", {"rows": 6, "columns": 5}),
    ("go", {"size": 5}),
    ("go_9x9", {"max_plies": 30}),
    ("go_19x19", {"max_plies": 12}),
    ("gomoku", {"size": 7}),
    ("hex", {"size": 5}),
]
# The planes of the mover's and of the opponent's pieces, where they are planes.
PIECES = {
    "tic_tac_toe": (0, 1),
    "connect_four": (0, 1),
    "othello": (0, 1),
    "dots_and_boxes": (2, 3),
    "flagz": ([0, 1], [5, 6]),
    "generals": (1, 2),
    "nine_mens_morris": (0, 1),
    **dict.fromkeys(("breakthrough", "go", "go_9x9", "go_19x19", "gomoku", "hex"), (0, 1)),
}
WITHOUT_SYMMETRY = {"backgammon", "generals", "kalah"}
TARGETS = {
    "dots_and_boxes": {"ownership", "score_margin"},
    "flagz": {"ownership", "score_margin"},
    **{name: {"ownership", "score_margin"} for name in ("go", "go_9x9", "go_19x19")},
    "kalah": {"score_margin"},
    "othello": {"ownership", "score_margin"},
}
# Games in which a target for each cell turns as the first actions do: one for each cell.
CELLS_ARE_ACTIONS = {"flagz", "go", "go_9x9", "go_19x19", "othello"}
# Bytes of a state, where more than 20 are needed.
BYTES = {"backgammon": 30, "flagz": 22, "generals": 94}
# Go keeps the hashes of past positions: eight bytes a ply.
BYTES |= {"go": 440, "go_9x9": 340, "go_19x19": 840, "gomoku": 30, "hex": 27}
# Games in which a match may be cut short.
CUT_SHORT = {"generals", "go", "go_9x9", "go_19x19"}


@pytest.fixture(scope="module", params=SPECS, ids=str)
def game(request: pytest.FixtureRequest) -> Game[Any]:
    spec, options = request.param
    return make(spec, **options)


@pytest.fixture(scope="module")
def plies(game: Game[Any]) -> list[Played]:
    return list(play_randomly(game, MATCHES, seed=3))


def test_every_bundled_game_is_here() -> None:
    # Clobber is in plain Python: tests/adapters compares it with its twin in JAX.
    assert {spec for spec, _ in SPECS} >= set(game_names()) - {"clobber"}


def test_results_are_zero_sum_and_bounded(plies: list[Played]) -> None:
    returns = np.stack([ply.returns for ply in plies])
    np.testing.assert_array_equal(returns.sum(axis=-1), 0)
    assert set(np.unique(returns)) <= {-1.0, 0.0, 1.0}


def test_a_match_that_goes_on_has_a_legal_action(plies: list[Played]) -> None:
    for ply in plies:
        assert (ply.mask.any(axis=-1) | ply.over).all()
        chosen = ply.mask[np.arange(MATCHES), ply.actions]
        assert (chosen | ply.over).all()


def test_matches_end_by_the_rules(game: Game[Any], plies: list[Played]) -> None:
    assert plies[-1].over.all()
    if game.name not in CUT_SHORT:
        assert jax.vmap(game.is_terminal)(plies[-1].states).all()
    assert len(plies) - 1 <= game.max_plies


def test_the_same_seed_gives_the_same_matches(game: Game[Any], plies: list[Played]) -> None:
    again = list(play_randomly(game, MATCHES, seed=3))
    assert len(again) == len(plies)
    for first, second in zip(plies, again, strict=True):
        np.testing.assert_array_equal(first.actions, second.actions)
        np.testing.assert_array_equal(first.observation, second.observation)


def test_observation_shows_own_and_opponents_pieces_apart(
    game: Game[Any], plies: list[Played]
) -> None:
    for ply in plies if game.name in PIECES else []:
        own, opponent = (
            ply.observation[..., np.atleast_1d(np.array(planes))].sum(axis=-1)
            for planes in PIECES[game.name]
        )
        assert ((own == 0) | (opponent == 0)).all()
        assert (own <= 1).all() and (opponent <= 1).all()


def test_states_are_small(game: Game[Any]) -> None:
    leaves = jax.tree.leaves(game.init(jax.random.key(0)))
    # One is stored in every node of every tree.
    assert sum(leaf.nbytes for leaf in leaves) <= BYTES.get(game.name, 20)


def test_dtypes_are_never_promoted(game: Game[Any]) -> None:
    with jax.numpy_dtype_promotion("strict"):
        state = jax.eval_shape(game.init, jax.random.key(0))
        after = jax.eval_shape(game.step, state, jnp.int32(0))
    assert [leaf.dtype for leaf in jax.tree.leaves(after)] == [
        leaf.dtype for leaf in jax.tree.leaves(state)
    ]


def test_symmetries_are_distinct_permutations(game: Game[Any]) -> None:
    permutations = {tuple(symmetry.permutation) for symmetry in game.symmetries()}
    assert len(permutations) == len(game.symmetries())
    assert bool(permutations) == (game.name not in WITHOUT_SYMMETRY)
    identity = tuple(range(game.num_actions))
    assert identity not in permutations
    assert all(sorted(permutation) == list(identity) for permutation in permutations)


def test_symmetries_change_nothing(game: Game[Any], plies: list[Played]) -> None:
    """The law: mapping, then stepping is stepping, then mapping; all else follows from it."""
    on = plies[:-1]
    states = jax.tree.map(lambda *leaves: jnp.concatenate(leaves), *[ply.states for ply in on])
    finals = jax.tree.map(lambda leaf: jnp.concatenate([leaf] * len(on)), plies[-1].states)
    actions = np.concatenate([ply.actions for ply in on])
    live = ~np.concatenate([ply.over for ply in on])

    def look(state: Any, action: Any, final: Any) -> tuple[Any, dict[str, Any]]:
        return game.step(state, action), {
            "mask": game.legal_action_mask(state),
            "same": (
                game.current_player(state),
                game.is_terminal(state),
                game.returns(state),
                game.returns(final),
            ),
            "targets": game.auxiliary_targets(state, final),
        }

    look = jax.jit(jax.vmap(look))
    stepped, plain = look(states, actions, finals)
    for symmetry in game.symmetries():
        permutation = np.array(symmetry.permutation, np.int32)
        image_of = jax.jit(jax.vmap(symmetry.map_state))
        stepped_after, mapped = look(image_of(states), permutation[actions], image_of(finals))
        jax.tree.map(
            lambda one, other: np.testing.assert_array_equal(one[live], other[live]),
            jax.device_get(image_of(stepped)),
            jax.device_get(stepped_after),
        )
        np.testing.assert_array_equal(mapped["mask"][:, permutation], plain["mask"])
        jax.tree.map(np.testing.assert_array_equal, plain["same"], mapped["same"])
        assert plain["targets"].keys() == mapped["targets"].keys()
        for name, target in plain["targets"].items():
            assert (np.abs(target) <= 1).all()
            flat = np.asarray(target).reshape(len(target), -1)
            image = np.asarray(mapped["targets"][name]).reshape(len(target), -1)
            if flat.shape[1] > 1 and game.name in CELLS_ARE_ACTIONS:
                image = image[:, permutation[: flat.shape[1]]]
            if flat.shape[1] > 1 and game.name not in CELLS_ARE_ACTIONS:
                flat, image = np.sort(flat), np.sort(image)
            # A sum in another order is equal up to rounding.
            np.testing.assert_allclose(image, flat, atol=1e-6)


def test_auxiliary_targets_are_those_declared(game: Game[Any], plies: list[Played]) -> None:
    one = jax.tree.map(lambda leaf: leaf[0], plies[0].states)
    targets = jax.eval_shape(game.auxiliary_targets, one, one)
    assert targets.keys() == TARGETS.get(game.name, set())
