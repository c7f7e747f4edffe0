"""Small checks shared by the configuration dataclasses of all packages."""

from collections.abc import Sequence

from selfplay.errors import ConfigError


def check_range(
    name: str,
    value: float,
    *,
    low: float | None = None,
    high: float | None = None,
    above: float | None = None,
    below: float | None = None,
    hint: str = "",
) -> None:
    """Raises `ConfigError` unless `low <= value <= high` and `above < value < below`."""
    rules = []
    if low is not None and high is not None:
        rules.append((low <= value <= high, f"between {low:g} and {high:g}"))
    elif low is not None:
        rules.append((value >= low, f"at least {low:g}"))
    elif high is not None:
        rules.append((value <= high, f"at most {high:g}"))
    if above is not None:
        rules.append((value > above, f"above {above:g}"))
    if below is not None:
        rules.append((value < below, f"below {below:g}"))
    if not all(holds for holds, _ in rules):
        rule = " and ".join(text for _, text in rules)
        raise ConfigError(f"{name} is {value:g}, but must be {rule}", hint=hint)


def check_choice(name: str, value: str, choices: Sequence[str]) -> None:
    """Raises `ConfigError` unless `value` is one of `choices`."""
    if value not in choices:
        raise ConfigError(f"{name} is {value!r}, but must be one of: {', '.join(choices)}")
