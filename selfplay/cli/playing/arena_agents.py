"""The two agents of `selfplay arena`, each with its time for a move if it has one."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from selfplay.cli.live_line import LiveLine

if TYPE_CHECKING:
    from selfplay.arena import Agent
    from selfplay.game import Game

_LONGEST = 3600.0


def parse_times(text: str | None) -> tuple[float | None, float | None]:
    """Returns the seconds that each of two agents has for a move, None for no such limit.

    Raises:
        ConfigError: the text is not one or two numbers above 0.
    """
    from selfplay.errors import ConfigError

    if text is None:
        return None, None
    try:
        times = [float(part) for part in text.split(",")]
    except ValueError:
        times = []
    if len(times) not in (1, 2) or not all(0 < seconds <= _LONGEST for seconds in times):
        raise ConfigError(
            f"--seconds-per-move is {text!r}, but must be one or two numbers above 0, at most "
            f"{_LONGEST:.0f}",
            hint="0.1 gives each agent a tenth of a second, 0.1,0.5 the second one more",
        )
    return times[0], times[-1]


def make_agents(
    texts: Sequence[str],
    game: "Game[Any]",
    *,
    batch_size: int,
    engines: int,
    inference: str | None,
    times: Sequence[float | None],
    line: LiveLine,
) -> "tuple[list[Agent], dict[str, Any]]":
    """Returns the agents that were typed, and what the result says of their time, if anything."""
    from selfplay.arena import parse_opponent
    from selfplay.arena.equal_time import agent_in_time

    agents: list[Agent] = []
    told: list[dict[str, Any]] = []
    for text, seconds in zip(texts, times, strict=True):
        if seconds is None:
            agents.append(
                parse_opponent(
                    text,
                    game,
                    batch_size=batch_size,
                    processes=engines,
                    inference=inference,
                    say=line.note,
                )
            )
            continue
        line.show(f"counting the simulations of {text} in {seconds:g} s a move")
        timed = agent_in_time(
            text,
            game,
            seconds,
            batch_size=batch_size,
            processes=engines,
            inference=inference,
            say=line.note,
        )
        agents.append(timed.agent)
        told.append(
            {
                "agent": timed.agent.name,
                "seconds": seconds,
                "simulations": timed.simulations,
                "measured_seconds": timed.seconds,
            }
        )
    return agents, {"time": told} if told else {}
