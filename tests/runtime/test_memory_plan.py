"""The memory plan: what it says is what is taken, and too much is refused before it is."""

import dataclasses
import functools
import importlib
from typing import Any

import jax
import numpy as np
import pytest

from selfplay.errors import ConfigError
from selfplay.networks import build_network
from selfplay.registry import make
from selfplay.replay import ReplayWindow
from selfplay.runtime.memory_plan import (
    MemoryPlan,
    choose_plies,
    compact_tree_bytes,
    plan_memory,
    tree_bytes,
)
from selfplay.settings import Config

GAME = make("connect_four")


def plan(settings: dict[str, dict[str, Any]] | None = None) -> MemoryPlan:
    config = Config().updated(settings or {})
    return plan_memory(GAME, build_network(GAME, config.network), config)


def test_the_tree_is_as_large_as_the_one_mctx_makes(monkeypatch: pytest.MonkeyPatch) -> None:
    import mctx

    from selfplay.mcts import search, uniform_evaluator
    from selfplay.settings.sections import SearchConfig
    from tests.mcts.helpers import first_positions

    sizes = []
    original = mctx.search

    def weighed(*args: object, **keywords: object) -> mctx.Tree:
        tree = original(*args, **keywords)
        leaves = [
            leaf
            for field in dataclasses.fields(tree)
            if field.name not in ("root_invalid_actions", "extra_data")
            for leaf in jax.tree.leaves(getattr(tree, field.name))
        ]
        sizes.append(sum(leaf.size * leaf.dtype.itemsize for leaf in leaves))
        return tree

    monkeypatch.setattr(mctx, "search", weighed)
    positions = first_positions(GAME, 4)
    jax.eval_shape(
        lambda positions: search(
            GAME, uniform_evaluator(GAME), (), positions,
            SearchConfig(num_simulations=16, tree="mctx"), key=jax.random.key(0),
        ),
        positions,
    )  # fmt: skip
    state_bytes = 16
    assert 4 * tree_bytes(7, 16, state_bytes) == pytest.approx(sizes[0], rel=0.02)


@pytest.mark.parametrize("kept", [0, 3])
def test_the_compact_tree_is_as_large_as_planned(kept: int) -> None:
    from selfplay.mcts import uniform_evaluator
    from selfplay.settings.sections import SearchConfig
    from tests.mcts.helpers import first_positions

    module = importlib.import_module("selfplay.mcts.search")
    config = SearchConfig(num_simulations=16, proven="visited", max_children=kept)
    _, tree = jax.eval_shape(
        functools.partial(module._search, GAME, uniform_evaluator(GAME), (), config=config),
        first_positions(GAME, 4),
        key=jax.random.key(0),
    )
    size = sum(leaf.size * leaf.dtype.itemsize for leaf in jax.tree.leaves(tree))
    state_bytes = 16
    assert 4 * compact_tree_bytes(7, 16, state_bytes, kept) == pytest.approx(size, rel=0.03)
    # What the plan of a run says follows the settings.
    alone = plan({"search": {"max_children": kept}}).tree
    assert alone < plan({"search": {"tree": "mctx"}}).tree / 2
    # Where searches end early, the others go on in a batch of half the size.
    ends_early = plan({"search": {"proven": "visited", "max_children": kept}}).tree
    assert ends_early == pytest.approx(1.5 * alone, rel=1e-3)


@pytest.mark.parametrize("side_positions", [False, True])
def test_the_replay_window_is_as_large_as_planned(side_positions: bool) -> None:
    small = Config().updated({"replay": {"max_window": 40_000}})
    window = ReplayWindow(GAME, small.replay, side_positions=side_positions)
    held = [*vars(window).values(), *(vars(window._sides).values() if window._sides else ())]
    taken = sum(
        leaf.nbytes
        for value in held
        for leaf in jax.tree.leaves(value)
        if isinstance(leaf, np.ndarray)
    )
    settings: dict[str, dict[str, Any]] = {
        "replay": {"max_window": 40_000},
        "rollout": {"side_positions": side_positions},
    }
    planned = plan(settings).replay
    assert planned == pytest.approx(taken, rel=0.01)


def test_everything_grows_with_what_makes_it_grow() -> None:
    one = plan()
    assert plan({"rollout": {"matches_per_device": 128}}).tree == 2 * one.tree
    assert plan({"search": {"num_simulations": 128}}).tree > 3.5 * one.tree
    assert plan({"network": {"channels": 128}}).activations == 4 * one.activations
    assert plan({"learner": {"batch_size": 1024}}).learner > 4 * one.learner
    assert one.matches == 64 * len(jax.local_devices())
    assert one.to_dict()["device"] == one.tree + one.activations + one.learner
    one.check()


def test_too_much_is_refused_with_the_largest_part_named() -> None:
    with pytest.raises(ConfigError, match="GB of host memory, but there are") as caught:
        plan({"replay": {"max_window": 10_000_000_000}}).check()
    assert caught.value.hint.startswith("lower replay.max_window: search tree of")
    with pytest.raises(ConfigError, match="of host memory") as caught:
        plan({"rollout": {"matches_per_device": 100_000_000}}).check()
    assert caught.value.hint.startswith("lower rollout.matches_per_device")


def test_a_worker_needs_neither_an_optimiser_nor_a_replay_window() -> None:
    config = Config().updated({"replay": {"max_window": 10_000_000_000}})
    network = build_network(GAME, config.network)
    with pytest.raises(ConfigError, match="of host memory"):
        plan_memory(GAME, network, config).check()
    worker = plan_memory(GAME, network, config, learns=False)
    worker.check()
    assert (worker.tree, worker.activations) == (plan().tree, plan().activations)
    assert 0 < worker.learner < plan().learner
    assert worker.replay == 0
    assert "weights" in str(worker)
    assert "replay window" not in str(worker)


def test_an_accelerator_has_memory_of_its_own() -> None:
    card = dataclasses.replace(plan(), shared=False, capacity_device=10_000_000)
    with pytest.raises(ConfigError, match=r"on its devices, but they have 0\.0 GB"):
        card.check()
    dataclasses.replace(card, capacity_device=10_000_000_000).check()
    dataclasses.replace(card, capacity_device=None).check()


def test_a_cpu_plays_as_many_matches_as_ever() -> None:
    assert plan().choice == "64 matches a device: the usual number for CPU cores"
    set_by_hand = plan({"rollout": {"matches_per_device": 16}})
    assert set_by_hand.matches == 16 * len(jax.local_devices())
    assert set_by_hand.choice == "16 matches a device: rollout.matches_per_device says so"
    assert str(set_by_hand).endswith(f" ({set_by_hand.choice})")


def plies(settings: Any, *, remembers: bool = True, game: Any = GAME, platform: str = "cpu") -> int:
    config = Config().updated({"rollout": {"matches_per_device": 64}}).updated(settings)
    network = build_network(game, config.network)
    return choose_plies(game, network, config, remembers=remembers, platform=platform)


def test_chunks_are_long_where_nothing_is_computed_twice_and_soon_over() -> None:
    assert plies({}) == 32
    assert plies({}, remembers=False) == 8
    assert plies({"search": {"num_simulations": 64}}) == 16
    assert plies({"network": {"channels": 128}}) == 8
    assert plies({"search": {"num_simulations": 2}}) == 32
    # Rules and tree take the time in these.
    assert plies({}, game=make("othello")) == 8
    assert plies({}, game=make("clobber", rows=2, columns=2)) == 8
    # A few simulations take little time everywhere.
    few = {"search": {"num_simulations": 4}}
    for game in (GAME, make("othello"), make("clobber", rows=2, columns=2)):
        assert plies(few, game=game) == plies(few, game=game, remembers=False) == 32
    assert plies(few, remembers=False, platform="gpu") == 32
    assert plies({"search": {"num_simulations": 16}}, remembers=False) == 16
    many = {"rollout": {"matches_per_device": 1024}}
    assert plies({**few, **many}, remembers=False, platform="gpu") == 8
    for remembers in (False, True):
        assert plies({"rollout": {"plies_per_chunk": 3}}, remembers=remembers) == 3


def test_chunks_of_a_large_network_in_floating_point_numbers_are_short() -> None:
    large = {"network": {"channels": 128, "blocks": 6}, "search": {"num_simulations": 128}}
    assert plies(large, remembers=False) == 1
    assert plies({"network": {"channels": 64}}, remembers=False) in (2, 4)
    assert plies(large, remembers=False, platform="gpu") == 8


class Card:
    """An accelerator with so much memory."""

    platform = "gpu"

    def __init__(self, memory: float | None) -> None:
        self._stats = None if memory is None else {"bytes_limit": int(memory)}

    def memory_stats(self) -> dict[str, int] | None:
        return self._stats


@pytest.mark.parametrize(
    ("memory", "simulations", "count", "reason"),
    [
        (80e9, 32, 4096, "25 kB each on a gpu with 80.0 GB, which has room for more"),
        # Half of what is usable, without 23 MB for updates, holds 585 and 347 of them.
        (320e6, 2048, 512, "226 kB each on a gpu with 320 MB, as many as fit into half of it"),
        (200e6, 2048, 256, "226 kB each on a gpu with 200 MB, as many as fit into half of it"),
        (50e6, 2048, 64, "226 kB each on a gpu with 50 MB, fewer would leave it idle"),
        (None, 32, 256, "the gpu does not say what memory it has"),
    ],
)
def test_an_accelerator_plays_as_many_matches_as_its_memory_holds(
    monkeypatch: pytest.MonkeyPatch,
    memory: float | None,
    simulations: int,
    count: int,
    reason: str,
) -> None:
    monkeypatch.setattr(jax, "local_devices", lambda: [Card(memory)])
    found = plan({"search": {"num_simulations": simulations}})
    assert found.matches == count
    assert reason in found.choice
    assert plan({"rollout": {"matches_per_device": 8}}).matches == 8
