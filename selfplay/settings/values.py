"""Turning what people write (TOML, environment, flags) into typed settings."""

import difflib
import math
from collections.abc import Callable, Mapping
from typing import Any

from selfplay.errors import ConfigError

_RULES: dict[Any, str] = {
    bool: "true or false",
    int: "a whole number",
    float: "a finite number",
    str: "text",
    tuple[str, ...]: "a list of texts",
}


def convert(name: str, value: object, kind: Any) -> Any:
    """Returns `value`, already typed (TOML, JSON), as the setting `name` of type `kind` needs it.

    A whole number is accepted where a fraction is asked for; nothing else is converted.

    Raises:
        ConfigError: the value has another type.
    """
    is_number = isinstance(value, int | float) and not isinstance(value, bool)
    if kind is float and is_number and math.isfinite(float(value)):  # type: ignore[arg-type]
        return float(value)  # type: ignore[arg-type]
    if kind is int and is_number and isinstance(value, int):
        return value
    if kind in (bool, str) and isinstance(value, kind):
        return value
    is_list = isinstance(value, list | tuple) and all(isinstance(item, str) for item in value)
    if kind == tuple[str, ...] and is_list:
        return tuple(value)  # type: ignore[arg-type]
    raise ConfigError(f"{name} is {value!r}, but must be {_RULES[kind]}")


def parse(name: str, text: str, kind: Any, *, source: str) -> Any:
    """Returns the value that `text` (a flag, an environment variable) means for a setting.

    Lists are separated by commas.

    Args:
        name: "section.key".
        text: what was written.
        kind: the annotated type of the setting.
        source: where it was written, for the message.

    Raises:
        ConfigError: the text does not mean a value of this type.
    """
    try:
        return convert(name, _PARSERS[kind](text.strip()), kind)
    except (ConfigError, ValueError):
        raise ConfigError(
            f"{name} is {text!r}, but must be {_RULES[kind]}", hint=f"it was set by {source}"
        ) from None


def not_a_setting(name: str, keys: Mapping[str, Mapping[str, Any]]) -> ConfigError:
    """Returns the error for a name that is no setting, with the nearest one as a hint.

    Args:
        name: what was written: "section" or "section.key".
        keys: section to key to anything.
    """
    section, dot, key = name.partition(".")
    if not dot:
        near = difflib.get_close_matches(section, keys, n=1)
        return ConfigError(
            f"{name} is not a section of the settings",
            hint=f"did you mean {near[0]}?" if near else f"the sections are: {', '.join(keys)}",
        )
    near_sections = difflib.get_close_matches(section, keys, n=1)
    candidates = []
    if near_sections:
        own = near_sections[0]
        candidates = [f"{own}.{k}" for k in difflib.get_close_matches(key, keys[own], n=1)]
    # The right key in the wrong section is as common as a typing error.
    candidates += [f"{other}.{key}" for other in keys if key in keys[other]]
    everything = [f"{other}.{k}" for other in keys for k in keys[other]]
    candidates += difflib.get_close_matches(name, everything, n=1)
    if candidates:
        hint = f"did you mean {candidates[0]}?"
    else:
        hint = f"settings of {section}: {', '.join(keys[section])}" if section in keys else ""
    return ConfigError(f"{name} is not a setting", hint=hint)


def _parse_bool(text: str) -> bool:
    lowered = text.lower()
    if lowered not in ("true", "false"):
        raise ValueError(text)
    return lowered == "true"


def _parse_list(text: str) -> tuple[str, ...]:
    return tuple(item.strip() for item in text.split(",") if item.strip())


_PARSERS: dict[Any, Callable[[str], Any]] = {
    bool: _parse_bool,
    int: int,
    float: float,
    str: str,
    tuple[str, ...]: _parse_list,
}
