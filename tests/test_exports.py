"""The public names: sorted, importable, documented, taught, and shown by examples that run."""

import ast
import doctest
import inspect
import re
import sys
from pathlib import Path

import pytest

import selfplay

ROOT = Path(__file__).parents[1]
LIBRARY = ROOT / "docs" / "library.md"
NAMES = [name for name in selfplay.__all__ if not name.startswith("__")]
TAUGHT = ("docs/*.md", "docs/examples/*.py", "templates/*.py")
SHOWN_ELSEWHERE = {
    "ChanceGame": "docs/chance.md",
    "ConfigError": "games/othello.py",
    "Game": "docs/examples/domineering.py",
    "Prediction": "docs/library.md",
    "PythonChanceGame": "docs/python-games.md",
    "PythonGame": "docs/python-games.md",
    "ReplayWindow": "docs/library.md",
    "Searcher": "docs/examples/library.py",
    "check_game": "docs/check.md",
    "known_answers": "docs/correctness.md",
    "open_checkpoints": "docs/run-directory.md",
    "play_text": "templates/game_test.py",
    "play_until_decided": "docs/library.md",
    "prepare": "docs/examples/library.py",
    "read_matches": "docs/records.md",
    "read_mistake_moves": "docs/run-directory.md",
    "read_mistakes": "docs/run-directory.md",
    "rerun": "docs/processes.md",
    "train": "docs/examples/library.py",
}
"""Public names whose docstring has no example of its own: they need a run, or minutes."""


SHOWN_BY = {
    "CheckReport": "check_game",
    "Components": "make_components",
    "Evaluator": "search",
    "Learner": "Components",
    "MatchRecord": "read_matches",
    "MatchTable": "play_matches",
    "Network": "build_network",
    "Pairing": "fit_ratings",
    "RatingTable": "fit_ratings",
    "Reply": "solve_exactly",
    "SearchResult": "search",
    "SelfPlayer": "Components",
    "SequentialTest": "sequential_test",
}
"""Public classes that are not made by hand: another public name takes, holds or returns them."""


def test_public_names_are_sorted_and_unique() -> None:
    assert selfplay.__all__
    assert list(selfplay.__all__) == sorted(set(selfplay.__all__))


def test_public_names_are_there() -> None:
    assert [name for name in selfplay.__all__ if not hasattr(selfplay, name)] == []
    assert set(selfplay.__all__) <= set(dir(selfplay))


def test_the_table_of_the_library_page_has_every_public_name_and_no_other() -> None:
    rows = re.findall(r"^\| (`.*?) \|", LIBRARY.read_text(), re.MULTILINE)
    taught = [name for row in rows for name in re.findall(r"`(\w+)`", row)]
    assert sorted(taught) == sorted(NAMES)


def python_of(page: Path) -> list[str]:
    """Returns the Python in a page, or all of it in a program."""
    if page.name == "design.md":
        return []  # Its contract is an outline with types behind the names.
    if page.suffix == ".py":
        return [page.read_text()]
    return re.findall(r"^```python\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)


@pytest.mark.parametrize(
    "page",
    [ROOT / "README.md", *sorted(page for where in TAUGHT for page in ROOT.glob(where))],
    ids=lambda page: page.name,
)
def test_what_the_docs_import_is_public(page: Path) -> None:
    private = []
    for code in python_of(page):
        for node in ast.walk(ast.parse(code)):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("selfplay"):
                private += [one.name for one in node.names if one.name not in NAMES]
            elif isinstance(node, ast.Attribute) and ast.unparse(node.value) == "selfplay":
                private += [node.attr] if node.attr not in NAMES else []
    assert private == []


@pytest.mark.parametrize("name", NAMES)
def test_public_names_are_documented_and_their_examples_run(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    value = getattr(selfplay, name)
    assert value.__doc__
    module = sys.modules[value.__module__]
    found = doctest.DocTestFinder(recurse=inspect.isclass(value)).find(value, name, module=module)
    examples = [test for test in found if test.examples]
    if name in SHOWN_BY:
        assert name in str(inspect.signature(getattr(selfplay, SHOWN_BY[name])))
    elif name in SHOWN_ELSEWHERE:
        assert name in (ROOT / SHOWN_ELSEWHERE[name]).read_text()
        assert not examples, "has an example now: leave it out of SHOWN_ELSEWHERE"
    else:
        assert examples
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS)
    for test in examples:
        said: list[str] = []
        runner.run(test, out=said.append)
        assert runner.failures == 0, "".join(said)


@pytest.mark.parametrize("module", ["grids", "bitboards", "text"])
def test_examples_of_tools_for_games_run(module: str) -> None:
    name = f"selfplay.game.{module}"
    assert doctest.testmod(sys.modules[name]).failed == 0
    assert doctest.testmod(sys.modules[name]).attempted > 0


@pytest.mark.parametrize("old, new", [("Parts", "Components"), ("make_parts", "make_components")])
def test_names_of_earlier_versions_still_work(old: str, new: str) -> None:
    with pytest.warns(DeprecationWarning, match=f"selfplay.{new}"):
        assert getattr(selfplay, old) is getattr(selfplay, new)
