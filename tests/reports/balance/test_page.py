"""The page of a report: complete, readable by machines, and safe whatever names are in it."""

import copy
import re
import xml.etree.ElementTree as ElementTree
from typing import Any

import pytest

from selfplay.registry import GameSpec
from selfplay.reports.balance.comparison import compare
from selfplay.reports.balance.drawing import Point, bar_chart, interval_chart, line_chart, ticks
from selfplay.reports.balance.page import comparison_page, report_page
from selfplay.reports.balance.report import balance_report
from tests.reports.balance.examples import game, random_matches, run_with

EVIL = "<script>alert('x')</script>&\"<img src=http://elsewhere/x>"


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    spec = GameSpec("hex", {"size": 3, "swap": True})
    matches = random_matches(game(spec.spec, **spec.options), 240)
    run = run_with(tmp_path_factory.mktemp("page") / "run", spec, matches)
    return balance_report(run, run.make_game())


def with_evil_names(value: Any) -> Any:
    """Returns a document whose every text is a script, but for what chooses between two ways."""
    if isinstance(value, dict):
        return {
            key: one if key in ("source", "measure") else with_evil_names(one)
            for key, one in value.items()
        }
    if isinstance(value, list):
        return [with_evil_names(one) for one in value]
    return EVIL if isinstance(value, str) else value


def parsed(page: str) -> ElementTree.Element:
    """Returns a page as a tree: everything is closed, escaped, and nested as it should be."""
    text = page.removeprefix("<!doctype html>\n")
    # The two elements without an end, in HTML.
    return ElementTree.fromstring(re.sub(r"(<meta [^>]*)>", r"\1/>", text))


def check_alone(page: str) -> ElementTree.Element:
    """Checks that a page runs nothing and asks for nothing; returns its tree."""
    tree = parsed(page)
    tags = {element.tag for element in tree.iter()}
    assert not tags & {"script", "img", "link", "iframe", "object", "a", "form", "image", "use"}
    for element in tree.iter():
        assert not {"src", "href", "onclick", "onload"} & set(element.keys())
    style = tree.findtext("head/style")
    assert style is not None
    assert "url(" not in style
    assert "@import" not in style
    assert "prefers-color-scheme: dark" in style
    policy = tree.find("head/meta[@http-equiv='Content-Security-Policy']")
    assert policy is not None
    assert policy.get("content") == "default-src 'none'; style-src 'unsafe-inline'"
    return tree


def test_a_page_shows_the_report(report: dict[str, Any]) -> None:
    tree = check_alone(report_page(report))
    text = " ".join(tree.itertext())
    assert "Balance of hex (size=3, swap=True)" in text
    for verdict in report["verdicts"]:
        assert verdict in text
    pictures = list(tree.iter("svg"))
    assert len(pictures) >= 4
    for picture in pictures:
        assert picture.get("role") == "img"
        assert len(picture.get("aria-label", "")) > 10
    assert len(list(tree.iter("table"))) >= 3


def test_two_reports_are_shown_beside_each_other(report: dict[str, Any]) -> None:
    found = compare(report, report)
    tree = check_alone(comparison_page(found))
    text = " ".join(tree.itertext())
    assert "more than chance" in text
    assert "both runs have the same rules" in text


def test_no_name_is_taken_for_markup(report: dict[str, Any]) -> None:
    evil = with_evil_names(copy.deepcopy(report))
    evil["options"] = {EVIL: EVIL}
    for page in (report_page(evil), comparison_page(compare(evil, evil))):
        tree = check_alone(page)
        assert EVIL in " ".join(tree.itertext())


def test_pictures_of_little_are_drawn_too() -> None:
    assert line_chart("t", {}) == ""
    assert interval_chart("t", []) == ""
    assert bar_chart("t", [("1", 0)], x_label="x") == ""
    lone = line_chart("t", {"a": [Point(3, 0.5, None, None)]})
    assert ElementTree.fromstring(lone).find("svg") is not None
    same = interval_chart("t", [("a", Point(0, 0.0, 0.0, 0.0))])
    assert "nan" not in same
    assert "nan" not in bar_chart("t", [("1", 4)], x_label="x")


@pytest.mark.parametrize(
    ("low", "high", "wanted"),
    [
        (0.0, 1.0, [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]),
        (0.43, 0.61, [0.45, 0.5, 0.55, 0.6]),
        (0, 70, [0, 20, 40, 60]),
        (-0.02, 0.02, [-0.02, -0.01, 0.0, 0.01, 0.02]),
    ],
)
def test_axes_have_round_numbers(low: float, high: float, wanted: list[float]) -> None:
    assert ticks(low, high) == pytest.approx(wanted)
