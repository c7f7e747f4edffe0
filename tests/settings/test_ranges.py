"""The range that a setting documents is the range that it admits, at both of its ends."""

import inspect
import math
import re
from typing import Any

import pytest

from selfplay.errors import ConfigError
from selfplay.settings import Config

RANGE = re.compile(r"\bin ([\[(])([0-9.]+), ([0-9.]+)([\])])")


def documented() -> list[tuple[type[Any], str, re.Match[str]]]:
    """Returns the settings whose documentation names a range, with that range."""
    found = []
    for section in (type(one) for one in vars_of(Config()).values()):
        text = inspect.cleandoc(section.__doc__ or "").partition("Attributes:\n")[2]
        for name, meaning in re.findall(r"^    (\w+): (.*(?:\n     .*)*)", text, re.MULTILINE):
            ranges = list(RANGE.finditer(meaning))
            if ranges:
                found.append((section, name, ranges[-1]))
    return found


def vars_of(config: Config) -> dict[str, Any]:
    return {name: getattr(config, name) for name in config.to_dict()}


def admits(section: type[Any], name: str, value: float) -> bool:
    try:
        section(**{name: value})
    except ConfigError as error:
        assert f".{name} is " in str(error)
        return False
    return True


def test_there_are_such_settings() -> None:
    assert len(documented()) >= 12


@pytest.mark.parametrize(
    ("section", "name", "found"),
    documented(),
    ids=[f"{section.__name__}.{name}" for section, name, _ in documented()],
)
def test_the_ends_of_a_range(section: type[Any], name: str, found: re.Match[str]) -> None:
    low, high = float(found[2]), float(found[3])
    assert admits(section, name, low) == (found[1] == "[")
    assert admits(section, name, high) == (found[4] == "]")
    assert admits(section, name, math.nextafter(low, high))
    assert admits(section, name, math.nextafter(high, low))
    assert not admits(section, name, math.nextafter(low, -1))
    assert not admits(section, name, math.nextafter(high, 9))
