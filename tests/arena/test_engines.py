"""Programs that speak GTP or UCI as agents: matches, what they are told, faults, their end."""

import contextlib
import functools
import gc
import io
import os
import re
import shutil
import sys
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from selfplay.adapters import host
from selfplay.arena import (
    Agent,
    EngineAgent,
    HistoryAgent,
    MoveHistory,
    Opening,
    OpeningSet,
    RandomAgent,
    make_agent,
    parse_engine,
    parse_opponent,
    play_matches,
)
from selfplay.arena.agents import RESIGN
from selfplay.arena.batches import stack
from selfplay.arena.engines.gtp import GtpEngine
from selfplay.errors import ConfigError, EngineError, IllegalActionError
from selfplay.game import EngineSetup, pytree, start
from selfplay.games.clobber import Clobber
from selfplay.games.connect_four import ConnectFour
from selfplay.games.go import Go
from selfplay.games.tic_tac_toe import TicTacToe
from selfplay.play import parse_people, play_in_terminal
from selfplay.registry import make
from tests.arena.toys import Passes, ScriptedAgent, Tally, first_legal

KEY = jax.random.key(0)
STUB = Path(__file__).with_name("stub_engine.py")
DOCS = Path(__file__).parents[2] / "docs" / "engines.md"
GRHINO = shutil.which("gtp-rhino", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/games"]))
GNU_GO = shutil.which("gnugo", path=os.pathsep.join([os.environ.get("PATH", ""), "/usr/games"]))


@pytest.fixture(scope="module")
def game():
    return TicTacToe()


@pytest.fixture(autouse=True)
def patience(monkeypatch):
    """Lets programs end in their own way, however slow the machine."""
    monkeypatch.setattr("selfplay.arena.engines.subprocesses._PARTING_SECONDS", 120.0)
    monkeypatch.setattr("selfplay.arena.engines.gtp.PROBE_SECONDS", 120.0)


@pytest.fixture
def log(tmp_path):
    return tmp_path / "log"


def stub(protocol, *arguments, settings="", log=None):
    """Returns the text of an agent: the program beside this file."""
    words = [f"{protocol}:{settings} {sys.executable} {STUB} {protocol}", *arguments]
    return " ".join(words + ([f"--log {log}"] if log else []))


@contextlib.contextmanager
def engine(game, text, processes=1):
    agent = parse_opponent(text, game, processes=processes)
    assert isinstance(agent, EngineAgent)
    try:
        yield agent
    finally:
        agent.close()


def last_legal(game):
    def choose(state):
        return int(np.flatnonzero(game.legal_action_mask(state))[-1])

    return ScriptedAgent("last legal", choose, game)


def told(log):
    """Returns what each process read, in order of their start."""
    lines: dict[int, list[str]] = {}
    for line in log.read_text().splitlines():
        process, text = line.split(" ", 1)
        lines.setdefault(int(process), []).append(text)
    return lines


def is_gone(process):
    """Returns whether a process has ended and nobody need wait for it any more."""
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    return False


@functools.cache
def plain_matches():
    """Returns the matches that the engine's moves, made without an engine, lead to."""
    game = TicTacToe()
    table = play_matches(game, first_legal(game), RandomAgent(game), num_matches=10, seed=1)
    return table.matches


@pytest.mark.parametrize("protocol", ["gtp", "uci"])
@pytest.mark.parametrize("processes", [1, 3, 20])
def test_an_engine_plays_as_an_agent_with_the_same_moves_does(game, protocol, processes, log):
    with engine(game, stub(protocol, log=log), processes) as agent:
        table = play_matches(game, agent, RandomAgent(game), num_matches=10, seed=1)
    assert table.matches == plain_matches()
    assert len(told(log)) == min(processes, 10)
    assert table.agents[0] == stub(protocol, log=log)


def test_an_engine_is_told_openings_and_moves_of_both_sides(game, log):
    openings = OpeningSet(
        game="tic_tac_toe", version=1, openings=(Opening(actions=(4, 0)), Opening(actions=(8, 2)))
    )
    with engine(game, stub("gtp", log=log), processes=1) as agent:
        play_matches(game, agent, last_legal(game), openings=openings, num_matches=2)
    (lines,) = told(log).values()
    # Numbers stand in front; the questions about commands are at the start.
    commands = [line.partition(" ")[2] for line in lines[1:-1]]
    commands = [command for command in commands if not command.startswith("known_command")]
    assert commands[:9] == [
        *("clear_board", "play black b2", "play white a3", "genmove black"),
        # The other match of the pair, in which it is white.
        *("clear_board", "play black b2", "play white a3", "play black c1", "genmove white"),
    ]
    assert commands[9:15] == [
        *("clear_board", "play black b2", "play white a3", "play black b3", "play white c1"),
        "genmove black",
    ]
    assert lines[-2].endswith("quit") and lines[-1] == "ended"


def test_with_a_process_for_each_match_nothing_is_told_twice(game, log):
    with engine(game, stub("gtp", log=log), processes=4) as agent:
        play_matches(game, agent, RandomAgent(game), num_matches=4, seed=1)
    assert len(told(log)) == 4
    for lines in told(log).values():
        assert [line.split()[1:] for line in lines].count(["clear_board"]) == 1
        moves = [line.split()[-1] for line in lines if " play " in line]
        assert moves and len(moves) == len(set(moves))


def test_uci_is_told_how_long_to_think_and_the_options(game, log):
    text = stub("uci", settings="nodes=50 depth=3 'skill level=7'", log=log)
    with engine(game, text) as agent:
        play_matches(game, agent, last_legal(game), num_matches=2, opening_plies=0)
    (lines,) = told(log).values()
    assert lines[:10] == [
        *("started", "uci", "setoption name Skill Level value 7", "ucinewgame", "isready"),
        *("position startpos", "go nodes 50 depth 3"),
        *("ucinewgame", "isready", "position startpos moves c1"),
    ]


def test_who_moves_is_said_where_a_player_moves_twice(log):
    game = Tally()
    text = stub("gtp", "--script '1 1 1 1 1 1'", log=log)
    with engine(game, text) as agent:
        play_matches(game, agent, first_legal(game), num_matches=2, opening_plies=0)
    (lines,) = told(log).values()
    commands = [line.partition(" ")[2] for line in lines]
    asked = [command for command in commands if command.startswith(("genmove", "play"))]
    assert asked[0] == "genmove black"
    # Players 0 0 1 1 0 1; in the first match the engine is player 0.
    assert "play black 1" in asked and "play white 0" in asked
    last = len(asked) - 1 - asked[::-1].index("genmove black")
    assert asked[last - 4 : last + 1] == [
        *("play black 1", "play black 1", "play white 0", "play white 0", "genmove black"),
    ]


def test_giving_up_loses_the_match_and_no_other(game):
    openings = OpeningSet(
        game="tic_tac_toe", version=1, openings=(Opening(), Opening(actions=(0, 1)))
    )
    # After four moves it resigns, as player 0 that is; as player 1 it plays on.
    text = stub("gtp", "--script 'b2 c1 c3 a2 resign c2'")
    with engine(game, text) as agent:
        table = play_matches(game, agent, first_legal(game), openings=openings)
    given_up = [match for match in table.matches if match.resigned]
    assert [match.seat for match in given_up] == [0, 0]
    assert [(match.result, match.score, len(match.actions)) for match in given_up] == [
        (-1.0, 0.0, 4),
        (-1.0, 0.0, 4),
    ]
    assert table.resigned == 2 == table.to_dict()["resigned"] and table.truncated == 0
    assert [len(match.actions) for match in table.matches if not match.resigned] == [5, 7]


def test_giving_up_at_once(game):
    with engine(game, stub("uci", "--script 'resign resign'")) as agent:
        table = play_matches(game, agent, first_legal(game), num_matches=2, opening_plies=0)
    assert (table.losses, table.resigned) == (2, 2)
    assert [len(match.actions) for match in table.matches] == [0, 1]


@pytest.mark.parametrize(
    ("fault", "message", "hint"),
    [
        (
            "--script 'z9 z9'",
            "plays 'Z9' at ply 1 of tic_tac_toe, which is not a legal move",
            "moves so far: b2; legal moves: a3 b3 c3 a2 c2 a1 b1 c1",
        ),
        ("--fault refuses", "refuses 'play black b2', which is legal here: illegal move", "rules"),
        (
            "--fault dies",
            "ended with exit code 3 when it was told 'genmove white'",
            "its last words: thinking hard | out of memory",
        ),
        ("--fault wrong-id", "answers 'genmove white' with '=999 A3', which is not GTP", "="),
    ],
)
def test_faults_are_told_and_leave_no_process(game, log, fault, message, hint):
    agent = parse_opponent(stub("gtp", fault, log=log), game)
    openings = OpeningSet(game="tic_tac_toe", version=1, openings=(Opening(actions=(4,)),))
    with pytest.raises((EngineError, IllegalActionError)) as caught:
        play_matches(game, agent, first_legal(game), openings=openings)
    assert str(caught.value) == f"{agent.name} {message}"
    assert hint in caught.value.hint
    assert all(is_gone(process) for process in told(log))


def test_a_silent_engine_is_given_up(game, log):
    agent = parse_opponent(stub("uci", "--fault silent", settings="timeout=2", log=log), game)
    # On a slow machine not even its greeting.
    with pytest.raises(EngineError, match=r"has not answered '.*' in time") as caught:
        play_matches(game, agent, first_legal(game), num_matches=2)
    assert "timeout=600" in caught.value.hint
    assert all(is_gone(process) for process in told(log))


def test_an_engine_without_a_move(game):
    agent = parse_opponent(stub("uci", "--script '(none)'"), game)
    with pytest.raises(EngineError, match="finds no move after the start"):
        play_matches(game, agent, first_legal(game), num_matches=2, opening_plies=0)


def test_an_unknown_option_of_an_engine(game):
    agent = parse_opponent(stub("uci", settings="skil=3"), game)
    with pytest.raises(ConfigError, match="has no option 'skil'") as caught:
        play_matches(game, agent, first_legal(game), num_matches=2)
    assert "its options: Skill Level" in caught.value.hint


@pytest.mark.parametrize("fault", ["no-ids", "shy"])
def test_engines_that_keep_less_than_the_whole_protocol(game, fault):
    with engine(game, stub("gtp", f"--fault {fault}")) as agent:
        table = play_matches(game, agent, RandomAgent(game), num_matches=10, seed=1)
    assert table.matches == plain_matches()


@pytest.mark.parametrize(
    ("fault", "line"), [("babbles", "let me see"), ("banner", "Stub 1.0"), ("none", "")]
)
@pytest.mark.parametrize("processes", [1, 3])
def test_lines_that_are_no_answers_are_skipped_and_said_once(game, fault, line, processes):
    notes: list[str] = []
    text = stub("gtp", f"--fault {fault}")
    agent = parse_opponent(text, game, processes=processes, say=notes.append)
    assert isinstance(agent, EngineAgent)
    try:
        table = play_matches(game, agent, RandomAgent(game), num_matches=10, seed=1)
    finally:
        agent.close()
    assert table.matches == plain_matches()
    said = f"{text} writes lines that are no answers, such as {line!r}: they are skipped"
    assert notes == ([said] if line else [])


@pytest.mark.parametrize(
    ("asked", "speaks", "fault"),
    [("gtp", "uci", ""), ("uci", "gtp", ""), ("gtp", "uci", "--fault banner")],
)
def test_an_engine_of_the_other_protocol_is_noticed_at_once(
    game, log, monkeypatch, asked, speaks, fault
):
    # It knows no numbers, and is silent until it is asked in its own words.
    monkeypatch.setattr("selfplay.arena.engines.gtp.PROBE_SECONDS", 0.2)
    text = f"{asked}:{sys.executable} {STUB} {speaks} {fault} --log {log}"
    agent = parse_opponent(text, game)
    begin = time.monotonic()
    with pytest.raises(EngineError) as caught:
        play_matches(game, agent, first_legal(game), num_matches=2)
    assert time.monotonic() - begin < 100
    assert str(caught.value) == f"{text} speaks {speaks.upper()}, not {asked.upper()}"
    assert caught.value.hint == f"write {speaks}: instead of {asked}: in front of its command"
    assert all(is_gone(process) for process in told(log))


def test_who_is_slow_to_start_is_asked_and_plays_on(game, monkeypatch):
    """A program that loads for long answers the word of the other protocol, too."""
    monkeypatch.setattr("selfplay.arena.engines.gtp.PROBE_SECONDS", 0.0)
    with engine(game, stub("gtp")) as agent:
        monkeypatch.setattr(GtpEngine, "_skip_refusal", patient(GtpEngine._skip_refusal))
        table = play_matches(game, agent, RandomAgent(game), num_matches=10, seed=1)
    assert table.matches == plain_matches()


def patient(skip):
    def skip_refusal(self):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("selfplay.arena.engines.gtp.PROBE_SECONDS", 120.0)
            skip(self)

    return skip_refusal


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("gtp:cat", "answers 'known_command clear_board' with '1 known_command clear_board'"),
        ("gtp:sh -c 'echo hello; sleep 1000'", "answers 'known_command clear_board' with 'hello'"),
        ("uci:sh -c 'echo hello; sleep 1000'", "answers 'uci' with 'hello', which is not UCI"),
    ],
)
def test_a_program_that_speaks_neither_is_not_waited_for(game, monkeypatch, text, said):
    for module in ("gtp", "uci"):
        monkeypatch.setattr(f"selfplay.arena.engines.{module}.STRANGE_SECONDS", 0.3)
    with pytest.raises(EngineError) as caught:
        play_matches(game, parse_opponent(text, game), first_legal(game), num_matches=2)
    assert str(caught.value).startswith(f"{text} {said}")


@pytest.mark.parametrize("fault", ["no-pass", "none"])
@pytest.mark.parametrize("processes", [1, 2])
def test_forced_passes_are_skipped_where_the_engine_knows_none(log, fault, processes):
    game = Passes()
    notes: list[str] = []
    text = stub("gtp", f"--fault {fault}", log=log)
    agent = parse_opponent(text, game, processes=processes, say=notes.append)
    assert isinstance(agent, EngineAgent)
    plain = play_matches(game, first_legal(game), last_legal(game), num_matches=2, opening_plies=0)
    try:
        table = play_matches(game, agent, last_legal(game), num_matches=2, opening_plies=0)
    finally:
        agent.close()
    assert table.matches == plain.matches
    refusal = f"{text} refuses 'play white pass': forced passes are skipped"
    assert [note.replace("black", "white") for note in notes] == (
        [] if fault == "none" else [refusal] * len(notes)
    )
    assert len(notes) <= 2 and (fault == "none" or notes)
    commands = [line.partition(" ")[2] for lines in told(log).values() for line in lines]
    # Two moves of a match are its own, and it is never asked for its pass.
    assert sum(command.startswith("genmove") for command in commands) == 4
    assert {"play white pass", "play black pass"} & set(commands)


def test_a_pass_that_is_not_forced_must_be_understood():
    game = Passes(free=True)
    refused = pytest.raises(EngineError, match="refuses 'play white pass', which is legal here")
    with engine(game, stub("gtp", "--fault no-pass")) as agent, refused:
        play_matches(game, agent, last_legal(game), num_matches=2, opening_plies=0)


def test_programs_that_are_there_and_cannot_be_run(game, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    script = tmp_path / "my engine.py"
    script.write_text("print('hello')\n")

    def error(text):
        with pytest.raises((ConfigError, EngineError)) as caught:
            play_matches(game, parse_opponent(text, game), first_legal(game), num_matches=2)
        return str(caught.value).removeprefix(f"agent is {text!r}, but "), caught.value.hint

    said, hint = error(f"gtp:'{script}'")
    assert said == f"{script} may not be run: it lacks the run bit"
    assert hint.startswith(f"chmod +x '{script}'")
    assert error(f"uci:{tmp_path}")[0] == f"{tmp_path} is a directory"
    script.chmod(0o755)
    said, hint = error("gtp:'my engine.py'")
    assert said == "my engine.py is looked for on the PATH alone"
    assert hint == "write './my engine.py' for the file in this directory"
    said, hint = error("gtp:'./my engine.py'")
    assert said.endswith("cannot be started: Exec format error") and "#!" in hint
    script.write_text("#!/no/such/interpreter\n")
    said, hint = error("gtp:'./my engine.py'")
    assert "cannot be started" in said and "interpreter that its first line names" in hint
    assert error("gtp:nowhere-to-be-found")[0] == "there is no program 'nowhere-to-be-found'"


def test_a_program_that_ends_at_once_is_told_with_its_last_words(game):
    agent = parse_opponent("gtp:sh -c 'echo no licence >&2; exit 7'", game)
    with pytest.raises(EngineError, match="ended with exit code 7 when it was told") as caught:
        play_matches(game, agent, first_legal(game), num_matches=2)
    assert caught.value.hint == "its last words: no licence"


@pytest.mark.skipif(GRHINO is None, reason="needs GRhino")
def test_matches_against_an_othello_program_that_knows_no_pass():
    game = make("othello", size=8)
    with engine(game, f"gtp:{GRHINO}") as agent:
        table = play_matches(game, agent, RandomAgent(game), num_matches=8)
    passes = [match for match in table.matches if game.num_actions - 1 in match.actions]
    assert passes and table.wins >= 7


def test_ctrl_c_ends_the_engines(game, log, monkeypatch):
    agent = parse_opponent(stub("gtp", "--fault silent", log=log), game, processes=2)

    def interrupt(*_, **__):
        raise KeyboardInterrupt

    # As the terminal would, while two engines think.
    monkeypatch.setattr("concurrent.futures.Future.result", interrupt)
    with pytest.raises(KeyboardInterrupt):
        play_matches(game, agent, first_legal(game), num_matches=4, opening_plies=0)
    # The second one may have been ended before it could write.
    assert all(is_gone(process) for process in (told(log) if log.exists() else ()))


def test_an_agent_that_is_dropped_leaves_no_process(game, log):
    agent = parse_opponent(stub("gtp", log=log), game)
    play_matches(game, agent, first_legal(game), num_matches=2)
    (process,) = told(log)
    assert not is_gone(process)
    del agent
    gc.collect()
    assert is_gone(process) and "quit" in told(log)[process][-2]


def test_whatever_an_engine_has_started_ends_with_it(game, log, tmp_path):
    script = tmp_path / "engine.sh"
    script.write_text(
        f"#!/bin/sh\nsleep 3600 </dev/null >/dev/null 2>&1 &\necho $! > {tmp_path}/child\n"
        f"exec {sys.executable} {STUB} gtp --fault dies\n"
    )
    script.chmod(0o755)
    with engine(game, f"gtp:{script}") as agent, pytest.raises(EngineError, match="exit code 3"):
        play_matches(game, agent, first_legal(game), num_matches=2, opening_plies=0)
    child = int((tmp_path / "child").read_text())
    deadline = time.monotonic() + 60
    # Nobody here waits for the orphan: its entry may stay.
    while not is_gone(child) and "Z" not in Path(f"/proc/{child}/stat").read_text().split():
        assert time.monotonic() < deadline
        time.sleep(0.05)


def first_move(agent, game, key=0):
    """Returns what the agent does at the start of a match."""
    position = start(game, jax.random.key(key))
    line = MoveHistory(first=position, moves=())
    return int(agent.follow(stack([position]), [line], key=KEY)[0])


def setups(log):
    """Returns the commands of the only process that are about board size and komi."""
    (lines,) = told(log).values()
    commands = [line.partition(" ")[2] for line in lines]
    return [text for text in commands if text.startswith(("boardsize", "komi"))]


def test_board_size_and_komi_of_go_are_told(log):
    text = stub("gtp", "--script resign", "--knows boardsize komi", log=log)
    game = Go(size=5, komi=2.5, komi_spread=2)
    with engine(game, text) as agent:
        assert [first_move(agent, game, key) for key in range(4)] == [RESIGN] * 4
    drawn = [int(game.init(jax.random.key(key)).komi) / 2 for key in range(4)]
    assert len(set(drawn)) > 1
    assert setups(log) == [text for komi in drawn for text in ("boardsize 5", f"komi {komi:g}")]


def test_pgx_go_is_told_as_go_is(log):
    game, plain = make("pgx:go", size=5, komi=3.5), Go(size=5)
    states = [rules.init(jax.random.key(0)) for rules in (game, plain)]
    for action in range(26):
        assert game.action_to_string(states[0], action) == plain.action_to_string(states[1], action)
    text = stub("gtp", "--script resign", "--knows boardsize komi", log=log)
    with engine(game, text) as agent:
        assert first_move(agent, game) == RESIGN
    assert setups(log) == ["boardsize 5", "komi 3.5"]


class OwnGo(TicTacToe):
    """Stands for a game of a user: a komi drawn under a name of its own, and a stone to begin."""

    name = "my_go"

    def __init__(self, stone=False, told=True):
        self.stone, self.told = stone, told

    def init(self, key):
        cell = jax.random.randint(key, (), 0, 3) if self.stone else jax.numpy.int32(0)
        drawn = jax.random.randint(key, (), 0, 4)
        return OwnGoState(rules=super().init(key), bonus=drawn, cell=cell)

    def current_player(self, state):
        return super().current_player(state.rules)

    def legal_action_mask(self, state):
        return super().legal_action_mask(state.rules)

    def engine_setup(self, first):
        if not self.told:
            return super().engine_setup(first)
        komi = f"komi {int(first.bonus) + 0.5}"
        stone = ("clear_board", f"play black {'abc'[int(first.cell)]}3") if self.stone else ()
        return EngineSetup(gtp=(komi, *stone), uci=f"fen {int(first.bonus)} {int(first.cell)}")


@pytree
class OwnGoState:
    rules: Any
    bonus: Any
    cell: Any


def test_a_komi_that_a_users_game_draws_is_told(log):
    game = OwnGo()
    with engine(game, stub("gtp", "--script resign", "--knows komi", log=log)) as agent:
        assert [first_move(agent, game, key) for key in range(4)] == [RESIGN] * 4
    drawn = [int(game.init(jax.random.key(key)).bonus) for key in range(4)]
    assert len(set(drawn)) > 1
    assert setups(log) == [f"komi {bonus}.5" for bonus in drawn]


def test_stones_that_a_users_game_sets_up_are_told_after_the_board_is_cleared(log):
    game = OwnGo(stone=True)
    with engine(game, stub("gtp", "--script 'x resign'", "--knows komi", log=log)) as agent:
        assert first_move(agent, game) == RESIGN
    first = game.init(jax.random.key(0))
    (lines,) = told(log).values()
    commands = [line.partition(" ")[2] for line in lines if "known_command" not in line]
    assert commands[1:5] == [
        *(f"komi {int(first.bonus)}.5", "clear_board"),
        *(f"play black {'abc'[int(first.cell)]}3", "genmove black"),
    ]


def test_a_first_position_is_told_by_uci(log):
    game = OwnGo()
    with engine(game, stub("uci", "--script resign", log=log)) as agent:
        assert first_move(agent, game) == RESIGN
    bonus = int(game.init(jax.random.key(0)).bonus)
    (lines,) = told(log).values()
    assert f"position fen {bonus} 0" in lines


@pytest.mark.parametrize("protocol", ["gtp", "uci"])
def test_a_random_start_that_a_users_game_does_not_tell_is_refused(log, protocol):
    game = OwnGo(told=False)
    agent = parse_opponent(stub(protocol, log=log), game)
    with pytest.raises(ConfigError, match="my_go begins at random") as caught:
        first_move(agent, game)
    assert "engine_setup" in caught.value.hint
    assert not log.exists()


def test_the_setup_of_a_plain_python_game_is_told(log):
    class Own(Clobber):
        def engine_setup(self, first):
            return EngineSetup(gtp=(f"boardsize {len(first[0])}",))

    game = host(Own(rows=2, columns=3))
    with engine(game, stub("gtp", "--script resign", "--knows boardsize", log=log)) as agent:
        assert first_move(agent, game) == RESIGN
    assert setups(log) == ["boardsize 2"]


def test_an_engine_that_cannot_be_told_the_board_size():
    game = Go(size=5)
    agent = parse_opponent(stub("gtp"), game)
    with pytest.raises(EngineError, match="does not know the command boardsize, which this game"):
        first_move(agent, game)


def test_random_starts_are_refused(log):
    # UCI has no word for komi.
    for protocol, game in (("gtp", Tally(random_bonus=1)), ("uci", Go(size=5, komi_spread=1))):
        agent = parse_opponent(stub(protocol, log=log), game)
        with pytest.raises(ConfigError, match=r"begins at random, which ...:.* cannot be told"):
            first_move(agent, game)
    assert not log.exists()


def test_games_of_chance_are_refused():
    with pytest.raises(ConfigError, match="but backgammon is a game of chance"):
        parse_opponent(stub("gtp"), make("backgammon"))


def test_texts_of_engines():
    spec = parse_engine(f"uci:nodes=100 'Skill Level=3' timeout=5 {sys.executable} 'a b' x=1")
    assert (spec.protocol, spec.timeout, spec.limits) == ("uci", 5.0, "nodes 100")
    assert spec.options == {"Skill Level": "3"}
    assert spec.command == (sys.executable, "a b", "x=1")
    assert parse_engine(f"uci:{sys.executable}").limits == "movetime 100"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("gtp:", "but names no program"),
        ("uci:nodes=5", "but names no program"),
        ("gtp:no-such-program --mode gtp", "but there is no program 'no-such-program'"),
        ("gtp:'unclosed", "which cannot be read: No closing quotation"),
        (f"gtp:nodes=5 {sys.executable}", "but nodes is no setting of GTP engines"),
        (f"uci:nodes=x {sys.executable}", "where nodes is 'x', but must be a whole number above 0"),
        (f"uci:nodes=1.5 {sys.executable}", "where nodes is '1.5', but must be a whole number"),
        (
            f"gtp:timeout=0 {sys.executable}",
            "where timeout is '0', but must be a number of seconds",
        ),
    ],
)
def test_texts_that_name_no_engine(game, text, message):
    with pytest.raises(ConfigError) as caught:
        parse_opponent(text, game)
    assert str(caught.value).startswith(f"agent is {text!r}")
    assert message in str(caught.value)


def test_no_shell_reads_the_command(game, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    agent = parse_opponent(
        f"gtp:{sys.executable} -c '1' ; touch made $(touch made) `touch made`", game
    )
    with pytest.raises(EngineError, match="ended with exit code 0"):
        play_matches(game, agent, first_legal(game), num_matches=2)
    assert list(tmp_path.iterdir()) == []


def test_settings_start_no_program(game):
    with pytest.raises(ConfigError, match="an engine can neither analyse nor stand in settings"):
        make_agent(stub("gtp"), game)


def test_engines_are_agents_that_must_be_told(game):
    agent = parse_opponent(stub("gtp"), game)
    assert isinstance(agent, Agent) and isinstance(agent, HistoryAgent)
    assert not isinstance(RandomAgent(game), HistoryAgent)
    with pytest.raises(ConfigError, match="can only be asked during a match"):
        agent.select(stack([start(game, KEY)]), key=KEY)


def test_no_more_processes_than_can_be_meant(game):
    with pytest.raises(ConfigError, match="engine processes is 0"):
        EngineAgent(game, parse_engine(stub("gtp")), processes=0)


def test_an_engine_in_the_terminal(game):
    output = io.StringIO()
    with engine(game, stub("gtp", "--script 'b2 a3 c3 a2 resign'")) as agent:
        session = play_in_terminal(
            game,
            agent,
            people=parse_people("1"),
            source=io.StringIO("hint\na3\na2\n"),
            output=output,
        )
    assert (session.ending, session.returns) == ("resigned", (-1.0, 1.0))
    assert session.actions == (4, 0, 2, 3)
    text = output.getvalue()
    assert "gives no hints" in text and "plays b2 (#4)" in text
    assert text.endswith("player 0 resigns: player 1 wins\n")


def test_the_example_of_the_docs_plays(tmp_path):
    blocks = re.findall(r"```python\n(.*?)```", DOCS.read_text(encoding="utf-8"), re.DOTALL)
    (text,) = (block for block in blocks if "sys.stdin" in block)
    program = tmp_path / "my_engine.py"
    program.write_text(text, encoding="utf-8")
    game = ConnectFour()
    with engine(game, f"gtp:{sys.executable} {program}") as agent:
        table = play_matches(game, agent, RandomAgent(game), num_matches=2)
    assert len(table.matches) == 2


@pytest.mark.skipif(GNU_GO is None, reason="GNU Go is not installed (apt install gnugo)")
def test_matches_against_gnu_go_end_as_it_counts_them():
    """It plays all rules alike but for the dead stones, which it is made to take."""
    game = Go(size=5, komi=0.5)
    text = (
        f"gtp:{GNU_GO} --mode gtp --level 1 --seed 1 --chinese-rules --positional-superko "
        "--play-out-aftermath --capture-all-dead --never-resign"
    )
    with engine(game, text, processes=2) as agent:
        table = play_matches(game, agent, RandomAgent(game), num_matches=4, opening_plies=2)
    assert table.wins >= 2 and table.resigned == 0
    state = game.init(KEY)
    agreed = 0
    judge = GtpEngine("judge", [str(GNU_GO), "--mode", "gtp", "--chinese-rules"], timeout=300)
    try:
        for match in table.matches:
            judge.begin(("boardsize 5", "komi 0.5"))
            names = [game.action_to_string(state, action) for action in match.actions]
            judge.play([(ply % 2, name) for ply, name in enumerate(names)])
            if match.truncated or judge.ask("final_status_list dead"):
                continue
            winner = "B+" if (match.result > 0) == (match.seat == 0) else "W+"
            assert judge.ask("final_score").startswith(winner), names
            agreed += 1
    finally:
        judge.close()
    assert agreed >= 2
