"""Settings that had another name in an earlier version, which is still read."""

import warnings
from collections.abc import Mapping
from typing import Any

from selfplay.errors import ConfigError, EarlierVersionWarning

RENAMED: dict[str, str] = {"trainer.reuse": "trainer.replay_ratio"}
"""The earlier name of a setting to its name now."""


def current_name(name: str, *, source: str) -> str:
    """Returns what the setting `name` ("section.key") is called now; warns of an earlier name.

    Args:
        name: a setting under its name now or an earlier one, or anything else.
        source: where it was written, for the warning.
    """
    if name not in RENAMED:
        return name
    warnings.warn(rename_note(name, source=source), EarlierVersionWarning, stacklevel=2)
    return RENAMED[name]


def rename_note(name: str, *, source: str) -> str:
    """Returns what to tell people who use the earlier name of a setting."""
    return f"{name} is now called {RENAMED[name]}; the earlier name is still read ({source})"


def renamed_in(settings: Mapping[str, Any]) -> list[str]:
    """Returns the earlier names in `settings` (section to key to value)."""
    return [name for name in RENAMED if _holds(settings, name)]


def with_current_names(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Returns `settings` (section to key to value) with every earlier name replaced.

    Raises:
        ConfigError: a setting is there under both names.
    """
    current = dict(settings)
    for name in renamed_in(settings):
        if _holds(settings, RENAMED[name]):
            raise both_names(name)
        (section, key), (new_section, new_key) = name.split("."), RENAMED[name].split(".")
        values = dict(current[section])
        value = values.pop(key)
        current[section] = values
        current[new_section] = {**current.get(new_section, {}), new_key: value}
    return current


def both_names(name: str) -> ConfigError:
    """Returns the error for a setting that was given under its earlier and its present name."""
    return ConfigError(
        f"{name} and {RENAMED[name]} are two names of one setting, but both are given",
        hint=f"leave out {name}, which is the earlier name",
    )


def _holds(settings: Mapping[str, Any], name: str) -> bool:
    section, key = name.split(".")
    values = settings.get(section)
    return isinstance(values, Mapping) and key in values
