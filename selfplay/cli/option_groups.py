"""Options that several commands share, as dataclasses that are declared once.

A command takes such a dataclass as one keyword-only parameter:

    @with_option_groups
    def train(*, game: GameName, training: TrainingOptions, as_json: Json = False) -> None: ...

On the command line every field of `TrainingOptions` is an option of its own.
"""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from typing import Any


class OptionGroup:
    """Base of the dataclasses whose fields are options: each an `Annotated` type and a default."""


def with_option_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Returns `command` with the fields of each option group in place of the group's parameter."""
    signature = inspect.signature(command, eval_str=True)
    groups: dict[str, Any] = {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if inspect.isclass(parameter.annotation) and issubclass(parameter.annotation, OptionGroup)
    }
    flat: list[inspect.Parameter] = []
    for name, parameter in signature.parameters.items():
        flat += _fields(groups[name]) if name in groups else [parameter]

    @functools.wraps(command)
    def run(**values: Any) -> None:
        made = {
            name: group(**{one.name: values.pop(one.name) for one in dataclasses.fields(group)})
            for name, group in groups.items()
        }
        command(**values, **made)

    # Typer creates the options from these.
    run.__signature__ = signature.replace(parameters=flat)  # type: ignore[attr-defined]
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in flat}
    return run


def _fields(group: Any) -> list[inspect.Parameter]:
    """Returns the fields of an option group as parameters of a command."""
    hints: dict[str, Any] = {}
    for base in reversed(group.__mro__):
        hints |= inspect.get_annotations(base, eval_str=True)
    return [
        inspect.Parameter(
            one.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=(
                inspect.Parameter.empty if one.default is dataclasses.MISSING else one.default
            ),
            annotation=hints[one.name],
        )
        for one in dataclasses.fields(group)
    ]
