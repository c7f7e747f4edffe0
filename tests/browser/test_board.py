"""The board in a browser, by documents alone: what is drawn, what clicks and keys do."""

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tests.browser.conftest import STATIC
from tests.browser.write_documents import POSITIONS, document

DOCUMENTS = {
    file.stem: json.loads(file.read_text(encoding="utf-8"))
    for file in (Path(__file__).parent / "documents").glob("*.json")
}
PLAY_EVERY_PATH = """(doc) => {
  const wrong = [];
  const click = (cell) => document.querySelector(`[data-cell="${cell}"]`)
    .dispatchEvent(new MouseEvent("click", {bubbles: true}));
  for (const {action, clicks} of doc.legal) {
    for (const path of clicks) {
      window.show(doc);
      window.played.length = 0;
      path.forEach((cell, step) => {
        const group = document.querySelector(`[data-cell="${cell}"]`);
        if (!group.classList.contains("open")) wrong.push([action, path, step, "not open"]);
        click(cell);
      });
      if (window.played.join() !== String(action)) wrong.push([action, path, [...window.played]]);
    }
  }
  return wrong;
}"""
CLICK_WHAT_IS_CLOSED = """(doc) => {
  window.show(doc);
  window.played.length = 0;
  for (const group of document.querySelectorAll(".cell:not(.open)")) {
    group.dispatchEvent(new MouseEvent("click", {bubbles: true}));
  }
  return [...window.played];
}"""


def test_there_is_a_document_of_every_game_and_it_is_what_the_rules_tell() -> None:
    assert set(DOCUMENTS) == set(POSITIONS)
    for name in ("tic_tac_toe", "clobber"):
        assert document(name) == DOCUMENTS[name], "run python tests/browser/write_documents.py"


def test_everything_is_drawn_and_clicks_are_exactly_the_legal_actions(bare: Any) -> None:
    for name, doc in DOCUMENTS.items():
        view = doc["view"]
        bare.evaluate("(doc) => window.show(doc)", doc)
        wanted = sum(cell != "void" for cell in view["cells"])
        wanted += sum(map(len, view["hands"])) + len(view["dice"])
        assert bare.locator(".cell").count() == wanted, name
        buttons = [one["name"] for one in doc["legal"] if not one["clicks"]]
        assert bare.locator(".move-button").all_inner_texts() == buttons, name
        assert bare.evaluate(PLAY_EVERY_PATH, doc) == [], name
        assert bare.evaluate(CLICK_WHAT_IS_CLOSED, doc) == [], name
    assert bare.locator("svg text", has_text="NaN").count() == 0


def test_a_move_of_two_clicks_lights_its_targets_and_can_be_taken_back(bare: Any) -> None:
    bare.evaluate("(doc) => window.show(doc)", DOCUMENTS["breakthrough"])
    legal = DOCUMENTS["breakthrough"]["legal"]
    source = legal[0]["clicks"][0][0]
    targets = {one["clicks"][0][1] for one in legal if one["clicks"][0][0] == source}
    bare.click(f"[data-cell='{source}']")

    def opened() -> set[int]:
        return {int(one.get_attribute("data-cell")) for one in bare.locator(".cell.open").all()}

    assert opened() == targets and bare.locator(".selected").count() == 1
    bare.keyboard.press("Escape")
    assert bare.locator(".selected").count() == 0 and source in opened()
    bare.click(f"[data-cell='{source}']")
    bare.click(f"[data-cell='{source}']")
    assert bare.locator(".selected").count() == 0
    assert bare.evaluate("window.played") == []


def test_the_keyboard_alone_suffices(bare: Any) -> None:
    bare.evaluate("(doc) => window.show(doc)", DOCUMENTS["breakthrough"])
    bare.keyboard.press("Tab")
    focused = bare.evaluate("document.activeElement.dataset.cell")
    first = DOCUMENTS["breakthrough"]["legal"][0]
    assert int(focused) == first["clicks"][0][0]
    bare.keyboard.press("Enter")
    bare.keyboard.press("ArrowUp")
    assert bare.evaluate("document.activeElement.getAttribute('aria-label')").endswith("target")
    bare.keyboard.press("Enter")
    (played,) = bare.evaluate("window.played")
    source, target = next(
        one["clicks"][0] for one in DOCUMENTS["breakthrough"]["legal"] if one["action"] == played
    )
    assert (
        source == int(focused) and target == source - DOCUMENTS["breakthrough"]["view"]["columns"]
    )


@pytest.mark.parametrize("name", ["hex", "backgammon", "dots_and_boxes", "flagz"])
def test_arrows_reach_every_cell(bare: Any, name: str) -> None:
    bare.evaluate("(doc) => window.show(doc)", DOCUMENTS[name])
    reached, cells = bare.evaluate("""() => {
      const cells = [...document.querySelectorAll(".cell")].map((one) => one.dataset.cell);
      const reached = new Set();
      const waiting = [document.querySelector(".cell[tabindex='0']").dataset.cell];
      while (waiting.length) {
        const cell = waiting.pop();
        if (reached.has(cell)) continue;
        reached.add(cell);
        for (const key of ["ArrowUp", "ArrowDown", "ArrowLeft", "ArrowRight"]) {
          document.querySelector(`[data-cell="${cell}"]`).focus();
          document.activeElement.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
          waiting.push(document.activeElement.dataset.cell);
        }
      }
      return [[...reached].sort(), cells.sort()];
    }""")
    assert reached == cells


def test_a_game_without_a_board_is_played_by_buttons(bare: Any) -> None:
    doc = {**DOCUMENTS["tic_tac_toe"], "view": None, "over": False, "player": 0}
    doc["legal"] = [{"action": a, "name": f"take {a}", "clicks": []} for a in (1, 2)]
    bare.evaluate("(doc) => window.show(doc)", doc)
    assert bare.locator(".text-board").inner_text().startswith("3 o o .")
    bare.click("text=take 2")
    assert bare.evaluate("window.played") == [2]


def test_names_are_never_html(bare: Any) -> None:
    nasty = "<img src=x onerror=window.hit=1>"
    doc = json.loads(json.dumps(DOCUMENTS["tic_tac_toe"]))
    doc["view"] |= {"cells": [nasty] * 9, "note": nasty, "row_labels": [nasty] * 3}
    doc["legal"], doc["over"] = [{"action": 0, "name": nasty, "clicks": []}], False
    bare.evaluate("(doc) => window.show(doc)", doc)
    assert bare.locator("main img").count() == 0
    assert nasty in bare.locator(".note").inner_text()
    assert bare.evaluate("window.hit") is None


def test_axe_finds_nothing_serious_on_any_board(bare: Any, axe: Any) -> None:
    for theme in ("light", "dark"):
        bare.evaluate("(theme) => { document.documentElement.dataset.theme = theme; }", theme)
        for name in ("connect_four", "go", "backgammon", "kalah", "generals"):
            bare.evaluate("(doc) => window.show(doc)", DOCUMENTS[name])
            assert axe(bare) == [], (name, theme)


def test_overlays_show_every_share_where_its_move_leads(bare: Any) -> None:
    doc = DOCUMENTS["connect_four"]
    analysis = {
        "legal": [one["action"] for one in doc["legal"]],
        "action": 2,
        "policy": {str(one["action"]): 0.5 if one["action"] == 2 else 0.08 for one in doc["legal"]},
        "visits": {str(one["action"]): one["action"] for one in doc["legal"]},
        "qvalues": {str(one["action"]): 0.5 for one in doc["legal"]},
        "variations": {"2": [{"action": 2, "name": "3"}, {"action": 2, "name": "3"}]},
    }
    texts = bare.evaluate(
        """([doc, analysis]) => {
      window.show(doc);
      const found = {};
      for (const mode of ["policy", "visits", "qvalues", "raw_policy", "none"]) {
        window.overlays.drawOverlay(window.board, analysis, mode);
        found[mode] = [...document.querySelectorAll(".share-text")].map((one) => one.textContent);
      }
      window.overlays.drawOverlay(window.board, analysis, "policy");
      const best = document.querySelector(".share.best circle");
      const cell = document.querySelector("[data-cell='37'] .body");
      found.inside = Number(best.getAttribute("cy")) < Number(cell.getAttribute("y")) + 60 &&
        Number(best.getAttribute("cy")) > Number(cell.getAttribute("y"));
      return found;
    }""",
        [doc, analysis],
    )
    assert "50%" in texts["policy"] and len(texts["policy"]) == 7
    # What was not visited has no share, and no value.
    assert sorted(texts["visits"]) == ["1", "2", "3", "4", "5", "6"]
    assert texts["qvalues"] == ["75%"] * 6
    assert texts["raw_policy"] == texts["none"] == []
    assert texts["inside"]


CROSSED_LABELS = """(tree) => {
  document.querySelector("main").replaceChildren(window.overlays.drawTree(tree));
  const boxes = [...document.querySelectorAll(".node-text")].filter((one) => one.textContent)
    .map((one) => [one.textContent, one.getBBox()]);
  const crossed = new Set();
  for (const branch of document.querySelectorAll(".branch")) {
    for (let at = 0; at < branch.getTotalLength(); at += 1) {
      const {x, y} = branch.getPointAtLength(at);
      for (const [text, box] of boxes) {
        if (x > box.x && x < box.x + box.width && y > box.y + 1 && y < box.y + box.height - 1) {
          crossed.add(text);
        }
      }
    }
  }
  return [boxes.length, [...crossed]];
}"""


def test_no_line_of_a_search_tree_crosses_a_label(bare: Any) -> None:
    def node(name: str | None, *children: dict[str, Any]) -> dict[str, Any]:
        visits = 1 + sum(child["visits"] for child in children)
        return {"name": name, "visits": visits, "value": 0.5, "children": list(children)}

    long = "13/9 (then a long name)"
    few, many = node("a", node("b"), node("c")), node(long, *map(node, "defgh"))
    tree = node(None, few, node(long, few, many), node("i", many, few), many)
    assert bare.evaluate(CROSSED_LABELS, tree) == [29, []]


def test_mistakes_are_where_the_value_fell(bare: Any) -> None:
    found = bare.evaluate(
        "window.overlays.findMistakes([0, 0.1, -0.4, -0.3, 0.4, null, 1], [0, 0, 1, 1, 0, 1], 0.25)"
    )
    assert [(one["ply"], one["player"]) for one in found] == [(1, 0), (3, 1)]
    assert [round(one["loss"], 2) for one in found] == [0.5, 0.7]


def test_numbers_beside_charts_are_short_and_differ(bare: Any) -> None:
    numbers = [0, 0.0005, 0.0015, 0.002, 2.5e-7, 0.123456, 7.25, 9999, 12345, 2500000]
    assert bare.evaluate("(numbers) => numbers.map(window.charts.short)", numbers) == [
        "0", "0.0005", "0.0015", "0.002", "2.5e-7", "0.123", "7.25", "9999", "12.3k", "2.5M",
    ]  # fmt: skip


def test_the_page_is_light() -> None:
    # As it is sent: compressed. The aim is 150 kB without pictures.
    total = sum(len(gzip.compress(file.read_bytes())) for file in STATIC.iterdir())
    assert total < 60_000, f"{total} bytes without pictures"


def test_nothing_is_loaded_from_elsewhere_and_nothing_is_inline() -> None:
    for file in STATIC.iterdir():
        text = file.read_text(encoding="utf-8").replace("http://www.w3.org/", "")
        assert "http://" not in text and "https://" not in text, file.name
        for word in ("innerHTML", "outerHTML", "insertAdjacentHTML", "eval(", "new Function"):
            assert word not in text, (file.name, word)
    page = (STATIC / "index.html").read_text(encoding="utf-8")
    assert " style=" not in page and " onclick=" not in page and "<script>" not in page
