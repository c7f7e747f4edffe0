"""The documentation says what is true."""

import re
import runpy
from pathlib import Path

import pytest

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


def test_the_evidence_exists() -> None:
    text = (ROOT / "docs" / "features.md").read_text()
    paths = re.findall(r"`((?:tests|benchmarks|docs|selfplay|games)/[\w/.]+)", text)
    assert [path for path in paths if not (ROOT / path).exists()] == []
    for path, test in re.findall(r"`(tests/[\w/.]+)::(\w+)", text):
        assert f"def {test}(" in (ROOT / path).read_text(), f"{path}::{test}"


def test_generated_parts_are_up_to_date() -> None:
    pages = runpy.run_path(str(ROOT / "docs" / "generate.py"))["pages"]()
    stale = [page.name for page, text in pages.items() if page.read_text() != text]
    assert stale == [], "run `python docs/generate.py`"


@pytest.mark.parametrize("page", ["README.md", "CHANGELOG.md", *PAGES])
def test_links_between_files_lead_somewhere(page: str) -> None:
    text = (ROOT / page).read_text()
    links = [link for link in re.findall(r"\]\(([^)#]+)", text) if "://" not in link]
    assert [link for link in links if not (ROOT / page).parent.joinpath(link).exists()] == []
