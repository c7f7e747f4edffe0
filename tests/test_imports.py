"""The rules of imports name every package, and the design page says the same."""

import re
import tomllib
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
LINTER = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]
RULES: dict[str, dict[str, Any]] = {rule["id"]: rule for rule in LINTER["contracts"]}
DESIGN = (ROOT / "docs" / "design.md").read_text()


def rooms() -> set[str]:
    """Returns the packages and modules of `selfplay`."""
    packages = {path.parent.name for path in (ROOT / "selfplay").glob("*/__init__.py")}
    modules = {path.stem for path in (ROOT / "selfplay").glob("[a-z]*.py")}
    return packages | modules


def layers() -> list[set[str]]:
    """Returns the rooms of each layer, the lowest first."""
    return [set(layer.split(" | ")) for layer in reversed(RULES["layers"]["layers"])]


def designed() -> list[tuple[str, bool]]:
    """Returns the rooms in the order of the design page, and whether it calls them pure."""
    rows = re.findall(r"^\| `(\w+)(?:/|\.py)`(, \*\*pure\*\*)? \|", DESIGN, re.MULTILINE)
    return [(name, bool(pure)) for name, pure in rows]


def test_every_room_has_its_layer() -> None:
    assert set().union(*layers()) == rooms()


def test_the_design_page_has_every_room_in_the_order_of_imports() -> None:
    place = {name: index for index, layer in enumerate(layers()) for name in layer}
    names = [name for name, _ in designed()]
    assert sorted(names) == sorted(rooms())
    assert [place[name] for name in names] == sorted(place[name] for name in names)


def test_the_design_page_calls_pure_what_the_linter_holds_to_be_pure() -> None:
    ruled = {name.removeprefix("selfplay.") for name in RULES["pure"]["source_modules"]}
    assert {name for name, pure in designed() if pure} == ruled & rooms()


@pytest.mark.parametrize(
    ("rule", "names", "left_out"),
    [
        ("people", "source_modules", {"cli", "serve", "telemetry"}),
        ("games", "forbidden_modules", {"adapters", "errors", "game"}),
    ],
)
def test_rules_leave_no_room_out(rule: str, names: str, left_out: set[str]) -> None:
    ruled = {name.removeprefix("selfplay.") for name in RULES[rule][names]}
    assert ruled & rooms() == rooms() - left_out
