"""The documentation says what is true."""

import datetime
import itertools
import re
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import typer

from selfplay.cli.main import app
from selfplay.settings.config import KEYS

ROOT = Path(__file__).parents[1]
LAST = {"A": 13, "B": 19, "C": 20, "D": 22, "E": 10, "F": 8, "G": 8, "M": 19}
ROWS = [f"{letter}{number}" for letter, last in LAST.items() for number in range(1, last + 1)]
PAGES = sorted(str(path.relative_to(ROOT)) for path in (ROOT / "docs").rglob("*.md"))


def features() -> list[list[str]]:
    """Returns the cells of each row of docs/features.md: row, feature, state, evidence."""
    text = (ROOT / "docs" / "features.md").read_text()
    return [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in text.splitlines()
        if re.match(r"\| [A-M]\d+ \|", line)
    ]


def test_every_feature_has_its_row() -> None:
    assert [row for row, *_ in features()] == ROWS


def test_a_feature_that_is_there_names_its_evidence() -> None:
    for row, _, state, evidence in features():
        assert state in {"done", "part", "not yet"}, row
        assert bool(evidence) == (state != "not yet"), row


def pieces() -> list[tuple[str, str]]:
    """Returns each quoted piece of evidence with its row."""
    return [
        (row, piece)
        for row, _, _, evidence in features()
        for piece in re.findall("`([^`]+)`", evidence)
    ]


def wrong_evidence(piece: str) -> str:
    """Returns what is wrong with a piece of evidence, "" if nothing is."""
    if re.search(r"^test_|^\[|(^|\s|\.)::|\.\.\.::", piece):
        return "is in short form: write file and test in full"
    words = shlex.split(piece)
    if words[0] == "python":
        words = words[1:]
    path, colons, test = words[0].partition("::")
    if re.match("(tests|benchmarks|docs|selfplay|games|deploy)/", path):
        if not (ROOT / path).exists():
            return f"names {path}, which does not exist"
        if colons and not re.search(
            rf"^\s*def {re.escape(test.partition('[')[0])}\(", (ROOT / path).read_text(), re.M
        ):
            return f"names {test}, which is not in {path}"
        if "[" in test and test[:-1].partition("[")[2] not in _parameters(path):
            return f"names the parameter {test}, which is not there"
        source = (ROOT / path).read_text() if path.endswith(".py") else ""
        unknown = [word for word in words[1:] if word[:2] == "--" and f'"{word}"' not in source]
        return f"names {unknown[0]}, which {path} does not know" if unknown else ""
    if words[0] == "selfplay":
        return _wrong_command([word.strip("[]") for word in words[1:]])
    section, dot, key = words[0].partition("=")[0].partition(".")
    if dot and section in KEYS and key not in KEYS[section]:
        return f"names {section}.{key}, which is not a setting"
    return ""


def _parameters(path: str) -> str:
    """Returns where the parameters of a file's tests may come from: it, and the planted games."""
    corpus = (ROOT / "tests" / "check" / "planted" / "games.py").read_text()
    return (ROOT / path).read_text() + corpus


def _wrong_command(words: list[str]) -> str:
    commands = typer.main.get_command(app).commands  # type: ignore[attr-defined]
    if words[0] not in commands:
        return f"names selfplay {words[0]}, which is not a command"
    known = {option for one in commands[words[0]].params for option in one.opts}
    unknown = [word for word in words[1:] if word.startswith("--") and word not in known]
    return f"names {unknown[0]}, which selfplay {words[0]} does not have" if unknown else ""


@pytest.mark.parametrize(("row", "piece"), pieces())
def test_the_evidence_exists(row: str, piece: str) -> None:
    assert wrong_evidence(piece) == ""


def test_evidence_is_not_what_was_said_elsewhere() -> None:
    texts = [evidence for *_, evidence in features()]
    assert [text for text in texts if re.search("as before|see above|ditto", text)] == []


@pytest.mark.parametrize(
    ("piece", "message"),
    [
        ("test_something", "is in short form"),
        ("...::test_something", "is in short form"),
        ("::test_something", "is in short form"),
        ("[Parameter]", "is in short form"),
        ("tests/none.py", "does not exist"),
        ("tests/test_docs.py::test_none", "which is not in tests/test_docs.py"),
        (
            "tests/check/test_conformance.py::test_a_planted_mistake_is_found[NoneOfIt]",
            "which is not",
        ),
        ("benchmarks/chaos.py --kill 3", "--kill, which benchmarks/chaos.py does not know"),
        ("python benchmarks/none.py", "does not exist"),
        ("selfplay trian", "not a command"),
        ("selfplay train --minute 3", "--minute, which selfplay train does not have"),
        ("trainer.ruse", "not a setting"),
    ],
)
def test_evidence_that_is_wrong_is_seen(piece: str, message: str) -> None:
    assert message in wrong_evidence(piece)


def tables(page: str) -> list[tuple[str, str]]:
    """Returns the paragraph before each table of a page, and the first line of the table."""
    blocks = [block.strip() for block in re.split(r"\n\s*\n", (ROOT / page).read_text())]
    return [
        (before, block.splitlines()[0])
        for before, block in itertools.pairwise(blocks)
        if block.startswith("|")
    ]


def wrong_origin(text: str) -> str:
    """Returns what is missing in the paragraph that says where the figures of a table are from."""
    said = re.match(r"Measured (?:by|on) (\d{4}-\d\d-\d\d); command: (.*)", text, re.DOTALL)
    if said is None:
        return "has no date or no command"
    datetime.date.fromisoformat(said[1])
    commands = re.findall("`((?:python|selfplay) [^`]+)`", said[2])
    if not commands:
        return "" if said[2].startswith("not kept") else "has no command"
    return next(filter(None, map(wrong_evidence, commands)), "")


@pytest.mark.parametrize(("before", "header"), tables("docs/benchmarks.md"))
def test_each_table_of_figures_says_when_and_by_which_command(before: str, header: str) -> None:
    assert wrong_origin(before) == "", header


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Other work ran beside.", "no date"),
        ("Measured by 2026-11-21; command: somehow", "no command"),
        ("Measured by 2026-11-21; command: `python benchmarks/none.py`", "does not exist"),
        ("Measured by 2026-11-21; command: `selfplay benhc x`", "not a command"),
        ("Measured on 2026-11-21; command: `python benchmarks/rules.py`", ""),
        ("Measured by 2026-11-21; command: not kept; one run.", ""),
    ],
)
def test_a_table_without_origin_is_seen(text: str, message: str) -> None:
    assert message in wrong_origin(text) and bool(message) == bool(wrong_origin(text))


@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.stem)
def test_benchmarks_need_no_arguments(script: Path) -> None:
    source = script.read_text()
    assert f"python benchmarks/{script.name}" in source
    # Positional arguments all have a default.
    arguments = re.findall(r'add_argument\(\s*"[a-z_]+"[^)]*\)', source)
    assert [one for one in arguments if "nargs" not in one] == []
    assert "ArgumentParser(" in source


@pytest.mark.slow
@pytest.mark.parametrize("script", sorted((ROOT / "benchmarks").glob("*.py")), ids=lambda p: p.stem)
def test_benchmarks_explain_themselves(script: Path) -> None:
    done = subprocess.run(
        [sys.executable, script, "--help"], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert f"python benchmarks/{script.name}" in done.stdout


def test_generated_parts_are_up_to_date() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    stale = [page.name for page, text in pages.items() if page.read_text() != text]
    assert stale == [], "run `python docs/generate.py`"


def test_a_page_without_a_place_for_its_table_is_refused() -> None:
    with_table = runpy.run_path(str(ROOT / "docs" / "generate.py"))["_with_table"]
    with pytest.raises(ValueError, match=r"index\.md has 0 places for a table"):
        with_table("index", "| a |")


def contributing() -> str:
    return (ROOT / "CONTRIBUTING.md").read_text()


def test_every_path_that_contributors_are_sent_to_exists() -> None:
    paths = re.findall(r"`([\w./]+/[\w./]*|\w+\.(?:md|toml|py))`", contributing())
    assert len(paths) > 60
    assert [path for path in paths if not (ROOT / path).exists()] == []


def test_contributors_are_told_where_to_make_fifteen_changes() -> None:
    _, _, table = contributing().partition("## Where do I change X?")
    rows = re.findall(r"^\| (?!to \||---)(.*?) \| (.*?) \| (.*?) \|$", table, re.MULTILINE)
    assert len(rows) >= 15
    for change, where, tests in rows:
        assert "`" in where, change
        assert "`tests/" in tests, change


def test_every_package_is_on_the_map() -> None:
    rooms = [path.parent.name for path in sorted((ROOT / "selfplay").glob("*/__init__.py"))]
    generated = {"games", "templates"}
    assert [
        room
        for room in rooms
        if room not in generated and f"`selfplay/{room}/`" not in contributing()
    ] == []


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", "CONTRIBUTING.md", *PAGES])
def test_links_between_files_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []
