"""Options that several commands share are declared once, and are options like any other."""

import dataclasses
import inspect
from typing import Annotated, Any

import pytest
import typer
from typer.testing import CliRunner

from selfplay.cli.option_groups import OptionGroup, with_option_groups
from selfplay.cli.training import evaluator, train, trainer, worker
from selfplay.cli.training.joining import JoiningOptions
from selfplay.cli.training.monitoring import MonitoringOptions
from selfplay.cli.training.run_training import TrainingOptions


@dataclasses.dataclass(frozen=True, kw_only=True)
class Place(OptionGroup):
    run: Annotated[str, typer.Option("--run", help="Where.")]
    limit: Annotated[int, typer.Option("--limit", help="How many.")] = 3


@pytest.fixture
def made() -> tuple[typer.Typer, list[Any]]:
    """Returns a command with an option group, and what it is called with."""
    calls: list[Any] = []
    app = typer.Typer(rich_markup_mode=None)

    @app.command()
    @with_option_groups
    def command(*, first: str = "a", place: Place, last: bool = False) -> None:
        """Does a thing."""
        calls.append((first, place, last))

    return app, calls


def test_the_fields_are_options_in_the_place_of_the_group(
    made: tuple[typer.Typer, list[Any]],
) -> None:
    app, calls = made
    text = CliRunner().invoke(app, ["--help"]).stdout
    assert (
        text.index("--first") < text.index("--run") < text.index("--limit") < text.index("--last")
    )
    assert "Does a thing." in text and "--place" not in text
    assert CliRunner().invoke(app, ["--run", "x", "--last"]).exit_code == 0
    assert CliRunner().invoke(app, ["--run", "x", "--limit", "4"]).exit_code == 0
    assert calls == [("a", Place(run="x"), True), ("a", Place(run="x", limit=4), False)]


def test_a_field_without_a_default_is_required(made: tuple[typer.Typer, list[Any]]) -> None:
    app, calls = made
    result = CliRunner().invoke(app, ["--limit", "4"])
    assert result.exit_code == 2 and "--run" in result.stderr
    assert not calls


@pytest.mark.parametrize(
    ("group", "commands"),
    [
        (TrainingOptions, (train.train, trainer.trainer)),
        (JoiningOptions, (worker.worker, evaluator.evaluator)),
        (MonitoringOptions, (trainer.trainer, worker.worker, evaluator.evaluator)),
    ],
)
def test_commands_of_one_kind_have_the_same_options(group: Any, commands: tuple[Any, ...]) -> None:
    wanted = {one.name: one.default for one in dataclasses.fields(group)}
    for command in commands:
        parameters = inspect.signature(command).parameters
        found = {name: parameters[name].default for name in wanted}
        empty = (dataclasses.MISSING, inspect.Parameter.empty)
        assert {name: default for name, default in found.items() if default not in empty} == {
            name: default for name, default in wanted.items() if default not in empty
        }
