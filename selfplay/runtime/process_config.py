"""The settings of a run as one process uses them: with what computes the network on its machine."""

from collections.abc import Callable, Mapping
from typing import Any

from selfplay.inference import instead_of, usable_here
from selfplay.settings import Config


def process_config(
    config: Config,
    asked: Mapping[str, Mapping[str, Any]],
    *,
    named: str,
    say: Callable[[str], None] = lambda text: None,
) -> Config:
    """Returns `config` with `search.inference` as this process uses it.

    What was asked of this process comes first, then what the run names. If this machine cannot
    use that, "auto" takes its place, and `say` is told.

    Args:
        config: the settings in force.
        asked: settings that were asked of this process, by section and key; only
            `search.inference` counts here.
        named: `search.inference` in the settings of the run.
        say: shows a line.

    Raises:
        ConfigError: what was asked for is no value of `search.inference`.
    """
    kind = asked.get("search", {}).get("inference")
    if kind is None:
        kind, problem = usable_here(named, config.network)
        if problem:
            say(instead_of(named, problem))
    return config.updated({"search": {"inference": kind}})
