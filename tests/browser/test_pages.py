"""The pages of `selfplay serve` in a browser: matches by clicks and keys, and what runs show."""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.registry import GameSpec, make
from selfplay.run import RunDirectory
from tests.browser.serving import serve
from tests.records.examples import RandomMatches
from tests.serve.conftest import new_run

QUICK: dict[str, GameSpec] = {
    "connect_four": GameSpec("connect_four"),
    "othello": GameSpec("othello", {"size": 4}),
    "counters": GameSpec(f"{Path(__file__).parent / 'counters.py'}:Counters"),
}
SLOW: dict[str, GameSpec] = {
    "backgammon": GameSpec("backgammon", {"max_plies": 40}),
    "clobber": GameSpec("clobber", {"rows": 3, "columns": 4}),
    "dots_and_boxes": GameSpec("dots_and_boxes", {"rows": 2, "columns": 2}),
    "generals": GameSpec("generals", {"height": 5, "width": 5, "max_turns": 8}),
    "go": GameSpec("go", {"size": 5, "max_plies": 30}),
    "hex": GameSpec("hex", {"size": 4}),
    "kalah": GameSpec("kalah"),
    "nine_mens_morris": GameSpec("nine_mens_morris", {"quiet_limit": 10}),
}


@pytest.fixture(scope="session")
def live_run(tmp_path_factory: pytest.TempPathFactory) -> RunDirectory:
    """A run of tic-tac-toe that a test adds a match to."""
    return new_run(tmp_path_factory.mktemp("pages") / "noughts", files=4)


@pytest.fixture(scope="session")
def site(live_run: RunDirectory) -> Iterator[str]:
    """The address of a server with a run and a few games."""
    yield from serve(QUICK, [live_run.url])


@pytest.fixture(scope="session")
def slow_site() -> Iterator[str]:
    """The address of a server with many games."""
    yield from serve(SLOW, [])


def seat(page: Any, site: str, game: str, first: str, second: str) -> None:
    """Opens Play with these agents, "person" among them, in the seats."""
    page.add_init_script(
        f"localStorage.setItem('selfplay-seats-{game}', JSON.stringify("
        f"{{who: ['{first}', '{second}'], limit: {{kind: 'default', number: 1}}, mode: 'none'}}))"
    )
    page.goto(f"{site}#/play/{game}")
    page.wait_for_selector(".board[data-ply]", timeout=60_000)


def state(page: Any) -> tuple[str, int]:
    """Returns whether it is "yours", "over", ..., and how many moves there were, once settled."""
    page.wait_for_function(
        "() => ['yours', 'over'].includes(document.querySelector('.status').dataset.state)",
        timeout=60_000,
    )
    ply = page.locator(".board").get_attribute("data-ply")
    return page.locator(".status").get_attribute("data-state"), int(ply)


def move(page: Any, ply: int) -> None:
    """Makes one move by clicks: what is open, until the position has changed."""
    for _ in range(4):
        opened = page.locator(".cell.open")
        if opened.count():
            # The last open one: never the cell chosen just now, but for a choice without others.
            opened.last.click()
        else:
            page.locator(".move-button").first.click()
        changed = page.evaluate(
            """(ply) => document.querySelector(".board").dataset.ply !== String(ply) ||
                document.querySelector(".selected") === null"""
            if opened.count()
            else "(ply) => true",
            ply,
        )
        if changed:
            break
    page.wait_for_function(
        "(ply) => document.querySelector('.board').dataset.ply !== String(ply)", arg=ply
    )


def play_out(page: Any, *, most: int = 200) -> int:
    """Plays to the end by clicks; returns how many moves were made in all."""
    for _ in range(most):
        what, ply = state(page)
        if what == "over":
            return ply
        move(page, ply)
    raise AssertionError(f"not over after {most} moves")


def test_a_match_of_connect_four_by_clicks_with_undo_hint_and_file(page: Any, site: str) -> None:
    seat(page, site, "connect_four", "person", "random")
    assert page.locator(".cell").count() == 42
    page.click("[data-cell='3']")
    assert state(page) == ("yours", 2)
    # The disc has fallen, whichever cell of the column was clicked.
    assert page.locator("[data-cell='38'] .disc-yellow").count() == 1
    assert page.locator(".last").count() == 1
    page.click("text=Undo")
    assert state(page) == ("yours", 0)
    page.click("text=Redo")
    assert state(page) == ("yours", 2)
    page.click("text=Hint")
    page.wait_for_selector(".share")
    assert page.locator(".moves-table tbody tr").count() > 0
    play_out(page)
    assert page.locator(".status").inner_text().startswith(("Yellow wins", "Red wins", "A draw"))
    with page.expect_download() as download:
        page.click("text=Save to a file")
    assert '"format": "selfplay-match"' in Path(download.value.path()).read_text()


def test_both_seats_and_resigning(page: Any, site: str) -> None:
    seat(page, site, "connect_four", "random", "person")
    assert state(page) == ("yours", 1)
    page.click("text=Resign")
    assert page.locator(".status").inner_text() == "Red resigns: Yellow wins"
    page.get_by_label("Red", exact=True).select_option("random")
    page.click("text=New match")
    page.wait_for_function("() => document.querySelector('.status').dataset.state === 'over'")


def test_a_forced_pass_is_said_and_made_by_a_button(page: Any, site: str) -> None:
    # Moves of both by one person, the last open cell each time, come to a pass on 4 by 4 cells.
    seat(page, site, "othello", "person", "person")
    for _ in range(40):
        what, ply = state(page)
        passing = page.locator(".move-button")
        if what == "over":
            page.click("text=New match")
        elif passing.count():
            assert "no other move than pass" in page.locator(".remarks").inner_text()
            passing.click()
            page.wait_for_function(
                "(ply) => document.querySelector('.board').dataset.ply !== String(ply)", arg=ply
            )
            return
        else:
            cells = page.locator(".cell.open")
            cells.nth(ply * 7 % cells.count()).click()
            page.wait_for_function(
                "(ply) => document.querySelector('.board').dataset.ply !== String(ply)", arg=ply
            )
    raise AssertionError("nobody had to pass")


def test_a_plain_python_game_without_a_board_is_played_by_buttons(page: Any, site: str) -> None:
    seat(page, site, "counters", "person", "random")
    assert page.locator(".text-board").inner_text().endswith("9 left")
    assert page.locator(".move-button").all_inner_texts() == ["one", "two"]
    assert 5 <= play_out(page) <= 9


def test_a_match_by_keys_alone_at_phone_width(page: Any, site: str, axe: Any) -> None:
    page.set_viewport_size({"width": 360, "height": 740})
    seat(page, site, "connect_four", "person", "random")
    page.locator(".cell[tabindex='0']").focus()
    for _ in range(42):
        what, _ply = state(page)
        if what == "over":
            break
        if not page.evaluate("document.activeElement.classList.contains('open')"):
            page.keyboard.press("ArrowRight")
            continue
        page.keyboard.press("Enter")
        page.wait_for_function(
            "(ply) => document.querySelector('.board').dataset.ply !== String(ply)", arg=_ply
        )
    assert state(page)[1] >= 7
    wide = page.evaluate("document.documentElement.scrollWidth")
    assert wide <= 360
    assert axe(page) == []


def test_illegal_moves_are_answered_in_words(page: Any, faults: list[str], site: str) -> None:
    seat(page, site, "counters", "person", "person")
    page.get_by_label("Moves as text").fill("three")
    with page.expect_response(lambda response: response.status == 422):
        page.click("text=Enter")
    assert "three" in page.locator(".alert").inner_text()
    assert state(page) == ("yours", 0)
    # The browser logs the status of a refused request: that one is wanted here.
    assert "422" in faults.pop()


def test_analysis_deepens_branches_and_draws_its_tree(page: Any, site: str, axe: Any) -> None:
    page.goto(f"{site}#/analysis/noughts")
    page.wait_for_selector(".board-svg", timeout=60_000)
    page.get_by_label("Moves as text").fill("b2 a3 c1")
    page.click("text=Enter")
    page.wait_for_selector("[data-ply='3']")
    page.click("[aria-label='One move back']")
    page.wait_for_selector("[data-ply='2']")
    page.click("[data-cell='1']")
    page.wait_for_selector("[data-ply='3']")
    page.click("[aria-label='One move back']")
    page.wait_for_selector("text=Also tried here")
    page.get_by_label("Draw").select_option("2")
    page.click("text=Compare with another")
    page.get_by_role("button", name="Search").first.click()
    page.wait_for_selector(".tree svg", timeout=60_000)
    page.wait_for_selector(".share", timeout=60_000)
    assert page.locator(".agent").count() == 2
    page.wait_for_function(
        "() => [...document.querySelectorAll('.agent button')][0].textContent === 'Search'"
    )
    page.locator(".moves-table tbody tr").first.hover()
    # The second move of the expected line, where it is seen on the board.
    page.wait_for_function("() => document.querySelectorAll('.overlay .step').length >= 2")
    assert axe(page) == []


def test_matches_are_listed_filtered_and_stepped_through(page: Any, site: str, axe: Any) -> None:
    page.goto(f"{site}#/matches/noughts")
    page.wait_for_selector("tbody tr")
    assert page.locator("tbody tr").count() == 6
    page.get_by_label("Kind").select_option("evaluation")
    page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 2")
    assert axe(page) == []
    page.get_by_label("Kind").select_option("selfplay")
    page.wait_for_function("() => document.querySelectorAll('tbody tr').length === 4")
    page.locator("tbody a").first.click()
    page.wait_for_selector(".board-svg")
    page.click("[aria-label='To the end']")
    page.wait_for_function("() => document.querySelector('.status').textContent.match(/wins|draw/)")
    assert page.url.split("/")[-1] == page.locator(".board").get_attribute("data-ply")
    assert axe(page) == []
    # The address of a ply leads back to it.
    page.goto(page.url.rsplit("/", 1)[0] + "/2")
    page.reload()
    page.wait_for_selector("[data-ply='2']")


def test_a_live_match_appears(page: Any, site: str, live_run: RunDirectory) -> None:
    page.goto(f"{site}#/matches/noughts")
    page.wait_for_selector("tbody tr")
    before = page.locator("tbody tr").count()
    record = dataclasses.replace(
        RandomMatches(make("tic_tac_toe")).play(seed=99).record,
        match_id="z-00000000-0000",
        worker="z",
        fingerprint=live_run.fingerprint,
    )
    live_run.matches.put("z", 0, [record])
    page.click("text=/Show 1 new match/", timeout=30_000)
    page.wait_for_selector("text=z-00000000-0000")
    assert page.locator("tbody tr").count() == before + 1


def test_training_is_shown_in_pictures_and_words(page: Any, site: str, axe: Any) -> None:
    page.goto(f"{site}#/training/noughts")
    page.wait_for_selector(".chart")
    assert page.locator("figcaption", has_text="Score, with 95 % intervals").count() == 1
    assert page.locator(".facts", has_text="tic_tac_toe").count() == 1
    assert axe(page) == []


@pytest.mark.slow
@pytest.mark.parametrize("game", sorted(SLOW))
def test_whole_matches_of_other_games_by_clicks(page: Any, slow_site: str, game: str) -> None:
    page.set_default_timeout(120_000)
    seat(page, slow_site, game, "person", "random")
    assert play_out(page, most=500) > 3
