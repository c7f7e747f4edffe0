"""Names, files, modules and entry points become games, or one clear error."""

import importlib.metadata
import textwrap
import traceback
from collections.abc import Callable
from pathlib import Path

import pytest

from selfplay.cli.targets import parse_options
from selfplay.errors import ConfigError, GameContractError, UnknownGameError
from selfplay.games.connect_four import ConnectFour
from selfplay.games.othello import Othello
from selfplay.registry import GameSpec, game_names, load_object, make

NIM = """
import jax.numpy as jnp
from selfplay.game import Game

class Nim(Game):
    name = "nim"
    num_actions = 2
    max_plies = 20

    def __init__(self, stones: int = 9, *, rate: float = 1.0, label: str = "nim"):
        self.stones = stones

    def init(self, key):
        return jnp.array([self.stones, 0])

    def step(self, state, action):
        return jnp.stack([state[0] - action - 1, 1 - state[1]])

    def current_player(self, state):
        return state[1]

    def legal_action_mask(self, state):
        return jnp.arange(1, 3) <= state[0]

    def is_terminal(self, state):
        return state[0] <= 0

    def returns(self, state):
        return jnp.where(jnp.arange(2) == state[1], -1.0, 1.0)

    def observe(self, state):
        return state.astype(jnp.float32)
"""


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Returns a function that writes a file into the current directory."""
    monkeypatch.chdir(tmp_path)

    def write_file(name: str, text: str) -> None:
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(textwrap.dedent(text))

    return write_file


Write = Callable[[str, str], None]


def test_names_are_sorted_and_made() -> None:
    names = game_names()
    assert list(names) == sorted(names) and {"go_9x9", "othello", "tic_tac_toe"} <= {*names}
    for name in names:
        assert make(name).name == name


def test_options_reach_the_constructor() -> None:
    game = make("othello", size=6)
    assert isinstance(game, Othello)
    assert game.name == "othello" and game.num_actions == 37


def test_a_spec_makes_its_game() -> None:
    game = GameSpec("connect_four", {"columns": 5}).make()
    assert isinstance(game, ConnectFour) and game.columns == 5
    assert GameSpec("connect_four") == GameSpec("connect_four", {})


def test_a_file_is_a_game(write: Write) -> None:
    write("nim.py", NIM)
    assert make("nim.py:Nim", stones=4).stones == 4  # type: ignore[attr-defined]
    assert make("nim.py").name == "nim"
    assert make(str(Path.cwd() / "nim.py:Nim")).name == "nim"


def test_a_file_is_read_again_after_a_change(write: Write) -> None:
    write("nim.py", NIM)
    assert make("nim.py").max_plies == 20
    write("nim.py", NIM.replace("max_plies = 20", "max_plies = 3000"))
    assert make("nim.py").max_plies == 3000


def test_a_file_may_import_its_neighbours(write: Write) -> None:
    write("folder/neighbour_of_nim.py", NIM)
    write("folder/game.py", "import neighbour_of_nim\nclass Two(neighbour_of_nim.Nim): pass\n")
    assert make("folder/game.py").name == "nim"


def test_a_module_is_a_game(write: Write) -> None:
    write("package_with_nim/rules.py", NIM)
    assert make("package_with_nim.rules:Nim").name == "nim"


def test_an_installed_package_adds_a_name(write: Write, monkeypatch: pytest.MonkeyPatch) -> None:
    write("registered_nim.py", NIM)
    monkeypatch.syspath_prepend(str(Path.cwd()))
    points = importlib.metadata.EntryPoints(
        [
            importlib.metadata.EntryPoint("nim", "registered_nim:Nim", "selfplay.games"),
            importlib.metadata.EntryPoint("broken", "registered_nim:Absent", "selfplay.games"),
        ]
    )
    monkeypatch.setattr(importlib.metadata, "entry_points", lambda **by: points.select(**by))
    names = game_names()
    assert list(names) == sorted(names) and {"broken", "nim", "othello"} <= {*names}
    assert make("nim", stones=3).num_actions == 2
    with pytest.raises(GameContractError, match=r"entry point broken \(registered_nim:Absent\)"):
        make("broken")


def error_of(expected: type[Exception], spec: str, **options: object) -> tuple[str, str]:
    with pytest.raises(expected) as caught:
        make(spec, **options)
    return str(caught.value), getattr(caught.value, "hint", "")


def test_an_unknown_name_lists_the_known_ones(write: Write) -> None:
    forms = (
        "a game is a name, FILE.py:Class, package.module:Class, pgx:ID or open_spiel:NAME; "
        f"names: {', '.join(game_names())}"
    )
    assert error_of(UnknownGameError, "connect4") == (
        "'connect4' is not a game",
        f"did you mean connect_four? {forms}",
    )
    assert error_of(UnknownGameError, "zzz") == ("'zzz' is not a game", forms)
    write("zzz.py", NIM)
    assert error_of(UnknownGameError, "zzz")[1].startswith("did you mean zzz.py? ")
    assert error_of(UnknownGameError, "")[0] == "'' is not a game"
    assert error_of(UnknownGameError, "hex:size=5,swap=false") == (
        "'hex:size=5,swap=false' has options in the name of the game",
        "give hex --option size=5 --option swap=false; in Python, keyword arguments",
    )


def test_a_missing_file_or_module_or_class(write: Write) -> None:
    write("nim.py", NIM)
    assert error_of(UnknownGameError, "absent.py:Nim")[0] == "file absent.py does not exist"
    assert error_of(UnknownGameError, "absent.py")[0] == "file absent.py does not exist"
    assert error_of(UnknownGameError, "absent.rules:Nim")[0] == "module absent.rules does not exist"
    assert error_of(UnknownGameError, "nim.py:Nin") == (
        "nim.py has no class Nin",
        "did you mean nim.py:Nim?",
    )


def test_a_file_without_a_game(write: Write) -> None:
    write("empty.py", "from selfplay.game import Game\nclass Other: pass\n")
    assert error_of(UnknownGameError, "empty.py")[0] == "empty.py holds no game"
    assert error_of(UnknownGameError, "empty.py:Absent")[1] == "it holds no game at all"
    assert error_of(GameContractError, "empty.py:Other") == (
        "empty.py:Other is not a game",
        "a game is a class that subclasses selfplay.Game or selfplay.PythonGame",
    )


def test_a_file_with_two_games_needs_a_class(write: Write) -> None:
    write("two.py", NIM + "\nclass Other(Nim): pass\n")
    assert error_of(UnknownGameError, "two.py") == (
        "two.py holds 2 games",
        "games in it: two.py:Nim, two.py:Other",
    )
    assert make("two.py:Other").name == "nim"


def test_a_game_with_missing_methods(write: Write) -> None:
    write("half.py", "from selfplay.game import Game\nclass Half(Game):\n    name = 'half'\n")
    assert error_of(GameContractError, "half.py")[0] == (
        "half.py:Half lacks methods: current_player, init, is_terminal, legal_action_mask, "
        "observe, returns, step"
    )


def test_a_traceback_ends_with_the_hint(write: Write) -> None:
    write("two.py", NIM + "\nclass Other(Nim): pass\n")
    with pytest.raises(UnknownGameError) as caught:
        make("two.py")
    lines = traceback.format_exception_only(caught.value)
    assert lines[-1] == "hint: games in it: two.py:Nim, two.py:Other\n"


def test_a_misspelled_method_is_recognised(write: Write) -> None:
    write("odd.py", NIM.replace("def current_player", "def curent_player"))
    assert error_of(GameContractError, "odd.py") == (
        "odd.py:Nim lacks methods: current_player",
        "is curent_player meant to be current_player?",
    )


def test_an_error_in_a_users_file_is_one_line(write: Write) -> None:
    write("fails.py", "import math\n\nmath.absent\n")
    write("syntax.py", "x = 1\nclass Nim(:\n")
    write("needs.py", "import absent_package\n")
    message = "file fails.py cannot be imported: AttributeError: module 'math' has no attribute "
    assert error_of(GameContractError, "fails.py")[0] == message + "'absent' (fails.py, line 3)"
    assert error_of(GameContractError, "syntax.py")[0] == (
        "file syntax.py cannot be imported: SyntaxError: invalid syntax (syntax.py, line 2)"
    )
    message = "cannot be imported: ModuleNotFoundError: No module named 'absent_package' "
    assert error_of(GameContractError, "needs.py:Nim")[0] == (
        f"file needs.py {message}(needs.py, line 1)"
    )
    assert error_of(GameContractError, "needs:Nim")[0].startswith(f"module needs {message}")


def test_an_option_that_the_constructor_does_not_take(write: Write) -> None:
    write("nim.py", NIM)
    assert error_of(ConfigError, "othello", sise=6) == (
        "othello has no option 'sise'",
        "did you mean size? its options: size=8",
    )
    assert error_of(ConfigError, "tic_tac_toe", size=4) == (
        "tic_tac_toe has no option 'size'",
        "it has no options",
    )
    assert error_of(ConfigError, "othello", size="big")[0] == (
        "othello: option size is 'big', but must be of type int"
    )
    assert error_of(ConfigError, "othello", size=True)[0].endswith("must be of type int")
    assert error_of(ConfigError, "othello", size=7)[0] == (
        "othello: size is 7, but must be 4, 6, 8 or 10"
    )
    assert make("nim.py", rate=2).name == "nim"
    assert error_of(ConfigError, "nim.py", rate="fast")[0].endswith("must be of type float")


def test_an_option_that_is_needed(write: Write) -> None:
    write("nim.py", NIM.replace("stones: int = 9", "stones"))
    assert error_of(ConfigError, "nim.py") == (
        "nim.py needs the option 'stones'",
        "--option stones=VALUE",
    )


def test_a_constructor_that_fails(write: Write) -> None:
    write("nim.py", NIM.replace("self.stones = stones", "self.stones = 1 // (stones - 9)"))
    assert error_of(ConfigError, "nim.py", stones=9)[0] == (
        "nim.py cannot be made with stones=9: ZeroDivisionError: integer division or modulo by "
        "zero (nim.py, line 11)"
    )


def test_options_are_read_from_text() -> None:
    texts = ["size=6", "komi=7.5", "swap=true", "torus = False", "rules=inf", "a=b=c", "n=-1", "e="]
    assert parse_options(texts) == {
        "size": 6,
        "komi": 7.5,
        "swap": True,
        "torus": False,
        "rules": "inf",
        "a": "b=c",
        "n": -1,
        "e": "",
    }


@pytest.mark.parametrize("text", ["size", "=6", "board size=6"])
def test_an_option_without_a_name_or_value(text: str) -> None:
    with pytest.raises(ConfigError, match=f"option is '{text}', but must be NAME=VALUE"):
        parse_options([text])


def test_any_object_is_loaded_by_file_or_module(write: Write) -> None:
    write("values.py", "answer = 42\n")
    assert load_object("values.py:answer") == 42
    assert load_object("textwrap:dedent") is textwrap.dedent


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("values.py:absent", "values.py holds no absent"),
        ("values", "'values' is not file.py:Name or package.module:Name"),
        ("absent.py:answer", "file absent.py does not exist"),
        ("absent:answer", "module absent does not exist"),
    ],
)
def test_an_object_that_is_not_there(write: Write, spec: str, message: str) -> None:
    write("values.py", "answer = 42\n")
    with pytest.raises(ConfigError, match=message):
        load_object(spec)
