"""Agents that a benchmark names, with the rules that they were trained for."""

from typing import Any

_WITHOUT_A_RUN = ("random", "mcts:", "solver")


def agent_and_game(name: str, usual: Any) -> tuple[Any, Any]:
    """Returns the agent of a name, and its game.

    Args:
        name: a baseline, or RUN[@UPDATE][:SIMULATIONS].
        usual: the game of baselines. That of a run may have other options.
    """
    from selfplay.arena import load_run_agent, make_agent

    if name.startswith(_WITHOUT_A_RUN):
        return make_agent(name, usual), usual
    agent = load_run_agent(name)
    return agent, agent.game
