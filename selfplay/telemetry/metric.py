"""Defines a metric: its name, its unit, and how each sink shows it."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from selfplay.telemetry import words
from selfplay.telemetry.results import MistakeRate, Strength, SuiteScore

ROWS = ("play", "speed", "results", "learn", "loss", "replay", "workers", "time")
"""Rows of the live screen and of `selfplay status` that list metrics, in order."""

_OTHER_ROWS = ("plan", "strength", "mistakes", "suite", "saved", "")
"""Rows that the screen lays out in a way of its own; "" for metrics that are not on the screen."""

_ROLES = {"T": "trainer", "W": "worker", "E": "evaluator", "R": "reanalyzer"}

COMMON_LABELS = ("run", "role", "id")
"""Prometheus labels of every metric: the run and the process."""

Text = Callable[[Any], Sequence[str]]
"""Turns a known value into texts for people."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Reading:
    """One number of a metric.

    Attributes:
        name: which entry of a metric with a label, such as "policy" of the losses; else "".
        part: "" for the value itself, else what belongs to it: "low", "high", "raw".
        number: the number.
        update: of the checkpoint it was measured for; None if it holds for the present.
    """

    name: str
    part: str
    number: float
    update: int | None = None


@dataclasses.dataclass(frozen=True)
class Metric:
    """One metric; `METRICS` lists them all.

    By default every sink of the processes in `roles` shows it. A trainer has a live screen, text
    and JSON logs, TensorBoard, heartbeats (so `selfplay status --json`) and Prometheus; a worker
    and a reanalyzer have a text log, heartbeats and Prometheus; an evaluator has heartbeats and
    Prometheus.

    Attributes:
        key: its name in snapshots, heartbeats, JSON logs and `selfplay status --json`.
        unit: in words; "" for a number without a unit.
        roles: the processes that have it, by first letter: T, W, E, R.
        row: of the screen, one of `ROWS`; "" for none.
        help: what its number means.
        label: name of the Prometheus label of its entries, if its value is a mapping or a sequence
            of results.
        counter: whether it only grows, except when the process restarts.
        text: formats a value for the screen; None for a format made from `key` and `unit`.
        line: the roles whose text log shows it; None for all that have it, if it has a row.
        line_text: formats a value for the text log; None for `text`.
        prometheus: its name there, without "selfplay_"; None for one made from `key`, "" for none.
        tensorboard: its tag there; None for one made from `row` and `key`, "" for none.
        heartbeat: whether heartbeats hold it.
        log: whether JSON logs hold it.
    """

    key: str
    unit: str
    roles: str
    row: str
    help: str
    _: dataclasses.KW_ONLY
    label: str = ""
    counter: bool = False
    text: Text | None = None
    line: str | None = None
    line_text: Text | None = None
    prometheus: str | None = None
    tensorboard: str | None = None
    heartbeat: bool = True
    log: bool = True

    def __post_init__(self) -> None:
        """Refuses rows and roles that do not exist."""
        if self.row not in (*ROWS, *_OTHER_ROWS):
            raise ValueError(f"metric {self.key}: {self.row!r} is not a row of the screen")
        if not self.roles or not set(self.roles) <= set(_ROLES):
            raise ValueError(f"metric {self.key}: {self.roles!r} names no process")

    def of(self, role: str) -> bool:
        """Returns whether a "trainer", "worker", "evaluator" or "reanalyzer" has it."""
        return role in self.processes

    @property
    def processes(self) -> list[str]:
        """The roles that have it, in words."""
        return [_ROLES[letter] for letter in self.roles]

    @property
    def prometheus_name(self) -> str:
        """Its name in Prometheus; "" if it is not there."""
        if self.prometheus == "":
            return ""
        return f"selfplay_{self.prometheus or self.key}{'_total' if self.counter else ''}"

    @property
    def prometheus_labels(self) -> tuple[str, ...]:
        """Its labels in Prometheus."""
        return (*COMMON_LABELS, self.label) if self.label else COMMON_LABELS

    def prometheus_samples(self, value: Any) -> Iterator[tuple[list[str], float]]:
        """Yields the numbers of a value, each with what its labels beyond `COMMON_LABELS` say."""
        for one in readings(value):
            # A label needs an entry's name, and a metric without one has no entries.
            if not one.part and bool(one.name) == bool(self.label):
                yield [one.name] if self.label else [], float(one.number)

    @property
    def tensorboard_tag(self) -> str:
        """Its tag in TensorBoard, without the name of an entry; "" if it is not there."""
        if self.tensorboard is not None or not self.of("trainer"):
            return self.tensorboard or ""
        return self.key if self.label else f"{self.row or 'other'}/{self.key}"

    def in_line(self, role: str) -> bool:
        """Returns whether the text log of a role shows it."""
        default = self.roles if self.row else ""
        return role in [_ROLES[one] for one in (default if self.line is None else self.line)]

    def parts(self, value: Any) -> list[str]:
        """Returns a value for the screen, as texts with units; empty if it is not known."""
        if value is None:
            return []
        return list(self.text(value) if self.text else self._default_text(value))

    def line_parts(self, value: Any) -> list[str]:
        """Returns a value for the text log; empty if it is not known."""
        if value is None:
            return []
        return list(self.line_text(value)) if self.line_text else self.parts(value)

    def _default_text(self, value: Any) -> Iterator[str]:
        title = self.key.replace("_", " ").removesuffix(f" {self.unit}")
        for one in readings(value):
            words_of = (title, one.name.replace("_", " "), words.number(one.number), self.unit)
            if not one.part:
                yield " ".join(word for word in words_of if word)


def readings(value: Any) -> Iterator[Reading]:
    """Yields the numbers of a metric's value, leaving out what is not known.

    Args:
        value: a number, a mapping of names to numbers, a sequence of results, or None.
    """
    if isinstance(value, (bool, int, float)):
        yield Reading(name="", part="", number=value)
    elif isinstance(value, Mapping):
        for name, one in value.items():
            if isinstance(one, (bool, int, float)):
                yield Reading(name=str(name), part="", number=one)
    elif isinstance(value, Sequence):
        for one in value:
            if isinstance(one, (Strength, MistakeRate, SuiteScore)):
                for part, number in one.numbers.items():
                    if number is not None:
                        yield Reading(name=one.name, part=part, number=number, update=one.update)
