"""Agents: what they choose, what they say, and how they are named."""

import dataclasses
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from selfplay.arena import (
    Agent,
    Analyst,
    RandomAgent,
    SearchAgent,
    SolverAgent,
    analyse_one,
    load_run_agent,
    make_agent,
    mcts_agent,
    play_matches,
)
from selfplay.arena.batches import fixed_batches, stack
from selfplay.errors import CheckpointError, ConfigError, RunError
from selfplay.games.connect_four import ConnectFour
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.mcts import Evaluation
from selfplay.networks import build_network
from selfplay.play import play_text
from selfplay.registry import GameSpec, make
from selfplay.run import RunDirectory
from selfplay.settings import Config
from selfplay.settings.sections import NetworkConfig, SearchConfig
from tests.arena.toys import Tally, always
from tests.mcts.helpers import random_positions

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def game():
    return TicTacToe()


def positions(game, *texts):
    return stack([play_text(game, text).position for text in texts])


@pytest.fixture(scope="module")
def run(game, tmp_path_factory):
    """Returns a run of tic-tac-toe with two checkpoints, the second with a further head."""
    path = tmp_path_factory.mktemp("runs") / "ttt"
    config = dataclasses.replace(
        Config(),
        network=NetworkConfig(kind="mlp", channels=8, blocks=1),
        search=SearchConfig(num_simulations=8),
    )
    directory = RunDirectory.create(path, GameSpec("tic_tac_toe"), game, config)
    for update, next_policy in ((0, False), (10, True)):
        network = build_network(game, config.network, next_policy=next_policy)
        weights = network.init(key=jax.random.key(update))
        directory.checkpoints.save(update, {"weights": weights})
    return path


def test_batches_have_one_size_and_keep_the_order(game):
    five = positions(game, "", "0", "0 1", "0 1 2", "0 1 2 3")
    batches = list(fixed_batches(five, 2))
    assert [batch.meant for batch in batches] == [2, 2, 1]
    assert [batch.positions.ply.tolist() for batch in batches] == [[0, 1], [2, 3], [4, 4]]


def test_random_chooses_every_legal_action_equally_often(game):
    agent = RandomAgent(game, batch_size=64)
    actions = agent.select(positions(game, *["0 4 8"] * 600), key=KEY)
    counts = np.bincount(actions, minlength=9)
    assert counts[[0, 4, 8]].sum() == 0 and actions.dtype == np.int32
    assert counts[[1, 2, 3, 5, 6, 7]].min() > 60


def test_random_depends_on_the_key_alone(game):
    agent = RandomAgent(game)
    board = positions(game, *[""] * 50)
    first, again, other = (agent.select(board, key=jax.random.key(seed)) for seed in (0, 0, 1))
    assert (first == again).all() and (first != other).any()


def test_no_agent_chooses_an_illegal_action(game):
    lines = ["", "4", "0 1 2 4 3 5", "0 1 2 4 3 5 7 6"]
    legal = [play_text(game, line).legal for line in lines]
    for agent in (RandomAgent(game), SolverAgent(game), mcts_agent(game, 4, batch_size=4)):
        for action, allowed in zip(
            agent.select(positions(game, *lines), key=KEY), legal, strict=True
        ):
            assert action in allowed


def test_no_agent_chooses_an_illegal_action_in_ten_thousand_positions(game):
    count = 10_000
    board = random_positions(game, count, seed=4)
    legal = np.asarray(jax.vmap(game.legal_action_mask)(board.state))
    assert (~legal).any(axis=1).sum() > count // 2

    def wishes(params, states, *, key):
        # Whatever is illegal is wanted most.
        mask = jax.vmap(game.legal_action_mask)(states)
        return Evaluation(policy_logits=jnp.where(mask, 0.0, 1e6), value=jnp.zeros(mask.shape[0]))

    search = SearchAgent("s", game, wishes, {}, SearchConfig(num_simulations=2), batch_size=1000)
    for agent in (RandomAgent(game, batch_size=1000), mcts_agent(game, 2, batch_size=1000), search):
        actions = agent.select(board, key=KEY)
        assert legal[np.arange(count), actions].all(), agent.name


def test_the_solver_knows_value_and_best_moves(game):
    wins, drawn = SolverAgent(game).analyse(positions(game, "0 3 1 4", ""), key=KEY)
    assert (wins.action, wins.value, wins.policy[2]) == (2, 1.0, 1.0)
    assert drawn.value == 0.0 and drawn.policy == pytest.approx(np.full(9, 1 / 9))


def test_the_solver_varies_its_best_moves(game):
    actions = SolverAgent(game).select(positions(game, *[""] * 60), key=KEY)
    assert len(set(actions.tolist())) == 9


def test_a_search_of_no_simulations_plays_the_likeliest_legal_move(game):
    def prefers_high_numbers(params, states, *, key):
        batch = states.player.shape[0]
        logits = jax.numpy.broadcast_to(jax.numpy.arange(9.0) * params, (batch, 9))
        return Evaluation(policy_logits=logits, value=jax.numpy.full(batch, 0.25))

    config = SearchConfig(num_simulations=0)
    agent = SearchAgent("high", game, prefers_high_numbers, np.float32(1), config, batch_size=2)
    assert agent.select(positions(game, "", "8", "8 7"), key=KEY).tolist() == [8, 7, 6]
    analysis = analyse_one(agent, play_text(game, "8").position, key=KEY)
    assert analysis.value == analysis.raw_value == 0.25
    assert analysis.policy == pytest.approx(analysis.raw_policy)
    low = agent.with_params("low", np.float32(-1))
    assert low.name == "low" and low.select(positions(game, "0"), key=KEY).tolist() == [1]
    assert agent.name == "high" and agent.select(positions(game, "0"), key=KEY).tolist() == [8]


def test_agents_are_agents(game):
    for agent in (RandomAgent(game), SolverAgent(game), mcts_agent(game, 4)):
        assert isinstance(agent, Agent) and isinstance(agent, Analyst)
    assert isinstance(always(0, game), Agent) and not isinstance(always(0, game), Analyst)


def test_names_of_agents(game):
    assert isinstance(make_agent("random", game), RandomAgent)
    assert isinstance(make_agent("solver", game), SolverAgent)
    mcts = make_agent("mcts:50", game)
    assert isinstance(mcts, SearchAgent)
    assert mcts.name == "mcts:50"
    assert (mcts.config.algorithm, mcts.config.num_simulations) == ("uct", 50)


@pytest.mark.parametrize("text", ["mcts", "mcts:", "mcts:0", "mcts:1", "mcts:x", "mcts:-5"])
def test_bad_numbers_of_simulations(game, text):
    with pytest.raises(ConfigError, match=f"agent is '{text}', but the simulations of mcts must"):
        make_agent(text, game)


@pytest.mark.parametrize("text", ["grandmaster", "nowhere/run", "nowhere/run@3:64", "nowhere:64"])
def test_an_unknown_agent_is_told_the_forms(game, text):
    with pytest.raises(ConfigError, match="but there is no such agent or run") as caught:
        make_agent(text, game)
    assert caught.value.hint == (
        "an agent is random, mcts:200, solver, or RUN[@UPDATE][:simulations]"
    )


def test_a_game_without_a_solver():
    with pytest.raises(ConfigError, match="agent is 'solver', but tally has no solver"):
        make_agent("solver", Tally())


def test_a_run_is_an_agent(game, run):
    newest = make_agent(f"{run}", game, batch_size=4)
    assert newest.name == f"{run}@10:8"
    first = make_agent(f"{run}@0:0", game, batch_size=4)
    assert first.name == f"{run}@0:0"
    board = positions(game, "", "4", "0 8")
    # The raw network of update 0 is what its weights say, whatever the search.
    network = build_network(game, NetworkConfig(kind="mlp", channels=8, blocks=1))
    prediction = network.apply(
        network.init(key=jax.random.key(0)), jax.vmap(game.observe)(jax.device_put(board.state))
    )
    values = [analysis.raw_value for analysis in first.analyse(board, key=KEY)]
    assert values == pytest.approx(prediction.value.tolist(), abs=1e-6)
    table = play_matches(game, newest, first, num_matches=4, opening_plies=1)
    assert table.agents == (newest.name, first.name)


def test_an_agent_searches_as_in_the_evaluations_of_its_run(game, run, tmp_path):
    assert load_run_agent(str(run)).name.endswith("@10:8")
    earlier = RunDirectory.open(run)
    config = earlier.config.updated({"evaluation": {"simulations": 6}})
    directory = RunDirectory.create(tmp_path / "six", GameSpec("tic_tac_toe"), game, config)
    network = build_network(game, config.network)
    directory.checkpoints.save(0, {"weights": network.init(key=jax.random.key(0))})
    assert load_run_agent(str(directory.path)).name.endswith("@0:6")
    assert load_run_agent(f"{directory.path}:4").name.endswith("@0:4")


def test_a_run_brings_its_own_game(run):
    agent = load_run_agent(f"{run}@0:4")
    assert agent.game.name == "tic_tac_toe" and agent.config.gumbel_scale == 0


def test_what_computes_the_network_of_a_run(run, tmp_path, monkeypatch):
    board = positions(make("tic_tac_toe"), "", "4")

    def value(agent):
        return [analysis.raw_value for analysis in agent.analyse(board, key=KEY)]

    said: list[str] = []
    usual = load_run_agent(f"{run}:0", batch_size=2)
    onnx = load_run_agent(f"{run}:0", batch_size=2, inference="onnx", say=said.append)
    assert value(onnx) == pytest.approx(value(usual), abs=1e-5)
    # A run that names it, on a machine without ONNX Runtime.
    named = shutil.copytree(run, tmp_path / "named")
    text = (named / "run.toml").read_text()
    (named / "run.toml").write_text(text.replace('inference = "auto"', 'inference = "onnx"'))
    monkeypatch.setattr("selfplay.inference.onnx_backend._PACKAGES", ("no_such_package",))
    assert said == []
    assert value(load_run_agent(f"{named}:0", batch_size=2, say=said.append)) == value(usual)
    assert said == [
        "the run has search.inference = onnx, but here ONNX Runtime is not installed: auto takes "
        "its place, which is xla"
    ]
    with pytest.raises(ConfigError, match="'onnx', but ONNX Runtime is not installed"):
        load_run_agent(f"{named}:0", inference="onnx")


def test_runs_that_cannot_play(game, run, tmp_path):
    with pytest.raises(CheckpointError, match="tic_tac_toe, but the game is connect_four"):
        make_agent(f"{run}", ConnectFour())
    with pytest.raises(CheckpointError, match="has no checkpoint 7"):
        make_agent(f"{run}@7", game)
    with pytest.raises(CheckpointError, match="'new' is not an update number"):
        make_agent(f"{run}@new", game)
    with pytest.raises(RunError, match="is not a selfplay run"):
        make_agent(f"{tmp_path}", game)
    with pytest.raises(ConfigError, match=r"search\.num_simulations is 1"):
        make_agent(f"{run}:1", game)


def test_a_checkpoint_of_another_network_is_refused(game, run):
    directory = RunDirectory.open(run)
    network = build_network(game, NetworkConfig(kind="mlp", channels=16, blocks=1))
    directory.checkpoints.save(5, {"weights": network.init(key=KEY)})
    try:
        with pytest.raises(CheckpointError, match="but its network needs"):
            make_agent(f"{run}@5", game)
    finally:
        directory.checkpoints.prune(keep_last=1, pinned=(0,))
