"""selfplay check, for people and for scripts."""

import json
import re
from pathlib import Path

import pytest

from selfplay.check.learning import trial
from selfplay.check.learning.result import TrialResult
from selfplay.cli import live_line
from tests.cli.conftest import TINY, Invoke

CORPUS = Path(__file__).parents[1] / "check" / "planted"
GAMES = f"{CORPUS / 'games.py'}"
HIDDEN = f"{CORPUS.parent / 'real_rules' / 'hidden.py'}:Kuhn"
WARNED = f"{CORPUS / 'warned.py'}"
COUNTED = f"{CORPUS / 'learning.py'}:Counted"

EARLY = """
import selfplay

class Early(selfplay.PythonGame):
    name, num_actions, max_plies = "early", 3, 3

    def initial_state(self, rng):
        return 0, 0

    def apply(self, state, action):
        number, ply = state
        if state == (22, 2):
            # Two plies deep one position of nine fails.
            raise KeyError("piece")
        return number * 10 + action, ply + 1

    def legal_actions(self, state):
        return list(range(3))

    def current_player(self, state):
        return state[1] % 2

    def is_terminal(self, state):
        return state[1] >= 3

    def returns(self, state):
        return (0, 0) if state[1] < 3 else (1, -1) if state[0] % 2 else (-1, 1)

    def observe(self, state):
        return [state[0] / 1e6, state[1] / 3]
"""


def test_help_has_examples(invoke: Invoke) -> None:
    result = invoke("check", "--help")
    assert result.exit_code == 0
    assert "\n    selfplay check connect_four" in result.stdout
    assert "--json" in result.stdout


def test_a_sound_game(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(live_line, "LINE_SECONDS", 0.001)
    result = invoke("check", f"{GAMES}:Walk", "--matches", 16)
    assert result.exit_code == 0, result.stderr
    assert result.stdout.endswith("\nwalk: nothing wrong was found\n")
    text = " ".join(result.stdout.split())
    assert "tried 16 random matches" in text
    assert "turns the players take turns" in text
    assert "twin 16 of 16 matches looked the same to their end" in text
    assert "state 8 B; observation [11], 44 B" in text
    # Where no terminal shows it, the progress comes as lines with the time.
    assert re.search(r"^playing 16 random matches, \d", result.stderr, re.MULTILINE)


def test_a_broken_game_for_scripts(invoke: Invoke) -> None:
    result = invoke("check", f"{GAMES}:StandingStillIsLegal", "--matches", 16, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert document["game"] == "walk"
    assert document["ok"] is False
    (problem,) = document["problems"]
    assert problem["rule"] == "nothing-changes"
    assert problem["moves"] == [0]
    assert problem["message"]
    assert document["measures"]["matches"] == 16


def test_a_fault_of_a_plain_python_game_for_scripts(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "early.py"
    file.write_text(EARLY)
    result = invoke("check", file, "--matches", 8, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert (document["game"], document["ok"]) == ("early", False)
    (problem,) = document["problems"]
    assert (problem["rule"], problem["moves"]) == ("exception", [2, 2])
    assert "KeyError: 'piece' (early.py, line 14)" in problem["message"]


def test_a_script_reads_a_document_whatever_happens(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("out of luck")

    monkeypatch.setattr("selfplay.check.conformance.examine", fail)
    for game, exit_code in ((f"{GAMES}:Walk", 1), ("no_such_game", 2)):
        result = invoke("check", game, "--json")
        assert result.exit_code == exit_code
        document = json.loads(result.stdout)
        assert (document["game"], document["ok"], document["problems"]) == (game, False, [])
        assert document["error"]
        assert result.stderr.startswith("error: ")


def test_results_that_are_no_numbers_do_not_spoil_the_document(invoke: Invoke) -> None:
    result = invoke("check", f"{GAMES}:ResultIsNoNumber", "--matches", 16, "--json")
    assert result.exit_code == 1
    document = json.loads(result.stdout)
    assert [problem["rule"] for problem in document["problems"]] == ["returns"]
    assert 0 <= document["measures"]["first_player_score"] <= 1


def test_a_broken_game_for_people(invoke: Invoke) -> None:
    result = invoke("check", f"{GAMES}:TurnIsNeverHandedOver", "--matches", 16, "--learn")
    assert result.exit_code == 1
    assert result.stdout.startswith("player: player 0 is to move at every ply")
    assert "  change: hand the turn over in step" in result.stdout
    assert "turns player 1 never moves" in " ".join(result.stdout.split())
    assert "plain: 1 rule is broken" in result.stdout
    assert result.stdout.endswith("not trained: first correct what is wrong\n")


def test_a_game_that_cannot_even_be_made(invoke: Invoke) -> None:
    result = invoke("check", f"{GAMES}:TypeChangesInStep", "--json")
    assert result.exit_code == 1
    (problem,) = json.loads(result.stdout)["problems"]
    assert problem["rule"] == "contract"
    assert "step() returns float32[]" in problem["message"]
    shown = invoke("check", f"{GAMES}:TypeChangesInStep").stdout
    assert shown.startswith("contract: ")
    assert re.search(r"[^\n]\n\nwalk: 1 rule is broken\n$", shown)


@pytest.mark.parametrize("broken", ["def x(:", "class Half(selfplay.Game): pass"])
def test_a_file_that_cannot_be_read_as_a_game(broken: str, invoke: Invoke, tmp_path: Path) -> None:
    (tmp_path / "half.py").write_text(f"import selfplay\n{broken}\n")
    result = invoke("check", tmp_path / "half.py")
    assert result.exit_code == 1
    assert "rule: the file can be imported, and its class has all methods" in result.stdout
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("where", ["import", "trace"])
def test_debug_shows_the_traceback_of_what_the_report_says_in_one_line(
    where: str, invoke: Invoke, tmp_path: Path
) -> None:
    (tmp_path / "fails.py").write_text("import math\nmath.absent\n")
    game = {"import": str(tmp_path / "fails.py"), "trace": f"{GAMES}:IfOnAnArray"}[where]
    result = invoke("--debug", "check", game)
    assert result.exit_code == 1
    assert "contract: " in result.stdout
    assert "Traceback (most recent call last)" in result.stderr
    assert {"import": "math.absent", "trace": "in is_terminal"}[where] in result.stderr


def test_warnings_have_the_shape_of_problems_and_do_not_fail_the_check(invoke: Invoke) -> None:
    result = invoke("check", HIDDEN, "--matches", 16, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert document["ok"] and document["problems"] == []
    warning = next(one for one in document["warnings"] if one["rule"] == "look-alike")
    assert warning["moves"] and warning["other"]["moves"] and warning["law"]
    assert "the same move leads to another end or result" in warning["message"]
    assert "an agent knows in every search what a player could not know" in warning["change"]


def test_warnings_for_people(invoke: Invoke) -> None:
    result = invoke("check", f"{WARNED}:LastStepLoses", "--matches", 16)
    assert result.exit_code == 0, result.stderr
    assert "\nwarning: whoever makes the last move always loses\n  rule: " in result.stdout
    assert result.stdout.endswith("walk: nothing wrong was found\n")


def test_a_typing_mistake_is_a_usage_error(invoke: Invoke) -> None:
    assert invoke("check", "tic_tac_to").exit_code == 2
    assert invoke("check", COUNTED, "--matches", 2).exit_code == 2


def test_two_games_that_agree(invoke: Invoke) -> None:
    result = invoke("check", f"{GAMES}:Plain", "--against", COUNTED, "--observations")
    assert result.exit_code == 0, result.stderr
    assert "agree on players, legal actions, ends and results and observations" in result.stdout
    assert "256 random matches" in result.stdout


def test_two_games_that_differ(invoke: Invoke) -> None:
    command = ("check", f"{GAMES}:Plain", "--against", f"{GAMES}:OnlyPlayerZeroCanEndIt")
    result = invoke(*command)
    assert result.exit_code == 1
    assert "against: the match is over: True in" in result.stdout
    document = json.loads(invoke(*command, "--json").stdout)
    assert document["problems"][0]["rule"] == "against"
    assert len(document["problems"][0]["moves"]) == 6


@pytest.mark.parametrize("verdict", ["learned", "not learned"])
def test_learn_reports_the_trial(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, verdict: str
) -> None:
    def fake(spec: object, **settings: object) -> TrialResult:
        return TrialResult(
            verdict=verdict,
            scores=(),
            suspects=("value sign: suspicious",) if verdict != "learned" else (),
            notes=(),
            updates=3,
            matches=4,
            positions=5,
            evidence={},
        )

    monkeypatch.setattr(trial, "run_trial", fake)
    command = ("check", f"{GAMES}:Walk", "--matches", 16, "--learn")
    result = invoke(*command)
    assert result.exit_code == (0 if verdict == "learned" else 1)
    assert f"verdict  {verdict}: " in result.stdout
    document = json.loads(invoke(*command, "--json").stdout)
    assert document["learn"]["learned"] == document["ok"] == (verdict == "learned")


def test_arena_and_train_say_that_the_search_sees_what_is_hidden(
    invoke: Invoke, tmp_path: Path
) -> None:
    command = ("arena", "random", "random", "--game", HIDDEN, "--matches", 2)
    told = " ".join(invoke(*command).stderr.split())
    assert "kuhn hides information from the players, but every search sees the whole state" in told
    run = tmp_path / "run"
    trained = invoke("train", HIDDEN, *TINY, "--updates", 1, "--run", run)
    assert "kuhn hides information from the players" in " ".join(
        (trained.stdout + trained.stderr).split()
    )
