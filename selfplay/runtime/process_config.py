"""The settings of a run for one process, with the inference backend of its machine."""

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

    The settings of this process take precedence over those of the run. If this machine cannot use
    the backend of the run, it uses "auto" and calls `say`.

    Args:
        config: the settings in force.
        asked: the settings of this process, by section and key; only `search.inference` matters
            here.
        named: `search.inference` in the settings of the run.
        say: shows a line.

    Raises:
        ConfigError: `search.inference` in `asked` has an invalid value.
    """
    kind = asked.get("search", {}).get("inference")
    if kind is None:
        kind, problem = usable_here(named, config.network)
        if problem:
            say(instead_of(named, problem))
    return config.updated({"search": {"inference": kind}})
