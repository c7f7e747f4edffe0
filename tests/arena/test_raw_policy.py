"""Agents without simulations play the network's likeliest move, and no tree is ever made."""

import importlib
from typing import Any

import jax
import mctx
import pytest

from selfplay.arena import SearchAgent, play_matches
from selfplay.game import Game, start
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.mcts import Evaluation, random_playout_evaluator, search
from selfplay.settings.sections import SearchConfig
from tests.dice import Storm

RAW = SearchConfig(num_simulations=0)


@pytest.mark.parametrize("game", [TicTacToe(), Storm()], ids=lambda one: one.name)
def test_no_tree_is_made_without_simulations(
    game: Game[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*arguments: Any, **more: Any) -> None:
        raise AssertionError("a tree is searched")

    # Every search begins with one of these, while it is traced.
    monkeypatch.setattr(mctx, "search", refuse)
    for begin in ("chance_tree_search", "compact_search"):
        monkeypatch.setattr(importlib.import_module("selfplay.mcts.search"), begin, refuse)
    evaluate = random_playout_evaluator(game)
    agent = SearchAgent("raw", game, evaluate, (), RAW, batch_size=2)
    assert len(play_matches(game, agent, agent, num_matches=2).matches) == 2
    searched = SearchAgent("two", game, evaluate, (), SearchConfig(num_simulations=2), batch_size=2)
    with pytest.raises(AssertionError, match="a tree is searched"):
        play_matches(game, searched, searched, num_matches=2)


def test_one_evaluation_is_all_that_is_compiled() -> None:
    game = TicTacToe()
    evaluations = []

    def counted(params: Any, states: Any, *, key: Any) -> Any:
        evaluations.append(states)
        batch = states.player.shape[0]
        zeros = jax.numpy.zeros((batch, 9))
        return Evaluation(policy_logits=zeros, value=zeros[:, 0])

    positions = jax.vmap(lambda key: start(game, key))(jax.random.split(jax.random.key(0), 4))
    traced = jax.make_jaxpr(
        lambda: search(game, counted, (), positions, RAW.for_matches(), key=jax.random.key(1))
    )()
    assert len(evaluations) == 1
    assert "while" not in str(traced) and "scan" not in str(traced)
