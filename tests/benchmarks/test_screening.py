"""Many switches measured at once: the design, the effects, the processes."""

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.paired_training.arm import MEASURED, TRAINED
from benchmarks.paired_training.factorial import design, effects
from benchmarks.screening import folder, main, named_switch, parser, plans
from selfplay.errors import ConfigError

GAMES = ("hex size=4", "kalah pits=4 seeds=3", "tic_tac_toe")


@pytest.mark.parametrize("seed", range(5))
def test_every_two_switches_are_on_together_in_a_quarter_of_the_trainings(seed: int) -> None:
    on = design(15, 16, seed=seed)
    both = on[:, :, None] & on[:, None, :]
    assert (on.sum(axis=0) == 8).all()
    assert (both.sum(axis=0)[~np.eye(15, dtype=bool)] == 4).all()


def test_what_two_switches_do_together_is_mixed_with_another_one_in_each_game() -> None:
    def mixed_with(seed: int) -> int:
        signs = np.where(design(15, 16, seed=seed), 1, -1)
        shared = np.abs(signs.T @ (signs[:, 0] * signs[:, 1]))
        return int(shared.argmax())

    assert len({mixed_with(seed) for seed in range(6)}) > 2


@pytest.mark.parametrize("switches, trainings", [(16, 16), (0, 8), (3, 12), (1, 2)])
def test_trainings_that_cannot_tell_are_refused(switches: int, trainings: int) -> None:
    with pytest.raises(ConfigError):
        design(switches, trainings, seed=0)


def drawn(
    rng: np.random.Generator, *, noise: float
) -> tuple[dict[str, Any], dict[str, Any], np.ndarray]:
    """Returns a design of three games, results with known effects, and these."""
    truth = rng.normal(0, 0.3, 15)
    on = {game: design(15, 16, seed=number) for number, game in enumerate(GAMES)}
    results = {
        game: np.exp(number - 3 + (switched - 0.5) @ truth + noise * rng.standard_normal(16))
        for number, (game, switched) in enumerate(on.items())
    }
    return on, results, np.exp(truth)


def test_effects_are_ratios_whatever_the_games_differ_in() -> None:
    on, results, truth = drawn(np.random.default_rng(0), noise=1e-6)
    found = effects(on, results)
    assert [one.ratio for one in found] == pytest.approx(truth, rel=1e-4)
    assert [one.by_game["tic_tac_toe"] for one in found] == pytest.approx(truth, rel=1e-4)


def test_the_interval_holds_the_truth_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(1), []
    for _ in range(60):
        on, results, truth = drawn(rng, noise=0.3)
        found = effects(on, results)
        held += [one.low <= true <= one.high for one, true in zip(found, truth, strict=True)]
    assert 0.93 <= np.mean(held) <= 0.97


def test_an_effect_of_one_game_only_makes_all_intervals_wider() -> None:
    on, results, _ = drawn(np.random.default_rng(2), noise=0.1)
    before = effects(on, results)[0]
    game = GAMES[0]
    results[game] = results[game] * np.exp(2 * (on[game][:, 3] - 0.5))
    after = effects(on, results)[0]
    assert after.high / after.low > 1.5 * before.high / before.low


def test_one_game_alone_leaves_no_interval_and_missing_trainings_are_left_out() -> None:
    on, results, truth = drawn(np.random.default_rng(3), noise=0.01)
    alone = effects({GAMES[0]: on[GAMES[0]]}, {GAMES[0]: results[GAMES[0]]})[0]
    assert alone.high == math.inf and alone.to_dict()["high"] is None
    assert alone.ratio == pytest.approx(truth[0], rel=0.05)
    results[GAMES[2]][5:] = math.nan
    assert effects(on, results)[0].ratio == pytest.approx(truth[0], rel=0.05)


@pytest.mark.parametrize("mean", [3.0, 40.0])
def test_the_interval_of_counts_holds_the_truth_as_often_as_it_says(mean: float) -> None:
    rng, held = np.random.default_rng(4), []
    for _ in range(60):
        on, results, truth = drawn(rng, noise=0.2)
        drawn_counts = {
            game: rng.poisson(mean * rates / rates.mean()).astype(float)
            for game, rates in results.items()
        }
        found = effects(on, drawn_counts, counts=True)
        held += [one.low <= true <= one.high for one, true in zip(found, truth, strict=True)]
    assert 0.92 <= np.mean(held) <= 0.98


def test_a_game_with_hardly_a_mistake_tells_little() -> None:
    on, results, truth = drawn(np.random.default_rng(5), noise=0.01)
    found = {game: np.round(1000 * rates / rates.mean()) for game, rates in results.items()}
    found[GAMES[1]] = np.zeros(16)
    assert [one.ratio for one in effects(on, found, counts=True)] == pytest.approx(truth, rel=0.1)
    found[GAMES[1]][3] = 1
    assert [one.ratio for one in effects(on, found, counts=True)] == pytest.approx(truth, rel=0.1)


def test_a_switch_has_a_name_or_is_its_own() -> None:
    assert named_switch("cap: a.b=1 c.d=2") == ("cap", ("a.b=1", "c.d=2"))
    assert named_switch("a.b=x:y") == ("a.b=x:y", ("a.b=x:y",))


def test_a_setting_that_does_not_exist_is_refused_before_any_training(tmp_path: Path) -> None:
    asked = parser().parse_args(
        [
            *("--game", "hex size=4", "--trainings", "4"),
            *("--switch", "x: search.simulation=1", "--output", str(tmp_path / "found")),
        ]
    )
    with pytest.raises(ConfigError, match="simulation"):
        main(asked)
    assert not (tmp_path / "found").exists()


def test_results_of_trainings_become_a_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--game", "tic_tac_toe", "--trainings", "4", "--output", str(tmp_path)]
    options += ["--switch", "few: search.num_simulations=4", "--switch", "m: learner.optimizer=sgd"]
    asked = parser().parse_args([*options, "--only-report"])
    asked.switches = [named_switch(text) for text in asked.switch]
    for number, plan in enumerate(plans(asked)["tic_tac_toe"]):
        place = next(plan.cells).folder(folder(tmp_path, "tic_tac_toe", number))
        place.mkdir(parents=True)
        mistakes = {}
        for arm, settings in (("a", plan.a), ("b", plan.b)):
            wrong = 60 if "search.num_simulations=4" in settings else 30
            rows = [1] * wrong + [0] * (199 - wrong)
            mistakes[arm] = {"search": rows, "raw": rows}
            rates = {"positions_per_second": 10.0, "updates_per_second": 2.0}
            if number == 0:
                (warm := place.parents[1] / "warm").mkdir(exist_ok=True)
                (warm / f"tic_tac_toe-{arm}.json").write_text('{"cpu_seconds": 12.5}')
            (place / TRAINED.format(arm=arm)).write_text(json.dumps(rates))
        (place / MEASURED.format(set="choose")).write_text(json.dumps({"mistakes": mistakes}))
    main(asked)
    shown = capsys.readouterr().out
    assert shown.index("| m |") < shown.index("| few |")
    document = json.loads((tmp_path / "results.json").read_text())
    assert document["median"]["start_seconds"] == {"tic_tac_toe": 12.5}
    assert document["effects"]["mistakes"]["few"]["ratio"] == pytest.approx(2)
    assert document["effects"]["mistakes"]["m"]["ratio"] == pytest.approx(1)
    assert document["effects"].keys() == {
        *("mistakes", "raw_mistakes", "positions_per_second", "updates_per_second"),
        "start_seconds",
    }
    assert document["effects"]["positions_per_second"]["few"]["ratio"] == pytest.approx(1)
