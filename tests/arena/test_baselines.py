"""Every bundled game has all fixed opponents that apply to it."""

import pytest

from selfplay.arena import SolverAgent, has_solver, make_agent, play_matches
from selfplay.errors import ConfigError
from selfplay.registry import game_names, make


@pytest.mark.slow
@pytest.mark.parametrize("name", game_names())
def test_the_baselines_of_a_game_play(name: str) -> None:
    game = make(name)
    random = make_agent("random", game, batch_size=1)
    for text in ("random", "mcts:4"):
        table = play_matches(game, make_agent(text, game, batch_size=1), random, num_matches=2)
        assert table.wins + table.draws + table.losses == 2
        assert table.agents == (text, "random")
    if not has_solver(game):
        with pytest.raises(ConfigError, match="has no solver"):
            make_agent("solver", game)
        return
    solver = make_agent("solver", game, batch_size=1)
    assert isinstance(solver, SolverAgent)
    if solver.knows_the_start:
        assert play_matches(game, solver, random, num_matches=4).losses == 0
