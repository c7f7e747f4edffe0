"""Mistakes against perfect play are counted in every evaluation, and kept per checkpoint."""

import dataclasses
import functools
import itertools
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from selfplay.arena import SolverAgent, load_run_agent, measure_mistakes, solve_positions
from selfplay.errors import GameContractError, RunError
from selfplay.evaluation.mistake_meter import MistakeMeter
from selfplay.evaluation.strength import StrengthMeter
from selfplay.game import Game
from selfplay.games.gomoku import Gomoku
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.reports.status import run_status
from selfplay.run import (
    RunDirectory,
    append_mistakes,
    read_evaluations,
    read_mistake_moves,
    read_mistakes,
    read_suite_results,
)
from selfplay.runtime.lifetime import Lifetime
from selfplay.settings.sections import EvaluationConfig
from selfplay.telemetry import read_scalars
from selfplay.workers.evaluator import EvaluatorOptions, evaluate
from selfplay.workers.joining import silent
from tests.training.runs import Listener, make_run, tiny_components, train_all, with_settings

POSITIONS = 40
EVALUATION: dict[str, Any] = {
    "opponents": ("random",), "matches": 4, "simulations": 2, "mistake_positions": POSITIONS,
}  # fmt: skip
LOOP = {"evaluation": {**EVALUATION, "enabled": True, "first_seconds": 0.0, "share": 1.0}}


@pytest.fixture(scope="module")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a run with the checkpoints 0, 4 and 8; not to be changed."""
    path = tmp_path_factory.mktemp("mistakes") / "run"
    train_all(*make_run(path, tiny_components(), updates=8, checkpoint_updates=4))
    return path


def meter(run: RunDirectory, game: Game[Any], said: list[str], **settings: Any) -> MistakeMeter:
    config = EvaluationConfig(**{**EVALUATION, **settings})
    return MistakeMeter(game, run, config, say=said.append)


def asked(one: MistakeMeter, update: int = 3) -> dict[str, Any] | None:
    """Returns what the meter has of a perfect agent."""
    agent = SolverAgent(TicTacToe())
    one.measure(agent, update=update, batch_size=50, facts={}, progress=lambda: None)
    return one.newest


def test_the_loop_measures_in_every_evaluation(tmp_path: Path) -> None:
    run, components = make_run(tmp_path / "run", with_settings(tiny_components(), LOOP), updates=16)
    listener = Listener()
    trainer = train_all(run, components, listener)
    records = read_mistakes(run.path)
    assert records
    assert {one["update"] for one in records} == {
        one["update"] for one in read_evaluations(run.path)
    }
    assert len({one["update"] for one in records}) == len(records)
    assert len({one["position_set"] for one in records}) == 1
    for record in records:
        assert (record["positions"], record["simulations"]) == (POSITIONS, 2)
        assert [count["first_ply"] for count in record["by_ply"]] == list(range(9))
        assert sum(count["positions"] for count in record["by_ply"]) == POSITIONS
        assert sum(count["mistakes"] for count in record["by_ply"]) == record["mistakes"]
        assert record["mistakes"] <= record["at_stake"] < POSITIONS
        assert 0 <= record["low"] <= record["share"] <= record["high"] <= 1
        assert record["elapsed_seconds"] > 0
        moves = [one for one in read_mistake_moves(run.path) if one["update"] == record["update"]]
        assert len(moves) == record["mistakes"]
    # It is on the screen, in the files for TensorBoard, and in the status.
    newest = records[-1]
    rates = listener.progress[-1].metrics["mistakes"]
    assert [rate.plies for rate in rates] == ["all", "0-2", "3-5", "6-8"]
    assert (rates[0].share, rates[0].update) == (newest["share"], newest["update"])
    assert trainer.strength.mistakes.newest is not None
    scalars = read_scalars(run.tensorboard_path)
    assert scalars["mistakes/all"][-1].value == pytest.approx(newest["share"])
    assert scalars["mistakes/all"][-1].step == newest["update"]
    assert run_status(run.path)["mistakes"] == newest
    # The game's own suite is asked in the same evaluations.
    suites = read_suite_results(run.path)
    assert [one["update"] for one in suites] == [one["update"] for one in records]
    assert {(one["suite"], one["simulations"]) for one in suites} == {("tic_tac_toe", 2)}
    last = suites[-1]
    assert last["solved"] + len(last["failed"]) == last["positions"] >= 20
    assert run_status(run.path)["suite"] == last
    (shown,) = listener.progress[-1].metrics["suite"]
    assert (shown.name, shown.share, shown.update) == ("tic_tac_toe", last["share"], last["update"])
    assert scalars["suite/tic_tac_toe"][-1].value == pytest.approx(last["share"])


def test_the_evaluator_measures_each_checkpoint_once(template: Path, tmp_path: Path) -> None:
    path = shutil.copytree(template, tmp_path / "run")
    for later in ("4", "8"):
        (path / "checkpoints" / later).rename(tmp_path / later)
    said: list[str] = []
    listeners = dataclasses.replace(silent("evaluator"), say=said.append)
    options = EvaluatorOptions(id="e", settings={"evaluation": EVALUATION})
    for update, matches in ((0, 4), (4, 8), (8, 8)):
        if update:
            (tmp_path / str(update)).rename(path / "checkpoints" / str(update))
        evaluator = evaluate(str(path), options, Lifetime(max_matches=matches), listeners)
        # Against "random" and, from the second checkpoint on, against the one before.
        assert evaluator is not None and evaluator.rated == [update]
        assert evaluator.mistakes is not None and evaluator.mistakes["update"] == update
        assert sum(text.startswith(f"checkpoint {update}: mistakes in ") for text in said) == 1
    records = read_mistakes(path)
    assert [record["update"] for record in records] == [0, 4, 8]
    assert len(read_evaluations(path)) == 5
    (text,) = [text for text in said if text.startswith("checkpoint 8: mistakes in ")]
    for part in (
        f"{100 * records[-1]['share']:.1f} % (95 % interval ",
        f" of {POSITIONS} solved positions, plies 0-2 ",
        f"raw network {100 * records[-1]['raw_share']:.1f} %, random moves ",
    ):
        assert part in text
    suites = read_suite_results(path)
    assert [record["update"] for record in suites] == [0, 4, 8]
    asked_once = [text for text in said if text.endswith("positions of tic_tac_toe solved")]
    assert asked_once[-1].startswith(f"checkpoint 8: {suites[-1]['solved']} of ")
    assert len(asked_once) == 3
    # What was stored is what the checkpoint does, asked by somebody else.
    agent = load_run_agent(f"{path}@8:2", batch_size=2)
    table = measure_mistakes(
        agent, solve_positions(TicTacToe(), num_positions=POSITIONS), batch_size=2
    )
    measured = {key: value for key, value in table.to_dict().items() if key != "agent"}
    assert measured == {key: records[-1][key] for key in measured}
    made = [one for one in read_mistake_moves(path) if one["update"] == 8]
    assert made == [{"update": 8, **mistake.to_dict()} for mistake in table.made]
    # Whoever does not evaluate knows of it all the same.
    trainer = StrengthMeter(tiny_components(), RunDirectory.open(path), enabled=False)
    assert trainer.mistakes.newest == records[-1]
    append_mistakes(path, {**records[-1], "update": 12})
    trainer.reread()
    assert trainer.mistakes.rates[0].update == 12


def test_a_game_without_a_solver_is_unchanged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(TicTacToe, "solve", Game.solve)
    run, components = make_run(tmp_path / "run", with_settings(tiny_components(), LOOP), updates=8)
    listener = Listener()
    train_all(run, components, listener)
    assert read_evaluations(run.path)
    assert read_mistakes(run.path) == []
    assert listener.progress[-1].metrics["mistakes"] == ()
    assert run_status(run.path)["mistakes"] is None
    assert not any(name.startswith("mistakes") for name in read_scalars(run.tensorboard_path))
    assert listener.messages == []


def test_it_can_be_switched_off(template: Path, tmp_path: Path) -> None:
    run = RunDirectory.open(shutil.copytree(template, tmp_path / "run"))
    said: list[str] = []
    for one in (
        meter(run, Gomoku(), said),
        meter(run, TicTacToe(), said, mistake_positions=0),
    ):
        assert not one.due(3)
        assert asked(one) is None
    assert said == [] and read_mistakes(run.path) == []


def test_a_checkpoint_is_measured_once(template: Path, tmp_path: Path) -> None:
    run = RunDirectory.open(shutil.copytree(template, tmp_path / "run"))
    one = meter(run, TicTacToe(), [])
    assert one.due(3)
    record = asked(one)
    assert record is not None and record["mistakes"] == 0 and record["raw_share"] is None
    assert not one.due(3) and one.due(4)
    assert asked(one) is record
    # Another process, which has measured it too, stores no second record.
    assert asked(meter(run, TicTacToe(), [])) == record
    assert len(read_mistakes(run.path)) == 1


def test_positions_without_a_solution_are_said(
    template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = RunDirectory.open(shutil.copytree(template, tmp_path / "run"))
    said: list[str] = []

    def slow() -> Any:
        ticks = itertools.count()
        return functools.partial(solve_positions, clock=lambda: float(next(ticks)))

    monkeypatch.setattr("selfplay.evaluation.mistake_meter.solve_positions", slow())
    record = asked(meter(run, TicTacToe(), said, solver_seconds=11.0))
    assert said == [
        "mistakes are counted in 10 positions; the earliest 30 were not solved within 11 seconds "
        "(evaluation.solver_seconds)"
    ]
    assert record is not None and (record["positions"], record["skipped"]) == (10, 30)
    monkeypatch.undo()
    monkeypatch.setattr(TicTacToe, "solve", lambda self, state: None)
    nothing = meter(run, TicTacToe(), said)
    newest = asked(nothing, update=5)
    assert newest is not None and newest["update"] == 3
    assert said[1:] == ["no mistakes are counted: solve of tic_tac_toe knows no position"]
    assert not nothing.due(5) and len(read_mistakes(run.path)) == 1
    # A solver that fails is an error of the game, and says what to do.
    monkeypatch.setattr(TicTacToe, "solve", lambda self, state: np.zeros(1)[2])
    with pytest.raises(GameContractError, match="solve of tic_tac_toe, asked after the moves"):
        asked(meter(run, TicTacToe(), said))


def test_damage_is_told_by_the_status_and_stops_nothing(template: Path, tmp_path: Path) -> None:
    run = RunDirectory.open(shutil.copytree(template, tmp_path / "run"))
    record = asked(meter(run, TicTacToe(), []))
    assert record is not None
    (file,) = (run.path / "ratings").glob("*-mistakes-*.json")
    file.write_text("{")
    with pytest.raises(RunError, match="is damaged"):
        read_mistakes(run.path)
    status = run_status(run.path)
    assert status["mistakes"] is None
    assert [problem for problem in status["problems"] if file.name in problem]
    assert meter(run, TicTacToe(), []).newest is None
