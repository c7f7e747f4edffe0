"""The ladder of a run, and what `arena` can do beside a table, as a person uses them."""

import json
import re
from pathlib import Path

import pytest

from selfplay.arena import SearchAgent, equal_time
from selfplay.arena.equal_time import TimedAgent
from selfplay.reports import ladder_matches
from selfplay.reports.variants import parse_settings
from selfplay.run import RunDirectory, append_evaluation, read_evaluations, read_ladder_matches
from tests.cli.conftest import Invoke


def store(run: Path, update: int, opponent: str, won: int, lost: int = 0) -> None:
    """Stores an evaluation in which so many pairs of matches were won or lost 2-0."""
    matches = [
        {"opening": pair, "seat": seat, "actions": [update, pair, seat], "score": float(pair < won)}
        for pair in range(won + lost)
        for seat in (0, 1)
    ]
    summary = {"update": update, "opponent": opponent, "simulations": 8, "score": 0.5}
    append_evaluation(run, {**summary, "low": 0.0, "high": 1.0}, matches)


def elo(document: dict[str, object], agent: str) -> float:
    """Returns the rating of an agent in a document."""
    agents = document["agents"]
    assert isinstance(agents, list)
    return float(next(one["elo"] for one in agents if one["agent"] == agent))


def test_a_ladder_rates_stored_evaluations(invoke: Invoke, own_run: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    for file in (own_run / "ratings").iterdir():
        file.unlink()
    store(own_run, 4, "random", 12, 8)
    store(own_run, 8, "random", 18, 2)
    store(own_run, 8, "@4", 14, 6)
    # A checkpoint that was pruned long ago.
    store(own_run, 2, "random", 10, 10)
    picture = tmp_path / "ladder.png"
    result = invoke("ladder", own_run, "--output", picture, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    names = [agent["agent"] for agent in document["agents"]]
    assert names[:2] == [f"{own_run}@8:8", f"{own_run}@4:8"]
    assert sorted(names[2:]) == sorted(["random", f"{own_run}@2:8"])
    assert (document["anchor"], elo(document, "random")) == ("random", 0)
    assert document["matches"] == 2 * 80 and document["played_matches"] == 0
    for agent in document["agents"]:
        low, high = agent["interval"]
        assert low <= agent["elo"] <= high and agent["connected"]
    assert {(one["matches"], one["distinct_pairs"]) for one in document["pairings"]} == {(40, 20)}
    assert picture.read_bytes().startswith(b"\x89PNG")
    text = invoke("ladder", own_run).stdout
    rows = [line.split() for line in text.splitlines()]
    assert rows[1][0] == "@8:8" and "Elo above random, from 160 matches" in text


def test_who_won_every_match_has_only_a_bound(
    invoke: Invoke, own_run: Path, tmp_path: Path
) -> None:
    pytest.importorskip("matplotlib")
    for file in (own_run / "ratings").iterdir():
        file.unlink()
    store(own_run, 4, "random", 14, 6)
    store(own_run, 8, "random", 20, 0)
    picture = tmp_path / "ladder.svg"
    lines = invoke("ladder", own_run, "--output", picture).stdout.splitlines()
    row = next(line for line in lines if line.startswith("@8:8"))
    assert re.search(r"@8:8 +- +above \+[\d,]+ +40  won every match", row), row
    assert "who won or lost every match has only a bound; more matches rate it" in lines
    assert "at least: won every match" in picture.read_text()


def test_of_many_checkpoints_some_are_shown(invoke: Invoke, own_run: Path) -> None:
    for update in range(10, 70):
        store(own_run, update, "random", 3, 1)
    lines = invoke("ladder", own_run).stdout.splitlines()
    rows = [line.split()[0] for line in lines if line.startswith(("@", "random"))]
    assert len(rows) <= 41 and {"random", "@69:8"} <= set(rows)
    assert any(line.startswith(f"{len(rows)} of ") for line in lines)
    document = json.loads(invoke("ladder", own_run, "--json").stdout)
    assert len(document["agents"]) > 60


def test_a_ladder_plays_where_least_is_known_and_keeps_the_matches(
    invoke: Invoke, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert ladder_matches.OPPONENTS == ("random", "mcts:100", "mcts:1000")
    # Quicker ones.
    monkeypatch.setattr(ladder_matches, "OPPONENTS", ("random", "mcts:4"))
    before = len(read_evaluations(own_run))
    asked = ("ladder", own_run, "--json", "--checkpoints", 2)
    result = invoke(*asked, "--minutes", 0.02)
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    rounds = read_ladder_matches(own_run)
    assert document["played_matches"] == sum(len(one["matches"]) for one in rounds) >= 8
    names = {agent["agent"] for agent in document["agents"]}
    assert {"random", "mcts:4", "solver"} <= names
    assert {f"{own_run}@4:8", f"{own_run}@8:8"} <= names
    # Beside the evaluations, which status and curve show as they did before.
    assert len(read_evaluations(own_run)) == before
    # They are there the next time, and no match is played twice.
    again = json.loads(invoke(*asked, "--minutes", 0.01).stdout)
    assert again["matches"] == document["matches"] + again["played_matches"]
    seeds = [
        (tuple(sorted(agent["agent"] for agent in one["agents"])), one["seed"])
        for one in read_ladder_matches(own_run)
    ]
    assert len(set(seeds)) == len(seeds)


def test_a_run_that_may_not_be_written_to_is_rated_without_playing(
    invoke: Invoke, own_run: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(own_run, 8, "random", 18, 2)
    monkeypatch.setattr("os.access", lambda path, mode: False)
    result = invoke("ladder", own_run, "--minutes", 1, "--json")
    assert result.exit_code == 0, result.stderr
    assert "note: nothing is played: " in result.stderr and "may not be written to" in result.stderr
    assert json.loads(result.stdout)["played_matches"] == 0


def test_two_runs_are_rated_together(invoke: Invoke, own_run: Path, trained: Path) -> None:
    store(own_run, 8, "random", 15, 5)
    document = json.loads(invoke("ladder", own_run, trained, "--json").stdout)
    assert document["runs"] == [str(own_run), str(trained)]
    runs = {agent["run"] for agent in document["agents"]}
    assert {str(own_run), str(trained), None} == runs
    assert f"{own_run}@8:8" in invoke("ladder", own_run, trained).stdout


def test_a_ladder_refuses(invoke: Invoke, own_run: Path, tmp_path: Path) -> None:
    for file in (own_run / "ratings").iterdir():
        file.unlink()
    for arguments, status, message, hint in (
        ((own_run,), 1, "has no matches to rate its checkpoints by", "--minutes 5"),
        ((tmp_path / "none",), 1, "does not exist", "name a directory"),
        ((f"{own_run}@7",), 1, "has no checkpoint 7", "complete checkpoints are: "),
        ((own_run, "--minutes", "-1"), 2, "--minutes is -1, but must be at least 0", ""),
        ((own_run, "--checkpoints", "0"), 2, "--checkpoints is 0, but must be at least 1", ""),
        ((own_run, "--output", "x.txt"), 2, "the ending of --output is '.txt'", ""),
        (
            (own_run, "--minutes", "1", "--opponent", "mcts:one"),
            2,
            "the simulations of mcts must be a number of at least 2",
            "write mcts:200",
        ),
    ):
        result = invoke("ladder", *arguments)
        assert (result.exit_code, result.stdout) == (status, ""), result.stderr
        assert message in result.stderr and hint in result.stderr
    # Two that have met each other, but nobody whom the others know.
    store(own_run, 8, "random", 15, 5)
    store(own_run, 4, "@2", 15, 5)
    apart = invoke("ladder", own_run)
    assert (apart.exit_code, apart.stdout) == (1, "")
    assert "no matches lead from random to" in apart.stderr
    assert f"{own_run}@4:8" in apart.stderr and "let them meet" in apart.stderr


def test_a_ladder_refuses_runs_of_different_games(
    invoke: Invoke, own_run: Path, tmp_path: Path
) -> None:
    from selfplay.registry import GameSpec
    from selfplay.settings import Config

    spec = GameSpec("hex", {"size": 3})
    other = RunDirectory.create(tmp_path / "hex", spec, spec.make(), Config())
    result = invoke("ladder", own_run, other.path)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "has other rules than" in result.stderr and "one game" in result.stderr


def test_a_sequential_test_ends_with_a_verdict(invoke: Invoke) -> None:
    asked = ("arena", "solver", "random", "--game", "tic_tac_toe", "--sprt", "--elo1", 100)
    result = invoke(*asked, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    test = document["sprt"]
    assert test["verdict"] == "elo1" and test["elo0"] == 0 and test["elo1"] == 100
    assert test["log_likelihood_ratio"] >= test["bounds"][1] > 0 > test["bounds"][0]
    assert document["matches"] < test["max_matches"] and test["pairs"] <= document["matches"] / 2
    text = " ".join(invoke(*asked).stdout.split())
    assert "verdict +100 Elo rather than +0: solver passes against random" in text
    assert "at most 5 % of the time" in text


def test_a_sequential_test_ends_where_all_openings_are_played(
    invoke: Invoke, tmp_path: Path
) -> None:
    """Perfect play never loses to itself; the nine openings of one ply are soon played."""
    asked = ("arena", "solver", "solver", "--game", "tic_tac_toe", "--sprt", "--opening-plies", 1)
    file = tmp_path / "played.json"
    told = invoke(*asked, "--elo1", 5, "--save-openings", file, "--json")
    document = json.loads(told.stdout)
    assert document["matches"] == 18
    # All that it has played are saved, and saving them limits nothing.
    saved = json.loads(file.read_text())
    assert len(saved["openings"]) == 9 and saved["id"] == document["opening_set"]
    again = invoke(*asked, "--elo1", 5, "--save-openings", file)
    assert again.exit_code == 2 and "that exists already" in again.stderr
    assert (document["sprt"]["verdict"], document["sprt"]["exhausted"]) == ("open", True)
    few = invoke(*asked, "--elo1", 5, "--matches", 4)
    assert "undecided between +0 and +5 Elo when 4 matches were played" in " ".join(
        few.stdout.split()
    )


def test_strength_by_simulations(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "strength.svg"
    asked = ("arena", trained, "random", "--simulations", "1,4", "--matches", 16)
    result = invoke(*asked, "--output", picture, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert [row["simulations"] for row in document["strength"]] == [1, 4]
    assert (document["agent"], document["opponent"]) == (f"{trained}@8", "random")
    assert document["matches"] == 32
    assert sum(one["matches"] for one in document["pairings"]) == 32
    for row in document["strength"]:
        low, high = row["interval"]
        assert low <= row["elo"] <= high
    assert b"<svg" in picture.read_bytes()


def test_settings_of_the_search_are_compared(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "settings.png"
    asked = ("arena", f"{trained}:4", f"{trained}:2", "--vary", "search.value_scale=0.1,3")
    result = invoke(*asked, "--matches", 8, "--output", picture, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    found = {row["settings"] for row in document["strength"]}
    assert found == {"search.value_scale=0.1", "search.value_scale=3"}
    assert {row["simulations"] for row in document["strength"]} == {4}
    assert document["opponent"] == f"{trained}@8:2"
    assert sum(row["matches"] for row in document["strength"]) >= document["matches"] == 16
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_all_combinations_of_settings_are_compared() -> None:
    found = parse_settings(["search.value_scale=0.1,3", "search.max_depth=1, 4"])
    assert [variant.settings for variant in found] == [
        "search.value_scale=0.1 search.max_depth=1",
        "search.value_scale=0.1 search.max_depth=4",
        "search.value_scale=3 search.max_depth=1",
        "search.value_scale=3 search.max_depth=4",
    ]


def test_agents_get_their_time(
    invoke: Invoke, trained: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def four(agent: SearchAgent, seconds: float, *, batch_size: int) -> TimedAgent:
        made = agent.resized(num_simulations=4, batch_size=batch_size, keep_trees=False)
        return TimedAgent(agent=made, simulations=4, seconds=0.9 * seconds)

    monkeypatch.setattr(equal_time, "simulations_in", four)
    asked = ("arena", trained, "random", "--matches", 4, "--seconds-per-move", "0.02,1")
    result = invoke(*asked, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    ours, other = document["time"]
    assert document["agents"] == [f"{trained}@8:4", "random"]
    assert ours == {
        "agent": f"{trained}@8:4",
        "seconds": 0.02,
        "simulations": 4,
        "measured_seconds": pytest.approx(0.018),
    }
    assert (other["seconds"], other["simulations"], other["measured_seconds"]) == (1, None, None)


@pytest.mark.slow
def test_equal_time_is_measured(invoke: Invoke, trained: Path) -> None:
    asked = ("arena", trained, "mcts:8", "--matches", 4, "--seconds-per-move", "0.05")
    result = invoke(*asked, "--json")
    assert result.exit_code == 0, result.stderr
    for one in json.loads(result.stdout)["time"]:
        assert one["simulations"] >= 2
        # Only the order: other work on the machine may come in between.
        assert 0.2 < one["measured_seconds"] / 0.05 < 5


@pytest.mark.parametrize(
    ("options", "message", "hint"),
    [
        (
            ("--sprt", "--elo0", 5, "--elo1", 5),
            "elo0 is 5, but must be below elo1, which is 5",
            "the difference that is not enough",
        ),
        (
            ("--sprt", "--alpha", 0.5, "--beta", 0.5),
            "alpha is 0.5 and beta is 0.5, but their sum must be below 1",
            "says nothing",
        ),
        (("--sprt", "--alpha", 0), "alpha is 0, but must be above 0 and below 1", "once in 20"),
        (("--elo1", 5), "--elo1 is 5, but no sequential test is asked for", "add --sprt"),
        (("--simulations", "1,x"), "'x' is not a number of simulations", "1,4,16"),
        (("--simulations", "1,,4"), "'' is not a number of simulations", "1,4,16"),
        (("--simulations", "4,4"), "must have two different numbers", "RUN@UPDATE:64"),
        (
            ("--vary", "network.blocks=1,2"),
            "must be a setting of the search with its values",
            "--vary search.value_scale",
        ),
        (("--vary", "search.value_scale"), "must be a setting of the search", "=0.1,0.3,1"),
        (("--vary", "search.value_scale=1"), "gives 1 combinations", "commas between"),
        (("--vary", "search.value_scale=1,-1"), "search.value_scale is -1, but must be above", ""),
        (
            ("--vary", "search.value_scale=1,2", "--simulations", "1,4"),
            "does not go together with --vary",
            "leave one",
        ),
        (("--simulations", "1,4", "--sprt"), "does not go together with --sprt", "leave one"),
        (
            ("--output", "x.png"),
            "only what --simulations or --vary finds is drawn",
            "add --simulations",
        ),
        (("--seconds-per-move", "soon"), "--seconds-per-move is 'soon'", "0.1,0.5"),
        (("--seconds-per-move", "0"), "--seconds-per-move is '0'", "0.1,0.5"),
        (("--seconds-per-move", "1,2,3"), "--seconds-per-move is '1,2,3'", "0.1,0.5"),
    ],
)
def test_arena_refuses(
    invoke: Invoke, options: tuple[object, ...], message: str, hint: str
) -> None:
    result = invoke("arena", "random", "random", "--game", "tic_tac_toe", *options)
    assert (result.exit_code, result.stdout) == (2, "")
    assert message in result.stderr and hint in result.stderr.partition("hint: ")[2]


def test_arena_refuses_simulations_of_what_is_no_run(invoke: Invoke, trained: Path) -> None:
    for agent, message in (
        (f"{trained}@8:4", "--simulations says how hard it searches"),
        (f"{trained}@7", "has no checkpoint 7"),
    ):
        result = invoke("arena", agent, "random", "--simulations", "1,4")
        assert result.exit_code in (1, 2) and result.stdout == ""
        assert message in result.stderr
