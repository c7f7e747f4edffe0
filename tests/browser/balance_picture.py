"""Takes the picture of a balance report in docs/pictures.

selfplay balance RUN --output page.html && python tests/browser/balance_picture.py page.html
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

OUTPUT = Path(__file__).parents[2] / "docs" / "pictures" / "balance.png"


def main(page_file: str) -> None:
    """Shows the page in the Chromium of the system, and keeps what is seen first."""
    found = shutil.which("chromium") or shutil.which("google-chrome")
    with sync_playwright() as tools:
        browser = tools.chromium.launch(executable_path=found, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1280, "height": 1000})
        page.goto(Path(page_file).resolve().as_uri())
        page.screenshot(path=OUTPUT)
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
