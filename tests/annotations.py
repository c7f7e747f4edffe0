"""The run-time check of annotations, made once for each function that is written."""

import inspect
from collections.abc import Callable
from typing import Any, get_args, get_origin

from beartype import BeartypeConf, beartype
from jaxtyping import AbstractArray

# As for mypy, an int will do where a float is asked for.
_check = beartype(conf=BeartypeConf(is_pep484_tower=True))
_checked: dict[Any, Callable[..., Any]] = {}


def checked(function: Any) -> Any:
    """Returns `function` with a check of its annotations; called for what jaxtyping hands over.

    jaxtyping hands over a stub of each function: the same parameters and annotations, and a body
    that returns what it is given. It does so again whenever a nested function is defined, in a loop
    or at each tracing, and beartype takes two milliseconds for it. The stubs of one function differ
    in nothing that is checked, so one check serves them all.
    """
    if not inspect.isfunction(function):
        return _check(function)
    hints = tuple((name, _key(hint)) for name, hint in function.__annotations__.items())
    key = (function.__code__, function.__module__, function.__qualname__, hints)
    try:
        found = _checked.get(key)
    except TypeError:
        # An annotation that cannot be a key.
        return _check(function)
    if found is None:
        found = _checked[key] = _check(function)
    return found


def _key(hint: Any) -> Any:
    """Returns what is equal for equal annotations: those of arrays are a new class each time."""
    if inspect.isclass(hint) and issubclass(hint, AbstractArray):
        return hint.dtype, _key(hint.array_type), hint.dim_str
    if isinstance(hint, list):
        # Of a Callable.
        return tuple(map(_key, hint))
    arguments = get_args(hint)
    return (get_origin(hint), *map(_key, arguments)) if arguments else hint
