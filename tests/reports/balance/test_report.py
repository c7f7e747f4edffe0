"""The report of runs whose matches are known."""

import json
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import ConfigError, RunError
from selfplay.registry import GameSpec
from selfplay.reports.balance.comparison import compare
from selfplay.reports.balance.report import balance_report, counted_sample
from selfplay.reports.balance.sample import OWN, SELFPLAY
from selfplay.reports.balance.stored import NAME, read_report, write_report
from selfplay.run import RunDirectory, append_evaluation
from tests.dice import Storm
from tests.reports.balance.examples import begun_randomly, game, random_matches, run_with

HEX = GameSpec("hex", {"size": 3, "swap": False})
SWAP = GameSpec("hex", {"size": 3, "swap": True})


def report_of(run: RunDirectory, **more: Any) -> dict[str, Any]:
    spec = run.game_spec
    return balance_report(run, game(spec.spec, **spec.options), **more)


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunDirectory]:
    """Runs of random play with and without the swap; every third match begins with a random move.

    Not to be changed.
    """
    folder = tmp_path_factory.mktemp("balance")
    made = {}
    for name, spec in (("plain", HEX), ("swap", SWAP)):
        matches = [
            match if number % 3 else begun_randomly(match)
            for number, match in enumerate(random_matches(game(spec.spec, **spec.options), 240))
        ]
        made[name] = run_with(folder / name, spec, matches)
    append_evaluation(
        made["plain"].store,
        {"update": 200, "opponent": "random", "score": 0.9, "low": 0.8, "high": 0.95,
         "matches": 40, "score_by_seat": [1.0, 0.8]},
    )  # fmt: skip
    return made


@pytest.fixture(scope="module")
def reports(runs: dict[str, RunDirectory]) -> dict[str, dict[str, Any]]:
    return {name: report_of(run) for name, run in runs.items()}


def test_a_report_is_a_document(reports: dict[str, dict[str, Any]]) -> None:
    for report in reports.values():
        assert json.loads(json.dumps(report, allow_nan=False)) == report
    report = reports["plain"]
    assert (report["game"], report["options"]) == ("hex", {"size": 3, "swap": False})
    assert report["matches"] == 240
    assert report["problems"] == []


def test_matches_that_began_with_random_moves_are_left_out(
    reports: dict[str, dict[str, Any]],
) -> None:
    report = reports["plain"]
    assert report["left_out"]["random_openings"] == 80
    assert sum(sample["matches"] for sample in report["samples"]) == 160
    assert any("80 self-play matches that began with random moves" in n for n in report["notes"])


def test_samples_follow_the_checkpoints(reports: dict[str, dict[str, Any]]) -> None:
    samples = reports["plain"]["samples"]
    assert len(samples) == 3
    assert reports["plain"]["counted"] == 2
    ends = [(sample["first_checkpoint"], sample["last_checkpoint"]) for sample in samples]
    assert ends == sorted(ends)
    for sample in samples:
        assert sample["source"] == SELFPLAY
        assert "noise" in sample["how"]
        assert sample["player_0_begins"] == 1.0
        assert 1 < sample["branching"]["mean"] <= 9
        assert sample["draws"]["mean"] == 0


def test_the_swap_is_one_more_action_and_named(reports: dict[str, dict[str, Any]]) -> None:
    assert reports["plain"]["actions"]["all"] == 9
    assert reports["swap"]["actions"]["all"] == 10
    plain, swap = (one["samples"][one["counted"]]["branching"] for one in reports.values())
    assert swap["mean"] > plain["mean"]
    lines = reports["swap"]["openings"]["lines"]["most_played"]
    assert all(len(line["moves"]) == 2 for line in lines)
    assert "swap" in [line["moves"][1] for line in lines]
    # a1 and c3 are one first move.
    assert reports["plain"]["openings"]["mirrored"] == ["half turn"]
    assert reports["plain"]["openings"]["first_moves"]["different"] == 5


def test_the_stronger_side_is_that_of_the_evaluations(reports: dict[str, dict[str, Any]]) -> None:
    (row,) = reports["plain"]["skill"]
    assert (row["stronger"], row["weaker"]) == ("checkpoint 200", "random")
    assert row["score"] == {"mean": 0.9, "low": 0.8, "high": 0.95}
    assert (row["as_player_0"], row["as_player_1"]) == (1.0, 0.8)
    assert reports["swap"]["skill"] == []


def test_a_checkpoint_leaves_out_what_came_later(runs: dict[str, RunDirectory]) -> None:
    report = report_of(runs["plain"], update=119)
    assert report["matches"] == 120
    assert max(sample["last_checkpoint"] for sample in report["samples"]) <= 119
    assert report["skill"] == []
    with pytest.raises(RunError, match="no finished matches up to checkpoint 0"):
        report_of(run_with(Path(runs["plain"].url) / "sub", HEX, []), update=0)


def test_where_every_match_begins_at_random_it_says_so(tmp_path: Path) -> None:
    matches = [
        begun_randomly(match) for match in random_matches(game(HEX.spec, **HEX.options), 240)[:10]
    ]
    report = report_of(run_with(tmp_path / "run", HEX, matches))
    assert sum(sample["matches"] for sample in report["samples"]) == 10
    assert "every match begins with random moves" in report["samples"][0]["how"]
    assert any("that the players did not choose" in note for note in report["notes"])
    assert "Only 10 different matches count" in report["verdicts"][1]


def test_dice_scores_and_double_moves(tmp_path: Path) -> None:
    matches = random_matches(Storm(), 60)
    run = run_with(tmp_path / "run", GameSpec("tests/dice.py:Storm"), matches)
    report = report_of(run)
    assert report["chance"]
    assert any("moves and luck together" in note for note in report["notes"])
    sample = report["samples"][report["counted"]]
    assert sample["result"] is not None
    results = [match.returns[0] for match in matches]
    assert sample["result"]["mean"] == pytest.approx(sum(results) / 60)
    assert report["openings"]["mirrored"] == []


def test_two_variants_are_compared(reports: dict[str, dict[str, Any]]) -> None:
    found = compare(reports["plain"], reports["swap"])
    rows = {row["measure"]: row for row in found["differences"]}
    # Random play has one more choice where it may swap; the first player has no more luck by it.
    assert rows["branching"]["difference"] > 0
    assert rows["branching"]["first"]["mean"] < rows["branching"]["second"]["mean"]
    assert rows["first_score"]["exceeds"] is False
    for row in rows.values():
        if row["low"] is not None:
            assert row["low"] <= row["difference"] <= row["high"]
    again = compare(reports["plain"], reports["plain"])
    assert not any(row["exceeds"] for row in again["differences"])
    assert "both runs have the same rules" in again["notes"][0]


def test_a_real_difference_exceeds_its_interval(tmp_path: Path) -> None:
    matches = random_matches(game(HEX.spec, **HEX.options), 240)
    won = [match for match in matches if match.returns[0] > 0]
    lost = [match for match in matches if match.returns[0] < 0]
    first, second = (
        report_of(run_with(tmp_path / name, HEX, some, checkpoints=[1] * len(some)))
        for name, some in (("won", won), ("lost", lost))
    )
    assert "an advantage for the first player" in first["verdicts"][0]
    assert "an advantage for the second player" in second["verdicts"][0]
    (row,) = (
        row for row in compare(first, second)["differences"] if row["measure"] == "first_score"
    )
    assert (row["difference"], row["exceeds"]) == (-1.0, True)


def test_games_of_other_names_are_compared_only_if_asked(
    reports: dict[str, dict[str, Any]],
) -> None:
    other = {**reports["swap"], "game": "othello"}
    with pytest.raises(ConfigError, match=r"of hex, but .* of othello") as caught:
        compare(reports["plain"], other)
    assert "--any-game" in caught.value.hint
    assert compare(reports["plain"], other, any_game=True)["differences"]


def test_the_sample_that_counts_is_the_newest_without_noise() -> None:
    def one(source: str, update: int, simulations: int, matches: int) -> dict[str, Any]:
        return {"source": source, "last_checkpoint": update, "simulations": simulations,
                "matches": matches}  # fmt: skip

    trained = [one(SELFPLAY, 10, 32, 500), one(SELFPLAY, 20, 32, 500)]
    assert counted_sample(trained) == 1
    assert counted_sample([*trained, one(OWN, 20, 16, 64), one(OWN, 20, 64, 64)]) == 3
    # Few matches of the highest level do not outweigh many.
    assert counted_sample([*trained, one(OWN, 20, 16, 64), one(OWN, 20, 64, 8)]) == 2
    assert counted_sample([*trained, one(OWN, 20, 64, 8)]) == 1
    assert counted_sample([*trained, one(OWN, 10, 64, 64), one(OWN, 20, 16, 64)]) == 3
    assert counted_sample([one(OWN, 20, 64, 8)]) == 0


def test_a_report_is_kept_in_its_run(
    runs: dict[str, RunDirectory], reports: dict[str, dict[str, Any]], tmp_path: Path
) -> None:
    run = run_with(tmp_path / "run", HEX, [])
    assert read_report(run) is None
    write_report(run, reports["plain"])
    assert read_report(run) == reports["plain"]
    run.store.write(NAME, b"{damaged")
    assert read_report(run) is None
