"""What a field of a match record declares: all that files, self-play, reports and docs need of it.

The fields themselves are declared in one place, `selfplay.records.match.MatchRecord`.
"""

import dataclasses
import functools
from collections.abc import Sequence
from typing import Any, Final, Literal, TypeVar, dataclass_transform

import numpy as np
import numpy.typing as npt

Per = Literal["match", "ply", "action"]
Kind = Literal["string", "bool", "int8", "int32", "int64", "uint32", "float32"]

T = TypeVar("T")
REQUIRED: Final = object()
"""The default of a field that every record must give."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Field:
    """One field of a record, and one column of its file.

    Attributes:
        name: of the attribute and of the column.
        per: what has one value: a match, a ply, or an action in the policy target of a ply.
        kind: type of a value.
        size: how many numbers make a value, for a pair; 0 for a single one.
        meaning: of a value, in a few words.
        since: version of the record format that added it.
        default: value where nothing says otherwise; or a function of the other fields; or
            `REQUIRED`.
        played: attribute of `selfplay.rollout.Plies` that it is collected from; "" if from none.
        shown: name of a value in reports.
        low: least number allowed.
        high: greatest number allowed.
        choices: texts allowed. Self-play gives their indices.
        table: which list of actions a field of actions belongs to: its `{table}_offsets` say where
            those of each ply begin, its `{table}_actions` which they are.
        null: number that stands for a missing value; None if no value may be missing.
    """

    name: str
    per: Per
    kind: Kind
    meaning: str
    since: int = 1
    size: int = 0
    default: Any = REQUIRED
    played: str = ""
    shown: str = ""
    low: float | None = None
    high: float | None = None
    choices: tuple[str, ...] = ()
    table: str = "policy"
    null: int | None = None

    @functools.cached_property
    def dtype(self) -> np.dtype[Any]:
        """NumPy's type of a number; not for texts."""
        return np.dtype(self.kind)

    @property
    def range(self) -> str:
        """The allowed values in words, "" if all are."""
        if self.choices:
            return f"one of {', '.join(self.choices)}"
        if self.high is not None:
            return f"in [{self.low:g}, {self.high:g}]"
        return "" if self.low is None else f"at least {self.low:g}"

    def left_out(self, shape: tuple[int, ...]) -> npt.NDArray[Any]:
        """Returns what stands for this field of plies [T, B] where self-play did not give it."""
        if self.choices:
            return np.full(shape, -1, np.int8)
        if self.default is REQUIRED:
            raise TypeError(f"self-play must give {self.played}")
        return np.full((*shape, self.size) if self.size else shape, self.default, self.dtype)

    def plain(self, value: Any) -> Any:
        """Returns one value of self-play or of a record as plain Python, None for a missing one."""
        if self.size:
            return tuple(value.tolist() if isinstance(value, np.ndarray) else value)
        if self.choices and not isinstance(value, str):
            return self.choices[int(value)] if value >= 0 else None
        plain = value.item() if isinstance(value, np.generic | np.ndarray) else value
        return None if self.null is not None and plain == self.null else plain

    def allows(self, values: Sequence[Any]) -> bool:
        """Returns whether the values of some records, one each, are all in range.

        Rounding may lead a little outside.
        """
        if self.choices:
            return all(value in self.choices for value in values)
        numbers = np.asarray(values) if self.per == "match" else np.concatenate(values)
        # NaN is nowhere inside.
        above = self.low is None or bool((numbers >= self.low - 1e-3).all())
        return above and (self.high is None or bool((numbers <= self.high + 1e-3).all()))


def match_field(
    kind: Kind,
    meaning: str,
    *,
    default: Any = REQUIRED,
    since: int = 1,
    size: int = 0,
    played: str = "",
    shown: str = "",
    low: float | None = None,
    high: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """Declares a field with one value a match; see `Field` for the arguments."""
    field = Field(
        name="", per="match", kind=kind, meaning=meaning, since=since, size=size, default=default,
        played=played, shown=shown, low=low, high=high, choices=choices,
    )  # fmt: skip
    return _declared(field)


def ply_field(
    kind: Kind,
    meaning: str,
    *,
    default: Any = REQUIRED,
    since: int = 1,
    played: str | None = None,
    shown: str = "",
    low: float | None = None,
    high: float | None = None,
    null: int | None = None,
) -> Any:
    """Declares a field with one number a ply, an array [T].

    Self-play gives it under its own name, unless `played` says another. See `Field` for the rest.
    """
    field = Field(
        name="", per="ply", kind=kind, meaning=meaning, since=since, default=default,
        played=_OWN_NAME if played is None else played, shown=shown, low=low, high=high, null=null,
    )  # fmt: skip
    return _declared(field)


def action_field(
    kind: Kind,
    meaning: str,
    *,
    default: Any = REQUIRED,
    since: int = 1,
    played: str = "",
    low: float | None = None,
    high: float | None = None,
    table: str = "policy",
) -> Any:
    """Declares a field with one number for each action of each ply's policy target.

    Self-play gives it for all actions [B, A]; kept are those with a share of `table`. See `Field`
    for the arguments.
    """
    field = Field(
        name="", per="action", kind=kind, meaning=meaning, since=since, default=default,
        played=played, low=low, high=high, table=table,
    )  # fmt: skip
    return _declared(field)


def offsets_field(*, default: None) -> Any:
    """Declares the offsets of a table of actions, which is empty unless it is given."""
    return dataclasses.field(default=default, metadata={"offsets": True})


_OWN_NAME = "its own name"


def _declared(field: Field) -> Any:
    metadata = {"field": field}
    if field.default is REQUIRED:
        return dataclasses.field(metadata=metadata)
    # `fill_in` replaces it: of a ply or an action, the default is repeated.
    return dataclasses.field(default=None, metadata=metadata)


@dataclass_transform(
    frozen_default=True,
    kw_only_default=True,
    field_specifiers=(match_field, ply_field, action_field, offsets_field, dataclasses.field),
)
def record(cls: type[T]) -> type[T]:
    """Makes a frozen dataclass of a class whose attributes are declared as fields."""
    return dataclasses.dataclass(frozen=True, kw_only=True, slots=True)(cls)


@functools.cache
def fields_of(cls: Any) -> tuple[Field, ...]:
    """Returns the fields of a record class in the order of the columns: of matches, plies, actions.

    The number of plies is a column too, the last one of those of matches.
    """
    fields = []
    for each in dataclasses.fields(cls):
        field: Field | None = each.metadata.get("field")
        if field is not None:
            played = each.name if field.played == _OWN_NAME else field.played
            shown = field.shown or each.name
            fields.append(dataclasses.replace(field, name=each.name, played=played, shown=shown))
    return (*_per(fields, "match"), PLIES, *_per(fields, "ply"), *_per(fields, "action"))


def _per(fields: Sequence[Field], per: Per) -> list[Field]:
    return [field for field in fields if field.per == per]


PLIES = Field(
    name="plies",
    per="match",
    kind="int32",
    meaning="number of moves, the length of the lists below",
    shown="plies",
)


def fill_in(match: Any) -> None:
    """Gives the fields of a new record that were left out their defaults."""
    cls: Any = type(match)
    for name in _offsets(cls):
        if getattr(match, name) is None:
            object.__setattr__(match, name, np.zeros(len(match.actions) + 1, np.int32))
    for field in _with_default(cls):
        if getattr(match, field.name) is None:
            value = field.default(match) if callable(field.default) else field.default
            if field.per == "ply":
                value = repeated(value, len(match.actions), field)
            elif field.per == "action":
                offsets = getattr(match, f"{field.table}_offsets")
                value = repeated(value, int(offsets[-1]), field)
            object.__setattr__(match, field.name, value)


@functools.cache
def _offsets(cls: Any) -> tuple[str, ...]:
    return tuple(one.name for one in dataclasses.fields(cls) if "offsets" in one.metadata)


def repeated(value: Any, count: int, field: Field) -> npt.NDArray[Any]:
    """Returns an array [count] of the value, faster than `np.full` for the few plies of a match."""
    array = np.empty(count, field.dtype)
    array.fill(value)
    return array


@functools.cache
def _with_default(cls: Any) -> tuple[Field, ...]:
    return tuple(field for field in fields_of(cls) if field.default is not REQUIRED)
