"""The comparison of two settings: its statistics, its positions, its processes, its report."""

import json
import os
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from benchmarks.methods import main, parser
from benchmarks.paired_training.arm import MEASURED, TRAINED
from benchmarks.paired_training.cores import usable_cores
from benchmarks.paired_training.differences import estimate
from benchmarks.paired_training.labelling import label, solver_of
from benchmarks.paired_training.plan import ARMS, Cell, Plan, game_spec
from benchmarks.paired_training.positions import (
    STORED,
    read,
    rebuild,
    set_name,
    solved_positions,
    write,
)
from benchmarks.paired_training.report import report, table
from benchmarks.paired_training.runner import Runner
from selfplay.check.solved.brute_force import BruteForce
from selfplay.errors import ConfigError, GameContractError, SelfplayError
from selfplay.game import Reply, solve_exactly, solver_limit
from selfplay.registry import make

PLAN = Plan(games=("tic_tac_toe",), seeds=(0,), a=(), b=("search.num_simulations=4",))


def drawn(rng: np.random.Generator, seeds: int, difference: float) -> np.ndarray:
    """Returns differences between arms with effects of seeds and of positions beside noise."""
    of_seeds = 0.03 * rng.standard_normal((seeds, 1))
    of_items = 0.3 * rng.standard_normal((1, 60))
    return difference + of_seeds + of_items + 0.3 * rng.standard_normal((seeds, 60))


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_the_interval_holds_the_truth_as_often_as_it_says(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    found = [estimate(drawn(rng, seeds, 0.1)) for _ in range(400)]
    share = np.mean([one.low <= 0.1 <= one.high for one in found])
    assert 0.93 <= share <= 0.995


def test_one_seed_tells_of_positions_only() -> None:
    rng = np.random.default_rng(0)
    found = [estimate(0.3 * rng.standard_normal((1, 60))) for _ in range(400)]
    assert 0.93 <= np.mean([one.low <= 0 <= one.high for one in found]) <= 0.99


def test_a_large_difference_is_found_and_its_sign_is_that_of_b_less_a() -> None:
    found = estimate(drawn(np.random.default_rng(1), 3, 0.5))
    assert found.verdict == 1 and estimate(-drawn(np.random.default_rng(1), 3, 0.5)).verdict == -1


def test_equal_results_leave_some_uncertainty() -> None:
    found = estimate(np.zeros((1, 100)))
    assert found.mean == 0 and found.low < -0.01 and found.high > 0.01 and found.verdict == 0


def test_more_time_than_the_game_gives_its_solver() -> None:
    def heap(stones: int) -> Any:
        replies = [Reply(taken - 1, stones - taken) for taken in (1, 2) if taken <= stones]
        return replies or -1.0

    assert solve_exactly(heap(10), heap, max_positions=5) is None
    with solver_limit(100):
        assert solve_exactly(heap(10), heap, max_positions=5) is not None
    assert solve_exactly(heap(10), heap, max_positions=5) is None


@pytest.fixture(scope="module")
def sets() -> dict[str, Any]:
    game = make("tic_tac_toe")
    solver = solver_of(game)
    assert solver is not None
    return label(game, solver, count=24, say=lambda text: None)


def test_positions_are_labelled_as_brute_force_would(sets: dict[str, Any]) -> None:
    game = make("tic_tac_toe")
    brute_force = BruteForce(game)
    for rows in sets.values():
        solved = rebuild(game, rows)
        assert len(solved.openings) == 24
        # From the third move on: brute force takes long before.
        for row in range(6, 24):
            assert len(solved.openings[row].actions) >= 2
            position = jax.tree.map(lambda leaf, row=row: leaf[row], solved.positions)
            values = brute_force.action_values(position)
            best = {action for action, value in values.items() if value == max(values.values())}
            assert set(np.flatnonzero(solved.best[row]).tolist()) == best
            assert best < set(values)  # something is at stake


def test_no_position_is_in_both_sets_and_they_come_out_alike(sets: dict[str, Any]) -> None:
    game = make("tic_tac_toe")
    boards = {
        name: {leaf.tobytes() for leaf in np.asarray(rebuild(game, rows).positions.state.cells)}
        for name, rows in sets.items()
    }
    assert len(boards["choose"]) == 24 and not boards["choose"] & boards["report"]
    assert {len(row.opening.actions) for row in sets["choose"]} >= {1, 2, 3, 4, 5, 6}
    solver = solver_of(game)
    assert solver is not None
    assert label(game, solver, count=24, say=lambda text: None) == sets


def test_a_stored_set_is_read_again_and_refused_for_other_rules(
    sets: dict[str, Any], tmp_path: Path
) -> None:
    game = make("tic_tac_toe")
    file = tmp_path / set_name(game, "choose")
    write(file, game, sets["choose"], text="tic_tac_toe")
    assert read(file, game) == sets["choose"]
    found = solved_positions(
        "tic_tac_toe",
        game,
        which="choose",
        limit=1,
        count=10,
        directory=tmp_path,
        say=pytest.fail,
    )
    assert found is not None and len(found.openings) == 10
    with pytest.raises(ConfigError, match="has positions of"):
        read(file, make("kalah"))
    broken = [dataclass_with(row, best=(row.opening.actions[0],)) for row in sets["choose"][5:]]
    with pytest.raises(GameContractError, match="does not follow the rules"):
        rebuild(game, broken)


def dataclass_with(row: Any, **fields: Any) -> Any:
    """Returns a copy with other fields."""
    return type(row)(**{"opening": row.opening, "best": row.best, **fields})


def test_a_comparison_goes_on_with_more_seeds_but_not_with_other_settings(tmp_path: Path) -> None:
    PLAN.store(tmp_path)
    more = Plan(games=("tic_tac_toe", "hex size=3"), seeds=(0, 1, 2), a=(), b=PLAN.b)
    more.store(tmp_path)
    assert Plan.from_json((tmp_path / "plan.json").read_text()) == more
    with pytest.raises(ConfigError, match="holds a comparison with"):
        Plan(games=PLAN.games, seeds=(0,), a=(), b=()).store(tmp_path)
    with pytest.raises(ConfigError, match="matches is 3"):
        Plan(games=PLAN.games, seeds=(0,), a=(), b=(), matches=3)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "letter.txt").write_text("dear")
    with pytest.raises(ConfigError, match="is not empty"):
        PLAN.store(tmp_path / "other")


def test_one_thread_of_each_core_is_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for cpu, siblings in enumerate(["0,2", "1,3", "0,2", "1,3"]):
        folder = tmp_path / f"cpu{cpu}" / "topology"
        folder.mkdir(parents=True)
        (folder / "thread_siblings_list").write_text(f"{siblings}\n")
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    monkeypatch.setattr("selfplay.machine.device_cores", lambda: type("C", (), {"count": 2}))
    assert usable_cores(tmp_path) == [0, 1]
    monkeypatch.delattr(os, "sched_getaffinity")
    assert usable_cores(tmp_path) == [None, None]


STAND_IN = """
import json, sys, pathlib
directory, what, game, seed, arm, core = sys.argv[3:]
with open(pathlib.Path(directory) / "calls.txt", "a") as calls:
    calls.write(f"{what} {seed} {arm} {core}\\n")
folder = pathlib.Path(directory) / game / f"seed-{seed}"
if what == "train" and seed == "1" and not (pathlib.Path(directory) / "mended").exists():
    sys.exit("the disk is full")
result = {"update": 8, "positions": 90, "matches": 3, "positions_per_second": 2.0,
          "updates_per_second": 4.0 if arm == "b" else 2.0}
if what == "train":
    (folder / f"run-{arm}").mkdir(exist_ok=True)
    (folder / f"training-{arm}.json").write_text(json.dumps(result))
if what == "measure":
    wrong = lambda often: {"search": [1] * often + [0] * (30 - often), "raw": None}
    (folder / "strength-choose.json").write_text(json.dumps({
        "simulations": 50, "scores": {"mcts:9": {"a": [0.5, 0.5], "b": [0.25, 0.5]}},
        "versus": [1.0, 1.0],
        "mistakes": {"position_set": "x", "plies": list(range(30)), "random": [0.5] * 30,
                     "a": wrong(2), "b": wrong(20)}}))
"""


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Puts a program that trains nothing in the place of the processes."""
    script = tmp_path / "python"
    script.write_text(f"#!{sys.executable}{STAND_IN}")
    script.chmod(0o755)
    monkeypatch.setattr("benchmarks.paired_training.runner.sys.executable", str(script))


def run(
    plan: Plan, directory: Path, cores: list[int | None], baseline: Path | None = None
) -> list[str]:
    """Runs a comparison with the stand-in; returns the calls, sorted by seed."""
    plan.store(directory)
    Runner(
        plan, directory, cores=cores, warm_up=False, baseline=baseline, say=lambda text: None
    ).run()
    return (directory / "calls.txt").read_text().splitlines()


@pytest.mark.usefixtures("stand_in")
def test_the_arms_change_cores_and_an_interrupted_comparison_goes_on(tmp_path: Path) -> None:
    plan = Plan(games=("hex",), seeds=(0, 1, 2), a=(), b=("search.num_simulations=4",))
    directory = tmp_path / "results"
    with pytest.raises(SelfplayError, match="the disk is full"):
        run(plan, directory, [4, 6])
    calls = (directory / "calls.txt").read_text().splitlines()
    assert {"train 0 a 4", "train 0 b 6", "measure 0  4"} <= set(calls)
    assert not any(call.startswith("train 2") for call in calls)
    (directory / "mended").touch()
    (directory / "calls.txt").unlink()
    calls = run(plan, directory, [4, 6])
    assert {call for call in calls if "train 1" in call} == {"train 1 b 4", "train 1 a 6"}
    assert {call for call in calls if "train 2" in call} == {"train 2 a 4", "train 2 b 6"}
    assert not any(" 0 " in call for call in calls if "label" not in call)
    (directory / "calls.txt").unlink()
    # One core: one after the other.
    more = Plan(games=("hex",), seeds=(0, 1, 2, 3), a=(), b=plan.b)
    assert run(more, directory, [None]) == ["label 0  ", "train 3 b ", "train 3 a ", "measure 3  "]


@pytest.mark.usefixtures("stand_in")
def test_several_comparisons_share_an_arm(tmp_path: Path) -> None:
    plan = Plan(games=("hex",), seeds=(0,), a=("replay.value_lambda=1",), b=("x.y=1",))
    run(plan, tmp_path / "first", [4, 6])
    other = Plan(games=("hex",), seeds=(0, 2), a=plan.a, b=("x.y=2",))
    calls = run(other, tmp_path / "second", [4], baseline=tmp_path / "first")
    assert "train 0 a 4" not in calls
    assert {"train 0 b 4", "train 2 a 4", "train 2 b 4"} <= set(calls)
    cell = Cell("hex", 0).folder(tmp_path / "second")
    assert (cell / "run-a").is_dir()
    assert json.loads((cell / TRAINED.format(arm="a")).read_text())["update"] == 8
    with pytest.raises(ConfigError, match=r"the baseline in .* has"):
        changed = Plan(games=("hex",), seeds=(0,), a=(), b=("x.y=2",))
        run(changed, tmp_path / "third", [4], baseline=tmp_path / "first")


@pytest.mark.usefixtures("stand_in")
def test_the_report_says_which_arm_is_better(tmp_path: Path) -> None:
    plan = Plan(games=("hex", "go"), seeds=(0, 2), a=(), b=("search.num_simulations=4",))
    run(Plan(games=("hex",), seeds=(0, 2), a=(), b=plan.b), tmp_path / "results", [None])
    document = json.loads(json.dumps(report(plan, tmp_path / "results"), allow_nan=False))
    hex_game, go = document["games"]
    assert go["missing_seeds"] == [0, 2] and not go["measures"]
    mistakes, score, versus = hex_game["measures"]
    assert mistakes["verdict"] == "B is worse" and mistakes["difference"]["mean"] == 0.6
    assert [phase["plies"] for phase in mistakes["phases"]] == [[0, 9], [10, 19], [20, 29]]
    assert mistakes["by_seed"] == [[2 / 30, 20 / 30]] * 2
    assert score["difference"]["mean"] == -0.125 and score["verdict"] == "not clear"
    assert versus["b"]["mean"] == 1.0 and versus["elo"][0] is None
    assert hex_game["speed"]["updates_per_second"] == 2.0
    shown = table(document)
    assert "| hex | mistakes at 50 simulations (2 x 30, random moves 50.0 %) | 6.7 % |" in shown
    assert "go: not done yet: seeds 0, 2" in shown


def test_the_settings_of_an_arm_come_after_those_of_both() -> None:
    plan = Plan(games=("hex",), seeds=(0,), a=("x.y=1",), b=("x.y=2",), both=("x.y=0",))
    a, b = (plan.settings(arm, 3) for arm in ARMS)
    assert a.index("x.y=0") < a.index("x.y=1") and "x.y=2" not in a and "x.y=2" in b
    assert a[-1] == "trainer.seed=3"


@pytest.mark.slow
@pytest.mark.parametrize("file", sorted(STORED.glob("*.jsonl")), ids=lambda file: file.stem)
def test_stored_sets_belong_to_the_rules_of_today(file: Path) -> None:
    head = json.loads(file.read_text().partition("\n")[0])
    game = game_spec(head["as"]).make()
    assert set_name(game, file.stem.rpartition("-")[2]) == file.name


@pytest.mark.slow
def test_an_arm_that_does_not_learn_is_worse_and_equal_arms_are_equal(tmp_path: Path) -> None:
    shared = ["--game", "connect_four rows=4 columns=4", "--set", "network.channels=16"]
    shared += ["--minutes", "0.7", "--positions", "150", "--preset", "quick", "--seeds", "2"]
    for name, b, verdict in (
        ("idle", "learner.learning_rate=1e-12", "B is worse"),
        ("equal", "learner.learning_rate=0.002", "not clear"),
    ):
        directory = tmp_path / name
        main(parser().parse_args([*shared, "--b", b, "--output", str(directory)]))
        (game,) = json.loads((directory / "results.json").read_text())["games"]
        assert all(one[arm]["update"] > 50 for one in game["trainings"] for arm in ARMS)
        raw = next(one for one in game["measures"] if "raw network" in one["name"])
        assert raw["verdict"] == verdict, raw["by_seed"]
        folder = Cell(game["game"], 0).folder(directory)
        assert (folder / TRAINED.format(arm="a")).exists()
        assert (folder / MEASURED.format(set="choose")).exists()
