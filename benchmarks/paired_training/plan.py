"""What a comparison of two settings consists of, and where its results lie."""

import dataclasses
import json
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

from selfplay.errors import ConfigError
from selfplay.registry import GameSpec
from selfplay.store import atomic_write

ARMS = ("a", "b")
SETS = ("choose", "report")
CLOCKS = ("cpu", "wall")

_FIXED = ("a", "b", "both", "preset", "minutes", "clock")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Plan:
    """A comparison: two arms, which differ in some settings and in nothing else.

    Attributes:
        games: what is played, each as a name with options, such as "hex size=5".
        seeds: of the runs; both arms train with each of them.
        a: settings of arm A, as SECTION.KEY=VALUE.
        b: settings of arm B.
        both: settings of both arms.
        preset: the settings that all of these change.
        minutes: budget of each training, above 0.
        clock: what the budget is counted in: "cpu", the time that cores worked for the process,
            or "wall".
        simulations: of the search whose mistakes are counted, and in matches.
        positions: how many solved positions are asked, at most, in each game that has a solver.
        positions_of: "choose" or "report": which of the two sets of positions and openings is used.
        solver_limit: how many positions a solver may look at to label one.
        opponents: fixed agents that both arms play; empty for "mcts:200" in games without solved
            positions and none in others.
        matches: against each opponent and between the arms, even.
        versus: whether the arms play each other; without solved positions they always do.
    """

    games: tuple[str, ...]
    seeds: tuple[int, ...]
    a: tuple[str, ...]
    b: tuple[str, ...]
    both: tuple[str, ...] = ()
    preset: str = "default"
    minutes: float = 2.0
    clock: str = "cpu"
    simulations: int = 100
    positions: int = 400
    positions_of: str = "choose"
    solver_limit: int = 100_000
    opponents: tuple[str, ...] = ()
    matches: int = 60
    versus: bool = False

    def __post_init__(self) -> None:
        if self.minutes <= 0:
            raise ConfigError(f"minutes is {self.minutes:g}, but must be above 0")
        if self.matches < 2 or self.matches % 2:
            raise ConfigError(
                f"matches is {self.matches}, but must be even and at least 2",
                hint="every opening is played from both seats",
            )
        for text in self.games:
            game_spec(text)

    @property
    def cells(self) -> Iterator["Cell"]:
        """The pairs of trainings, one game after the other."""
        for game in self.games:
            for seed in self.seeds:
                yield Cell(game, seed)

    def settings(self, arm: str, seed: int) -> list[str]:
        """Returns the settings of a training, as SECTION.KEY=VALUE; later ones win."""
        return [
            # Strength is measured afterwards, so that it takes nothing from the budget.
            "evaluation.enabled=false",
            "trainer.checkpoint_seconds=30",
            "trainer.keep_checkpoints=1",
            "trainer.spread_checkpoints=0",
            *self.both,
            *(self.a if arm == "a" else self.b),
            f"trainer.minutes={self.minutes!r}",
            f"trainer.seed={seed}",
        ]

    def to_json(self) -> str:
        """Returns the text that `from_json` reads."""
        return json.dumps(dataclasses.asdict(self), indent=1)

    @classmethod
    def from_json(cls, text: str) -> "Plan":
        """Returns the plan that `to_json` wrote."""
        document: dict[str, Any] = {
            name: tuple(value) if isinstance(value, list) else value
            for name, value in json.loads(text).items()
        }
        return cls(**document)

    def check_baseline(self, directory: Path) -> None:
        """Checks that arm A of another comparison is trained as this plan trains it.

        Raises:
            ConfigError: there is none, or it has another arm A, budget or clock.
        """
        file = directory / "plan.json"
        if not file.exists():
            raise ConfigError(f"{directory} holds no comparison")
        other = Plan.from_json(file.read_text())
        for name in sorted(set(_FIXED) - {"b"}):
            if getattr(other, name) != getattr(self, name):
                raise ConfigError(
                    f"{name} is {getattr(self, name)!r}, but the baseline in {directory} has "
                    f"{getattr(other, name)!r}",
                    hint="compare with the same arm A, budget and clock",
                )

    def store(self, directory: Path) -> None:
        """Writes the plan into the directory of its results.

        Games, seeds and everything about the measurement may change from call to call. What was
        trained is there already, so the settings, the budget and its clock may not.

        Raises:
            ConfigError: the directory has results of other settings, or other content.
        """
        file = directory / "plan.json"
        if file.exists():
            earlier = Plan.from_json(file.read_text())
            for name in _FIXED:
                was, now = getattr(earlier, name), getattr(self, name)
                if was != now:
                    raise ConfigError(
                        f"{name} is {now!r}, but {directory} holds a comparison with {was!r}",
                        hint="name another directory: --output DIR",
                    )
        elif directory.exists() and any(directory.iterdir()):
            raise ConfigError(
                f"{directory} is not empty and holds no comparison",
                hint="name another directory: --output DIR",
            )
        directory.mkdir(parents=True, exist_ok=True)
        atomic_write(file, (self.to_json() + "\n").encode())


class Cell(NamedTuple):
    """A pair of trainings with the same game and the same seed.

    Attributes:
        game: name with options.
        seed: of both runs.
    """

    game: str
    seed: int

    def folder(self, directory: Path) -> Path:
        """Returns where its runs and results lie."""
        return directory / file_name(self.game) / f"seed-{self.seed}"


def game_spec(text: str) -> GameSpec:
    """Returns the game that a text such as "hex size=5 swap=false" names.

    Raises:
        ConfigError: an option has no value.
    """
    from selfplay.cli.targets import game_spec as parsed

    name, *options = shlex.split(text)
    return parsed(name, options)


def file_name(game: str) -> str:
    """Returns the name of a game with its options as a name of a file."""
    return "".join(c if c.isalnum() or c in "._-" else "-" for c in game.strip())
