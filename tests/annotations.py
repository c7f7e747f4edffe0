"""The run-time check of annotations: shapes of arrays where there are arrays, else types alone.

jaxtyping decorates every function of the package. Its check keeps the sizes of the axes that it has
seen in a call, and costs several times what beartype alone does, at each definition and each call.
Most functions take no arrays: beartype finds the same mistakes in them.
"""

import functools
import inspect
from typing import Annotated, Any, ForwardRef, Literal, get_args, get_origin

import jaxtyping
from beartype import BeartypeConf, beartype

_with_shapes = jaxtyping.jaxtyped
# As in pyproject.toml, and with the error of jaxtyping.
_types_alone = beartype(
    conf=BeartypeConf(is_pep484_tower=True, violation_type=jaxtyping.TypeCheckError)
)


def install() -> None:
    """Puts `checked` in the place of jaxtyping's decorator; before the package is imported."""
    vars(jaxtyping)["jaxtyped"] = checked


def checked(function: Any = None, **options: Any) -> Any:
    """Decorates what `jaxtyping.jaxtyped` does; takes the cheaper check where it is enough."""
    if function is None:
        return functools.partial(checked, **options)
    if inspect.isfunction(function) and not any(
        map(_needs_shapes, function.__annotations__.values())
    ):
        return _types_alone(function)
    return _with_shapes(function, **options)


def _needs_shapes(hint: Any) -> bool:
    """Returns whether a hint names arrays of jaxtyping, or something by a name not yet defined."""
    if isinstance(hint, str | ForwardRef):
        return True
    if isinstance(hint, list):
        # The parameters of a Callable.
        return any(map(_needs_shapes, hint))
    if getattr(hint, "__module__", "").startswith("jaxtyping") or type(hint).__module__.startswith(
        "jaxtyping"
    ):
        return True
    if get_origin(hint) is Literal:
        return False
    arguments = get_args(hint)
    return any(map(_needs_shapes, arguments[:1] if get_origin(hint) is Annotated else arguments))
