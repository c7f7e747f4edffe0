"""Every command does what its help says, for people and for scripts."""

import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from jax import export

from selfplay.arena import load_network
from selfplay.cli import group
from selfplay.settings import PRESETS, Config, write_settings
from tests.cli.conftest import TINY, Invoke

COMMANDS = (
    *(
        "games",
        "train",
        "launch",
        "status",
        "play",
        "analyze",
        "matches",
        "arena",
        "ladder",
        "suite",
    ),
    *("curve", "export", "rerun", "bench", "doctor", "diagnose", "evaluate", "balance"),
)


@pytest.mark.parametrize("command", COMMANDS)
def test_help_has_an_example(invoke: Invoke, command: str) -> None:
    result = invoke(command, "--help")
    assert result.exit_code == 0
    assert f"\n    selfplay {command}" in result.stdout.partition("Examples:")[2]
    assert "--json" in result.stdout


def test_the_program_alone_lists_the_commands(invoke: Invoke) -> None:
    result = invoke()
    assert result.exit_code == 0
    assert [command for command in COMMANDS if f"\n  {command} " not in result.stdout] == []
    assert "..." not in result.stdout.partition("Commands:")[2], (
        "a summary is too long for its line"
    )


def test_version(invoke: Invoke) -> None:
    assert invoke("--version").stdout == "selfplay 0.1.0\n"


def test_help_does_not_wait_for_jax() -> None:
    code = (
        "import sys; sys.argv = ['selfplay', '--help']\n"
        "from selfplay.cli.main import main\n"
        "try: main()\n"
        "except SystemExit: pass\n"
        "print([name for name in ('jax', 'numpy', 'pyarrow') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_games(invoke: Invoke) -> None:
    games = {game["name"]: game for game in json.loads(invoke("games", "--json").stdout)}
    assert games["connect_four"]["actions"] == 7
    assert games["othello"]["options"] == {"size": 8}
    assert {"kind", "max_plies"} <= games["tic_tac_toe"].keys()
    assert games["nine_mens_morris"]["title"] == "Nine men's morris"
    assert games["dots_and_boxes"]["title"] == "Dots and boxes"
    lines = [line.split() for line in invoke("games").stdout.splitlines()]
    assert ["connect_four", "Connect", "Four", "7", "42"] in [line[:5] for line in lines]


def test_train_says_what_it_does_and_what_comes_next(invoke: Invoke, own_run: Path) -> None:
    result = invoke("train", "tic_tac_toe", "--run", own_run, "--updates", 12, "--seed", 7)
    assert result.exit_code == 0, result.stderr
    text = " ".join(result.stdout.split())
    assert "(goes on from checkpoint 8, after" in text
    assert "trainer.seed=7" in text
    assert "of training, at update 12 saved checkpoint 12 in" in text
    assert f"selfplay play {own_run}\n" in result.stdout
    assert json.loads(invoke("status", own_run, "--json").stdout)["update"] == 12


def test_diagnose_says_what_holds_a_run_back(invoke: Invoke, trained: Path) -> None:
    document = json.loads(invoke("diagnose", trained, "--json").stdout)
    assert (document["game"], document["update"]) == ("tic_tac_toe", 8)
    states = {one["name"]: one["state"] for one in document["findings"]}
    assert states["policy learnt"] == "unknown"
    assert document["learns"] is None
    result = invoke("diagnose", trained, "--all")
    assert result.exit_code == 0, result.stderr
    assert f"diagnosis  {document['headline']}" in result.stdout
    for one in document["findings"]:
        assert f"{one['name']}" in result.stdout
    short = invoke("diagnose", trained).stdout
    assert "cannot tell yet: " in short and "--all lists them" in short
    # The headline of status knows no network, so nothing of that is in it.
    status = json.loads(invoke("status", trained, "--json").stdout)
    assert status["diagnosis"].startswith("too early to tell")
    assert "diagnosis  too early to tell" in invoke("status", trained).stdout


def test_evaluate_tests_checkpoints_on_matches_not_learnt_from(
    invoke: Invoke, trained: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    seed = ("--seed", 5, "--run", other)
    assert invoke("train", "tic_tac_toe", *TINY, "--updates", 4, *seed).exit_code == 0
    result = invoke("evaluate", trained, "--data", other, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    assert [row["update"] for row in document["checkpoints"]] == [0, 4, 8]
    assert document["learnt_from"] == 0
    text = invoke("evaluate", f"{trained}@8", "--data", other / "matches").stdout
    (row,) = [line for line in text.splitlines() if line.startswith("8 ")]
    newest = document["checkpoints"][-1]
    assert f"{newest['policy']['cross_entropy']:.3f}" in row
    assert f"{newest['value']['squared_error']:.3f}" in row
    assert "predicted" in text and "mean outcome" in text


def test_rerun_makes_a_checkpoint_again(invoke: Invoke, trained: Path, own_run: Path) -> None:
    whole = invoke("rerun", trained, "--json")
    assert whole.exit_code == 0, whole.stderr
    document = json.loads(whole.stdout)
    assert (document["update"], document["from"], document["equal"]) == (8, 0, True)
    assert document["matches"] > 0
    part = invoke("rerun", f"{trained}@8", "--from", 4)
    assert part.exit_code == 0, part.stderr
    assert "equal to checkpoint 8 of" in " ".join(part.stdout.split())
    none = invoke("rerun", f"{trained}@4", "--from", 8)
    assert (none.exit_code, none.stdout) == (1, "")
    assert "is to be made again from 8, which is not an earlier one" in none.stderr
    # Matches that are not those it learnt from lead elsewhere, and that is seen.
    segment = max((own_run / "ledger").iterdir())
    document = json.loads(segment.read_text())
    document["config"]["learner"]["learning_rate"] *= 2
    segment.write_text(json.dumps(document))
    other = invoke("rerun", own_run, "--json")
    assert other.exit_code == 1
    assert "differs from checkpoint 8" in other.stderr
    assert json.loads(other.stdout)["equal"] is False


def test_train_prints_the_settings_in_force_and_their_sources(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "my.toml"
    file.write_text("[trainer]\nreplay_ratio = 3.0\n")
    monkeypatch.setenv("SELFPLAY_TRAINER__SEED", "5")
    monkeypatch.setenv("COLUMNS", "1000")
    run = tmp_path / "new"
    asked = ("--run", run, "--config", file, "--set", "evaluation.enabled=false")
    new = invoke("train", "tic_tac_toe", *TINY, *asked, "--updates", 1)
    assert new.exit_code == 0, new.stderr
    lines = [line.strip() for line in new.stdout.splitlines()]
    preset = next(line for line in lines if line.startswith("settings  preset quick: "))
    assert "network.blocks=1" in preset
    assert "network.channels" not in preset
    assert not [line for line in lines if line.startswith("chosen")]
    assert f"{file}: trainer.replay_ratio=3.0" in lines
    assert "environment: trainer.seed=5" in lines
    flags = next(line for line in lines if line.startswith("command line: "))
    assert "network.channels=8" in flags and "trainer.updates=1" in flags
    assert f"all of them: {run}/run.toml" in lines
    # Resumed: what nobody asks for now is what the run keeps.
    monkeypatch.delenv("SELFPLAY_TRAINER__SEED")
    again = invoke("train", "tic_tac_toe", "--run", run, "--updates", 2)
    lines = [line.strip() for line in again.stdout.splitlines()]
    stored = next(line for line in lines if line.startswith("settings  stored in the run: "))
    assert "network.channels=8" in stored and "trainer.seed=5" in stored
    assert "command line: trainer.updates=2" in lines
    assert any(line.startswith("all of them: metadata.json of each") for line in lines)


def test_train_chooses_the_settings_that_nobody_gives_and_stores_them(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "1000")
    run, file = tmp_path / "new", tmp_path / "most.toml"
    # Those of `TINY`, so that what is compiled for it serves here, too.
    most = {section: dict(values) for section, values in PRESETS["quick"].items()}
    most["network"]["channels"] = most["rollout"]["matches_per_device"] = 8
    most["rollout"]["random_opening_plies"] = Config().rollout.random_opening_plies
    most["evaluation"]["enabled"] = False
    del most["replay"], most["learner"]["warmup_updates"]
    write_settings(file, most)
    new = invoke("train", "tic_tac_toe", "--run", run, "--config", file, "--updates", 1)
    assert new.exit_code == 0, new.stderr
    lines = [line.strip() for line in new.stdout.splitlines()]
    first = next(index for index, line in enumerate(lines) if line.startswith("chosen"))
    assert lines[first].startswith("chosen    network 1x8: ")
    assert lines[first + 2].startswith("window of 2,000 positions and more, ")
    fitted = next(
        line for line in lines if "fitted to tic_tac_toe, 2 x cpu and 1 updates: " in line
    )
    assert "replay.min_window=2000" in fitted and "learner.warmup_updates=10" in fitted
    assert "num_simulations" not in fitted
    stored = tomllib.loads((run / "run.toml").read_text())["config"]
    assert (stored["replay"]["min_window"], stored["learner"]["warmup_updates"]) == (2000, 10)
    assert stored["search"]["num_simulations"] == 8
    # Resumed with a longer plan: nothing is chosen again.
    again = invoke("train", "tic_tac_toe", "--run", run, "--updates", 2)
    assert again.exit_code == 0, again.stderr
    assert "fitted to" not in again.stdout and "chosen" not in again.stdout
    metadata = json.loads((run / "checkpoints" / "2" / "metadata.json").read_text())
    assert metadata["config"]["replay"] == stored["replay"]


OWN_NETWORK = """
import jax
import jax.numpy as jnp
from flax import nnx

from selfplay import Prediction


class Own(nnx.Module):
    def __init__(self, *, observation_shape, num_actions, auxiliary_shapes, config, rngs):
        self.layer = nnx.Linear(18, config.channels, rngs=rngs)
        self.policy = nnx.Linear(config.channels, num_actions, rngs=rngs)
        self.reply = nnx.Linear(config.channels, num_actions, rngs=rngs)
        self.asked = tuple(auxiliary_shapes)
        self.value = nnx.Linear(config.channels, 3, rngs=rngs)

    def __call__(self, observations):
        hidden = nnx.relu(self.layer(observations.reshape(observations.shape[0], -1)))
        logits = self.value(hidden)
        chances = jax.nn.softmax(logits)
        return Prediction(
            policy_logits=self.policy(hidden),
            value=chances[:, 0] - chances[:, 2],
            value_logits=logits,
            auxiliary={name: self.reply(hidden) for name in self.asked},
        )
"""


def test_a_network_of_another_size_and_a_users_own_train_alike(
    invoke: Invoke, tmp_path: Path
) -> None:
    module = tmp_path / "own.py"
    module.write_text(OWN_NETWORK)
    weights = set()
    for name, setting in (("wide", "network.channels=12"), ("own", f"network.module={module}:Own")):
        run = tmp_path / name
        result = invoke(
            "train", "tic_tac_toe", *TINY, "--set", setting, "--set", "evaluation.enabled=false",
            "--updates", 2, "--run", run, "--json",
        )  # fmt: skip
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["update"] == 2
        text = " ".join(result.stderr.split())
        weights |= set(re.findall(r"network of ([\d,]+) weights", text))
    assert len(weights) == 2
    file = tmp_path / "own.stablehlo"
    assert invoke("export", tmp_path / "own", file).exit_code == 0
    logits, value = export.deserialize(bytearray(file.read_bytes())).call(np.ones((3, 3, 3, 2)))
    assert (logits.shape, value.shape) == ((3, 9), (3,))
    result = invoke("export", tmp_path / "own", tmp_path / "own.onnx")
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == (
        f"error: network.module {module}:Own is a module of your own, which cannot be written as "
        "ONNX\n\nhint: write FILE.stablehlo\n"
    )


def test_train_prints_one_document(invoke: Invoke, own_run: Path) -> None:
    result = invoke("train", "tic_tac_toe", "--run", own_run, "--updates", 10, "--json")
    document = json.loads(result.stdout)
    assert (document["update"], document["finished"]) == (10, True)
    assert "update 10" in result.stderr


def test_a_run_of_an_earlier_version_goes_on_with_a_note(invoke: Invoke, own_run: Path) -> None:
    file = own_run / "run.toml"
    text = file.read_text()
    assert "\nreplay_ratio = 4.0\n" in text
    file.write_text(text.replace("\nreplay_ratio = 4.0\n", "\nreuse = 4.0\n"))
    result = invoke("train", "tic_tac_toe", "--run", own_run)
    assert result.exit_code == 0, result.stderr
    note, said = result.stdout.splitlines()
    assert note == (
        "note: trainer.reuse is now called trainer.replay_ratio; the earlier name is still read "
        f"({file})"
    )
    assert said == f"{own_run} has trained 8 of 8 updates; use --updates 16 to continue"


def test_an_earlier_name_of_a_setting_is_noted_once(start: Callable[..., Any]) -> None:
    twice = ("--set", "trainer.reuse=0", "--set", "trainer.reuse=0")
    process = start("train", "tic_tac_toe", *twice, "--run", "never-made")
    assert process.communicate()[1].splitlines() == [
        "note: trainer.reuse is now called trainer.replay_ratio; the earlier name is still read "
        "(--set trainer.reuse=0)",
        "error: trainer.replay_ratio is 0, but must be above 0",
    ]


def test_a_fulfilled_plan_is_said(invoke: Invoke, trained: Path) -> None:
    before = sorted(trained.rglob("*"))
    result = invoke("train", "tic_tac_toe", "--run", trained)
    assert result.exit_code == 0
    said = f"{trained} has trained 8 of 8 updates; use --updates 16 to continue\n"
    assert result.stdout == said
    assert sorted(trained.rglob("*")) == before


def test_a_file_game_is_found_from_another_directory(
    invoke: Invoke, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "mine.py").write_text(
        "from selfplay.games.tic_tac_toe import TicTacToe\n"
        "class Mine(TicTacToe):\n    name = 'mine'\n"
    )
    monkeypatch.chdir(tmp_path)
    quiet = ("--set", "evaluation.enabled=false")
    result = invoke("train", "mine.py:Mine", *TINY, *quiet, "--updates", 1)
    assert result.exit_code == 0, result.stderr
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    result = invoke("analyze", "../runs/mine", "--moves", "4", "--json")
    assert json.loads(result.stdout)["moves"] == [4], result.stderr


def test_status(invoke: Invoke, trained: Path) -> None:
    status = json.loads(invoke("status", trained, "--json").stdout)
    assert status["run"] == str(trained)
    assert (status["game"], status["update"], status["checkpoint"]) == ("tic_tac_toe", 8, 8)
    assert status["positions"] > status["matches"] > 0
    assert status["reuse"] == pytest.approx(8 * 64 / status["positions"])
    assert (status["processes"], status["problems"]) == ([], [])
    text = invoke("status", trained).stdout
    assert "8 updates planned" in text and "against random" in text
    mistakes = status["mistakes"]
    assert mistakes["positions"] == sum(count["positions"] for count in mistakes["by_ply"]) > 200
    assert f"solved positions at update {mistakes['update']}" in text
    assert "plies 0-2 " in text and "random moves" in text


def test_status_names_a_process_that_died(invoke: Invoke, own_run: Path) -> None:
    beat = {"role": "trainer", "id": "loop", "pid": 1, "host": "h", "process_space": "", "time": 1}
    file = own_run / "heartbeats" / "trainer-loop.json"
    file.write_text(json.dumps(beat))
    # The store's clock must say so, too.
    os.utime(file, (1, 1))
    status = json.loads(invoke("status", own_run, "--json").stdout)
    (process,) = status["processes"]
    assert (process["role"], process["id"], process["alive"]) == ("trainer", "loop", False)
    assert process["checkpoint"] is None and process["matches_per_second"] is None
    (problem,) = status["problems"]
    assert problem.startswith("trainer loop (pid 1 on h) ended without saying so")
    assert problem.partition(",")[0] in invoke("status", own_run).stdout


def test_play_from_either_seat_shows_policy_and_value(invoke: Invoke, trained: Path) -> None:
    result = invoke("play", trained, "--side", "1", input="5\n9\nquit\n")
    assert result.exit_code == 0, result.stderr
    assert "player 0 is " + str(trained) in result.stdout
    assert "estimate for player 1" in result.stdout and "policy" in result.stdout
    result = invoke("play", "tic_tac_toe", "--simulations", 4, input="b2\nresign\n")
    assert "player 1 is mcts:4" in result.stdout
    assert "player 0 resigns: player 1 wins" in result.stdout


def test_an_illegal_move_is_refused_and_the_match_goes_on(invoke: Invoke) -> None:
    result = invoke("play", "tic_tac_toe", "--opponent", "random", input="z9\n#12\nb2\nquit\n")
    assert "'z9' is not a legal move here; legal moves: a3 b3" in result.stdout
    assert "action 12 is not legal at ply 0; legal actions: 0 1 2" in result.stdout
    assert "left after 2 plies" in result.stdout


def test_play_prints_one_document(invoke: Invoke) -> None:
    result = invoke("play", "tic_tac_toe", "--opponent", "random", "--side", "none", "--json")
    document = json.loads(result.stdout)
    assert document["ending"] == "finished" and len(document["actions"]) >= 5
    assert "x to move" in result.stderr


def test_analyze_one_position(invoke: Invoke, trained: Path) -> None:
    arguments = ("analyze", f"{trained}@4", "--moves", "4 a3", "--simulations", 8)
    document = json.loads(invoke(*arguments, "--json").stdout)
    assert document["moves"] == [4, 0]
    assert document["legal"] == [1, 2, 3, 5, 6, 7, 8]
    assert document["action"] in document["legal"]
    assert sum(document["policy"].values()) == pytest.approx(1, abs=1e-5)
    assert document["visits"].keys() == document["policy"].keys()
    assert document["agent"].endswith("@4:8")
    text = invoke(*arguments).stdout
    assert f"plays {document['action_name']} (action {document['action']})" in text


def test_analyze_is_told_what_computes_the_network(invoke: Invoke, trained: Path) -> None:
    arguments = ("analyze", trained, "--simulations", 0, "--json")
    document = json.loads(invoke(*arguments, "--inference", "onnx").stdout)
    assert document["value"] is not None
    # The variable that chooses it for trainers and workers counts here, too.
    for options, variables in (
        (("--inference", "magic"), {}),
        ((), {"SELFPLAY_SEARCH__INFERENCE": "magic"}),
    ):
        result = invoke(*arguments, *options, env=variables)
        assert result.exit_code == 2
        assert "error: search.inference is 'magic', but must be one of: auto, xla" in result.stderr


def test_analyze_a_file_of_positions(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    file = tmp_path / "positions.txt"
    file.write_text("4 0\n\nb2\n")
    result = invoke("analyze", trained, "--positions", file, "--simulations", 0)
    documents = [json.loads(line) for line in result.stdout.splitlines()]
    assert [document["moves"] for document in documents] == [[4, 0], [], [4]]
    keys = {"moves", "action", "action_name", "value", "policy", "visits", "legal"}
    assert all(keys <= document.keys() for document in documents)


def test_matches_are_listed_newest_first_and_printed(invoke: Invoke, trained: Path) -> None:
    listed = json.loads(invoke("matches", trained, "--json", "--limit", 0).stdout)
    assert len(listed) == json.loads(invoke("status", trained, "--json").stdout)["matches"]
    names = [match["match_id"] for match in listed]
    assert names == sorted(names, reverse=True)
    text = invoke("matches", trained, "--limit", 1).stdout
    assert names[0] in text and names[1] not in text
    match = json.loads(invoke("matches", trained, names[0], "--json").stdout)
    assert len(match["moves"]) == match["plies"] == listed[0]["plies"]
    assert match["result"] == listed[0]["result"]
    assert {"board", "name", "value", "network_value"} <= match["moves"][0].keys()
    printed = invoke("matches", trained, names[0]).stdout
    assert match["board"] in printed and printed.rstrip().endswith(match["result"])


def test_arena(invoke: Invoke, trained: Path) -> None:
    result = invoke("arena", trained, "random", "--matches", 4, "--json")
    document = json.loads(result.stdout)
    assert document["agents"] == [f"{trained}@8:8", "random"]
    assert document["wins"] + document["draws"] + document["losses"] == document["matches"] == 4
    assert document["distinct_matches"] <= 4 and len(document["interval"]) == 2
    text = invoke("arena", "random", "random", "--game", "tic_tac_toe", "--matches", 2).stdout
    assert "95 % interval" in text and "of 2 matches differ" in text


def test_arena_plays_a_file_of_openings(invoke: Invoke, tmp_path: Path) -> None:
    file = tmp_path / "starts.json"
    asked = ("arena", "random", "random", "--game", "tic_tac_toe", "--json")
    first = json.loads(invoke(*asked, "--matches", 6, "--save-openings", file).stdout)
    written = json.loads(file.read_text())
    assert first["opening_set"] == written["id"]
    assert len(written["openings"]) == 3
    # The same file, the same starts, whatever the seed: each from both seats.
    again = json.loads(invoke(*asked, "--seed", 5, "--openings", file).stdout)
    assert (again["opening_set"], again["matches"]) == (written["id"], 6)
    text = invoke(*asked[:-1], "--openings", file, "--matches", 2).stdout
    assert f"set {written['id']}" in text
    for options, message in (
        (("--save-openings", file), "that exists already"),
        (("--openings", file, "--save-openings", file), "only one can be given"),
        (("--openings", tmp_path / "none.json"), "cannot be read"),
        (("--openings", file, "--opening-plies", 2), "opening_plies is 2, but openings are given"),
    ):
        wrong = invoke(*asked, *options)
        assert (wrong.exit_code, wrong.stdout) == (2, "")
        assert message in wrong.stderr


def test_suite(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    document = json.loads(invoke("suite", trained, "--json").stdout)
    assert [one["update"] for one in document["results"]][-1] == 8
    assert len(document["results"]) > 1 and document["suite"] == "tic_tac_toe"
    for one in document["results"]:
        assert sum(answer["solved"] for answer in one["answers"]) == one["solved"]
        assert len(one["answers"]) == document["positions"] == one["solved"] + len(one["failed"])
    file = tmp_path / "mine.txt"
    file.write_text("game: tic_tac_toe\nname: win; moves: 0 3 1 4; best: c3\n")
    one = json.loads(invoke("suite", f"{trained}@8", file, "--simulations", 0, "--json").stdout)
    assert [row["agent"] for row in one["results"]] == [f"{trained}@8:0"]
    newest = invoke("suite", trained, file, "--newest", 1).stdout
    assert newest.count(f"{trained}@") >= 1 and "of 1" in newest
    perfect = invoke("suite", "solver", "--game", "tic_tac_toe").stdout
    assert "100.0 %" in perfect and "not solved" not in perfect
    assert "not solved by random:" in invoke("suite", "random", "--game", "tic_tac_toe").stdout
    file.write_text("game: tic_tac_toe\n\nname: win; moves: 0 0; best: 1\n")
    for arguments, message in (
        ((trained, file), f"the suite {file}, line 3: action 0 is not legal at ply 1"),
        ((trained, tmp_path / "none.txt"), "cannot be read"),
        ((f"{trained}@8", "--newest", 2), "--newest is 2, but"),
        (("random", "--game", "breakthrough"), "no suite is named, and breakthrough has none"),
    ):
        wrong = invoke("suite", *arguments)
        assert (wrong.exit_code, wrong.stdout) == (2, "")
        assert message in wrong.stderr


def test_curve(invoke: Invoke, trained: Path, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    picture = tmp_path / "curve.png"
    assert invoke("curve", trained, "--output", picture).exit_code == 0
    assert picture.read_bytes().startswith(b"\x89PNG")


def test_a_mistake_of_our_own_says_so(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken() -> None:
        raise RuntimeError("oh")

    monkeypatch.setattr("selfplay.registry.game_names", broken)
    result = invoke("games")
    assert result.exit_code == 1
    assert result.stderr == (
        "error: this is a fault of selfplay itself: RuntimeError: oh\n"
        "\nhint: please report it, with what --debug shows\n"
    )
    assert "Traceback" in invoke("games", "--debug").stderr


def test_the_program_is_called_as_it_was(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    script = tmp_path / "selfplay"
    script.touch(mode=0o755)
    monkeypatch.setattr(sys, "argv", [str(script)])
    monkeypatch.setenv("PATH", str(tmp_path))
    assert group.program() == "selfplay"
    monkeypatch.setenv("PATH", "")
    assert group.program() == str(script)


def test_bench(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("selfplay.reports.bench.FORWARD_BATCHES", (16, 32))
    result = invoke("bench", "tic_tac_toe", *TINY, "--seconds", 0.5, "--json")
    document = json.loads(result.stdout)
    rates = (
        "simulations_per_second forwards_per_second forwards_per_second_together ratio "
        "matches_per_second plies_per_second updates_per_second peak_memory_bytes"
    )
    assert [name for name in rates.split() if not document[name] > 0] == []
    assert (document["game"], document["devices"]) == ("tic_tac_toe", 2)
    assert (document["batch"], document["simulations"]) == (16, 8)
    assert document["compile_seconds"] >= 0 and document["state_bytes"] == 11
    assert document["ratio"] == pytest.approx(
        document["simulations_per_second"] / (2 * document["forwards_per_second"]), rel=0.7
    )


def test_bench_by_batch(invoke: Invoke, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ("bench", "tic_tac_toe", *TINY, "--seconds", 0.4, "--batches", "15, 32")
    document = json.loads(invoke(*asked, "--json").stdout)
    # Rounded up to what two devices share.
    assert [row["batch"] for row in document["batches"]] == [16, 32]
    for row in document["batches"]:
        low, high = row["spread"]
        assert 0 < low <= row["simulations_per_second"] <= high
        assert 0 < row["evaluations_per_second"] <= row["simulations_per_second"]
        assert row["rounds"] == 3 and "matches_per_second" in row
    assert (document["devices"], document["simulations"]) == (2, 8)
    assert document["device"] and re.fullmatch(r"\d{4}-\d\d-\d\d", document["date"])
    monkeypatch.setattr("selfplay.reports.bench_play.bench_batches", lambda *_, **__: document)
    first, header, *rows = invoke(*asked).stdout.splitlines()
    assert first.startswith("tic_tac_toe, 8 simulations a move, ")
    assert first.endswith(f"2 x {document['device']}, {document['date']}")
    assert header.split()[0] == "matches"
    assert [row.split()[0] for row in rows] == ["16", "32"]
    wrong = invoke("bench", "tic_tac_toe", "--batches", "64;128")
    assert wrong.exit_code == 2
    assert "--batches is '64;128', but must be whole numbers above 0" in wrong.stderr


def test_doctor(invoke: Invoke) -> None:
    report = json.loads(invoke("doctor", "--json").stdout)
    packages = {"python", "selfplay-jax", "jax", "jaxlib", "flax", "optax", "mctx", "numpy"}
    assert packages <= report["versions"].keys() and all(report["versions"].values())
    assert (report["backend"], len(report["devices"])) == ("cpu", 2)
    assert report["speed_up"] > 0 and report["cores"] > 0
    result = invoke("doctor")
    assert result.exit_code == 0
    assert "2 x cpu" in result.stdout
    assert ("problem: " in result.stdout) != ("no problems found" in result.stdout)


@pytest.mark.parametrize("form", ["onnx", "stablehlo"])
def test_export(invoke: Invoke, trained: Path, tmp_path: Path, form: str) -> None:
    file = tmp_path / "new" / f"network.{form}"
    result = invoke("export", f"{trained}@4", file, "--json")
    assert result.exit_code == 0, result.stderr
    document = json.loads(result.stdout)
    written = file.read_bytes()
    assert document == {
        "file": str(file), "format": form, "bytes": len(written), "game": "tic_tac_toe",
        "run": str(trained), "update": 4, "observation_shape": [3, 3, 2], "actions": 9,
    }  # fmt: skip
    arrays = load_network(f"{trained}@4").weights
    # The weights once, and no optimiser beside them.
    assert 0.9 < len(written) / (4 * sum(leaf.size for leaf in arrays.values())) < 2.5
    again = invoke("export", trained, file)
    assert (again.exit_code, file.read_bytes()) == (2, written)
    assert again.stderr == (
        f"error: {file} exists already\n\nhint: choose another name, or remove it\n"
    )
    other = invoke("export", trained, tmp_path / "newer.onnx")
    assert "policy_logits [batch, 9], value [batch]" in other.stdout
    assert (tmp_path / "newer.onnx").read_bytes() != written
    wrong = invoke("export", trained, tmp_path / "network.pt")
    assert wrong.exit_code == 2
    assert "hint: write FILE.onnx or FILE.stablehlo\n" in wrong.stderr


def test_every_command_is_documented() -> None:
    page = (Path(__file__).parents[2] / "docs" / "commands.md").read_text()
    assert [command for command in COMMANDS if f"\n## {command}\n" not in page] == []
    assert [command for command in COMMANDS if f"\n$ selfplay {command}" not in page] == []
