"""A browser, and pages in it that report every error."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

playwright = pytest.importorskip(
    "playwright.sync_api", reason="Playwright is not installed: pip install playwright"
)

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
STATIC = Path(__file__).parents[2] / "selfplay" / "serve" / "static"
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data:; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)
TYPES = {".js": "text/javascript", ".css": "text/css", ".svg": "image/svg+xml"}
BARE = """<!doctype html><html lang="en"><head><meta charset="utf-8"><title>board</title>
<link rel="stylesheet" href="static/style.css"><script type="module" src="try.js"></script>
</head><body><main></main></body></html>"""
TRY = """import {Board} from "./static/board.js";
import * as overlays from "./static/overlays.js";
import * as charts from "./static/charts.js";
window.overlays = overlays;
window.charts = charts;
window.played = [];
window.show = (doc) => {
  window.board = new Board({onPlay: (action) => window.played.push(action)});
  document.querySelector("main").replaceChildren(window.board.element);
  window.board.show(doc);
};
"""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Any]:
    """The browser of the system; tests are skipped where there is none."""
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    if found is None:
        pytest.skip("no Chromium here: apt-get install chromium")
    with playwright.sync_playwright() as tools:
        # Root in a container has no sandbox; pages here are our own.
        browser = tools.chromium.launch(executable_path=found, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def faults() -> list[str]:
    """What pages log as errors; a test that wants one takes it out."""
    return []


@pytest.fixture
def context(chromium: Any, faults: list[str]) -> Iterator[Any]:
    """A fresh profile, without animations; a page that logs an error fails its test."""
    made = chromium.new_context(reduced_motion="reduce", viewport={"width": 1200, "height": 900})
    # A search is compiled when it is first asked for, maybe on a busy machine.
    made.set_default_timeout(60_000)
    made.on(
        "console",
        lambda message: (
            faults.append(message.text) if message.type in ("error", "warning") else None
        ),
    )
    made.on("weberror", lambda error: faults.append(str(error.error)))
    yield made
    made.close()
    assert faults == []


@pytest.fixture
def page(context: Any) -> Any:
    """An empty page."""
    return context.new_page()


@pytest.fixture
def bare(page: Any) -> Any:
    """A page with the modules of the board alone, and no server: `show(document)` draws."""

    def answer(route: Any) -> None:
        name = route.request.url.removeprefix("http://board.test/")
        headers = {"Content-Security-Policy": POLICY}
        if name == "":
            route.fulfill(body=BARE, content_type="text/html", headers=headers)
        elif name == "try.js":
            route.fulfill(body=TRY, content_type="text/javascript", headers=headers)
        elif (file := STATIC / name.removeprefix("static/")).is_file():
            route.fulfill(body=file.read_bytes(), content_type=TYPES[file.suffix], headers=headers)
        else:
            # What the browser asks for by itself, such as a favicon.
            route.fulfill(status=204, body="")

    page.route("http://board.test/**", answer)
    page.goto("http://board.test/")
    page.wait_for_function("() => Boolean(window.show)")
    return page


@pytest.fixture(scope="session")
def axe() -> Any:
    """axe-core: call `serious(page)` for what it finds that keeps people out."""
    module = pytest.importorskip(
        "axe_playwright_python.sync_playwright",
        reason="axe-core is not installed: pip install axe-playwright-python",
    )

    def serious(page: Any) -> list[str]:
        found = module.Axe().run(page).response["violations"]
        return [
            f"{fault['id']}: {node['html'][:200]}"
            for fault in found
            if fault["impact"] in ("serious", "critical")
            for node in fault["nodes"]
        ]

    return serious
