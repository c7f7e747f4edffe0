"""Takes the pictures of the pages in docs/pictures: python tests/browser/pictures.py RUN.

RUN is a run of Connect Four that has trained for a few minutes, with evaluations.
"""

import contextlib
import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).parent))

from playwright.sync_api import sync_playwright

from selfplay import startup

if TYPE_CHECKING:
    from tests.browser.serving import serve
else:
    from serving import serve

OUTPUT = Path(__file__).parents[2] / "docs" / "pictures"
BOARDS = ("go", "hex", "backgammon", "kalah", "dots_and_boxes", "nine_mens_morris")
DOCUMENTS = Path(__file__).parent / "documents"
DRAW = """async (docs) => {
  const {Board} = await import("/static/board.js");
  const main = document.querySelector("main");
  main.replaceChildren();
  main.className = "cards";
  for (const doc of docs) {
    const board = new Board();
    const holder = document.createElement("div");
    holder.className = "panel";
    holder.append(board.element);
    main.append(holder);
    board.show(doc);
  }
}"""


def settled(page: Any) -> None:
    """Waits until a person is to move."""
    page.wait_for_function(
        "() => ['yours', 'over'].includes(document.querySelector('.status')?.dataset.state)"
    )


def play(page: Any, site: str) -> None:
    """A match of Connect Four with a hint."""
    page.goto(f"{site}#/play/connect_four")
    for cell in (38, 37, 36):
        settled(page)
        page.click(f"[data-cell='{cell}']")
    settled(page)
    if page.locator(".status").get_attribute("data-state") == "yours":
        page.click("text=Hint")
        page.wait_for_selector(".share")


def analysis(page: Any, site: str) -> None:
    """A position searched deeper and deeper, with its tree."""
    page.goto(f"{site}#/analysis/connect_four")
    page.wait_for_selector(".board-svg")
    page.get_by_label("Moves as text").fill("4 4 4 3 3")
    page.click("text=Enter")
    page.wait_for_selector("[data-ply='5']")
    page.get_by_label("Draw").select_option("2")
    page.get_by_role("button", name="Search").first.click()
    page.wait_for_selector(".tree svg")
    page.get_by_role("button", name="Search").first.wait_for()


def matches(page: Any, site: str) -> None:
    """The newest matches of the run."""
    page.goto(f"{site}#/matches")
    page.wait_for_selector("tbody tr")


def match(page: Any, site: str) -> None:
    """One of them in the middle."""
    matches(page, site)
    page.get_by_label("Kind").select_option("selfplay")
    page.wait_for_function(
        "() => !document.querySelector('tbody a').textContent.startsWith('evaluation')"
    )
    page.locator("tbody a").first.click()
    page.wait_for_selector(".board-svg")
    for _ in range(9):
        page.click("[aria-label='One move forward']")
    page.wait_for_selector("[data-ply='9']")


def training(page: Any, site: str) -> None:
    """The run in charts."""
    page.goto(f"{site}#/training")
    page.wait_for_selector(".chart")


def boards(page: Any, site: str) -> None:
    """Boards of six kinds, drawn without asking the server."""
    page.goto(f"{site}#/play")
    settled(page)
    page.evaluate(DRAW, [json.loads((DOCUMENTS / f"{name}.json").read_text()) for name in BOARDS])


PAGES: dict[str, tuple[Callable[[Any, str], None], str, tuple[int, int]]] = {
    "play": (play, "light", (1280, 900)),
    "play-phone": (play, "dark", (390, 800)),
    "analysis": (analysis, "light", (1280, 900)),
    "matches": (matches, "light", (1280, 700)),
    "match": (match, "dark", (1280, 900)),
    "training": (training, "light", (1280, 900)),
    "boards": (boards, "light", (1100, 1700)),
}


def main(run: str, names: list[str]) -> None:
    """Takes the pictures of these pages, of all by default."""
    startup.prepare()
    OUTPUT.mkdir(exist_ok=True)
    found = shutil.which("chromium") or shutil.which("google-chrome")
    sites: Any = serve({}, [run], simulations=512)
    with contextlib.closing(sites):
        site = next(sites)
        with sync_playwright() as tools:
            browser = tools.chromium.launch(executable_path=found, args=["--no-sandbox"])
            for name in names or list(PAGES):
                show, theme, (width, height) = PAGES[name]
                context = browser.new_context(
                    viewport={"width": width, "height": height},
                    color_scheme="dark" if theme == "dark" else "light",
                    reduced_motion="reduce",
                )
                context.set_default_timeout(180_000)
                page = context.new_page()
                show(page, site)
                page.mouse.move(0, 0)
                page.wait_for_timeout(300)
                page.screenshot(path=OUTPUT / f"{name}.png")
                context.close()
            browser.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
