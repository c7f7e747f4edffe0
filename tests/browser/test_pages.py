"""The pages of `selfplay serve` in a browser: matches by clicks and keys, and what runs show."""

import contextlib
import dataclasses
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from selfplay.play import LiveMatch, load_match, match_document, save_match
from selfplay.registry import GameSpec, make
from selfplay.reports.balance.report import balance_report
from selfplay.reports.balance.stored import write_report
from selfplay.run import RunDirectory
from selfplay.runtime.lifetime import Lifetime
from selfplay.workers.work import work
from selfplay.workers.worker import WorkerOptions
from tests.browser.serving import serve
from tests.records.examples import RandomMatches
from tests.serve.conftest import new_run
from tests.training.runs import make_run, tiny_components, train_all

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


def unfinished(page: Any, site: str) -> list[str]:
    """Returns the matches that a fresh Play page offers to go on with."""
    page.goto(f"{site}#/play/counters")
    page.reload()
    page.wait_for_selector(".board[data-ply]")
    assert state(page)[1] == 0
    return [text.partition(",")[0] for text in page.get_by_text("Go on with").all_inner_texts()]


def test_two_tabs_play_a_match_each_and_lose_neither(context: Any, site: str) -> None:
    first, second = context.new_page(), context.new_page()
    for tab in (first, second):
        seat(tab, site, "counters", "person", "person")
    # Both at once, in turns.
    for tab, button in ((first, "one"), (second, "two"), (second, "one"), (first, "two")):
        ply = state(tab)[1]
        tab.get_by_role("button", name=button, exact=True).click()
        tab.wait_for_selector(f"[data-ply='{ply + 1}']")
    assert [state(tab) for tab in (first, second)] == [("yours", 2)] * 2
    second.get_by_role("button", name="one", exact=True).click()
    second.wait_for_selector("[data-ply='3']")
    assert first.locator(".text-board").inner_text().endswith("6 left")
    assert second.locator(".text-board").inner_text().endswith("5 left")
    second.close()
    offered = unfinished(first, site)
    assert sorted(offered) == [
        "Go on with the match of 2 moves",
        "Go on with the match of 3 moves",
    ]
    first.get_by_text("Go on with the match of 3 moves").click()
    first.wait_for_selector("[data-ply='3']")
    assert first.locator(".text-board").inner_text().endswith("5 left")
    # It is kept once, and a match that is played to its end is kept no more.
    assert len(unfinished(first, site)) == 2
    first.get_by_text("Go on with the match of 3 moves").click()
    first.wait_for_selector("[data-ply='3']")
    play_out(first)
    assert unfinished(first, site) == ["Go on with the match of 2 moves"]


def test_a_match_of_the_terminal_goes_on_here_and_back(
    page: Any, site: str, tmp_path: Path
) -> None:
    game = QUICK["counters"].make()
    match = LiveMatch(game)
    for action in (1, 0):
        match.play(action)
    file = tmp_path / "terminal.json"
    document = match_document(
        match, players=["a person", "random"], ending="left", returns=None, plies=None, time=None
    )
    save_match(file, document)
    seat(page, site, "counters", "person", "person")
    page.set_input_files("input[type=file]", file)
    page.wait_for_selector("[data-ply='2']")
    assert page.locator(".text-board").inner_text().endswith("6 left")
    page.get_by_role("button", name="two", exact=True).click()
    page.wait_for_selector("[data-ply='3']")
    with page.expect_download() as download:
        page.click("text=Save to a file")
    back = tmp_path / "web.json"
    download.value.save_as(back)
    resumed, document = load_match(back, game)
    assert resumed.actions == [1, 0, 1] and document["ending"] == "left"


def test_names_from_runs_and_games_are_never_html(page: Any, site: str) -> None:
    nasty = "<img src=x onerror=window.hit=1>"

    def rename(route: Any) -> None:
        about = route.fetch().json()
        about["title"] = nasty
        about["runs"] = [{**run, "title": nasty} for run in about["runs"]]
        about["runs"].append({**about["runs"][0], "run": "x", "problem": nasty})
        about["games"] = [{**game, "title": nasty} for game in about["games"]]
        about["games"].append({**about["games"][0], "game": "broken", "problem": nasty})
        route.fulfill(json=about)

    page.route("**/api/v1/about", rename)
    for address, shown in (
        ("play/counters", ".board[data-ply]"),
        ("play/broken", ".problems"),
        ("analysis/noughts", ".board-svg"),
        ("analysis/broken", ".problems"),
        ("matches/noughts", "tbody tr"),
        ("matches/x", "h1"),
        ("training/noughts", ".problem"),
    ):
        page.goto(f"{site}#/{address}")
        page.wait_for_selector(f"main {shown}")
        assert page.locator("main img").count() == 0
    assert page.evaluate("window.hit") is None
    assert nasty in page.locator(".problem").inner_text()


def test_a_process_is_stopped_after_a_second_question(page: Any, site: str, axe: Any) -> None:
    asked: list[Any] = []
    row = {"role": "trainer", "id": "loop", "alive": True, "session": "s", "seconds_ago": 1}

    def permit(route: Any) -> None:
        route.fulfill(json={**route.fetch().json(), "allow_control": True})

    def work(route: Any) -> None:
        route.fulfill(json={**route.fetch().json(), "processes": [row]})

    def stop(route: Any) -> None:
        asked.append(route.request.post_data_json)
        route.fulfill(json={"role": "trainer", "id": "loop", "pid": 1, "host": "h"})

    page.route("**/api/v1/about", permit)
    page.route("**/runs/noughts/status", work)
    page.route(
        "**/runs/noughts/events",
        lambda route: route.fulfill(content_type="text/event-stream", body=": quiet\n\n"),
    )
    page.route("**/runs/noughts/stop", stop)
    page.goto(f"{site}#/training/noughts")
    page.get_by_role("button", name="Stop trainer loop").click()
    page.get_by_role("button", name="No, let trainer loop go on").click()
    page.get_by_role("button", name="Stop trainer loop").click()
    assert axe(page) == [] and asked == []
    page.get_by_role("button", name="Yes, stop trainer loop").click()
    page.wait_for_selector("text=asked to stop")
    assert asked == [{"role": "trainer", "id": "loop"}]


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
    texts = page.locator("tbody a").all_inner_texts()
    assert texts == ["evaluation 20: match 2", "evaluation 20: match 1"]
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
    won = {"game": "tic_tac_toe", "moves": [4, 0, 3, 1, 5], "agent": "mcts:7", "seat": 0}
    assert page.request.post(f"{site}api/v1/results", data=won).ok
    page.goto(f"{site}#/training/noughts")
    page.wait_for_selector(".chart")
    assert page.locator("figcaption", has_text="Score, with 95 % intervals").count() == 1
    visitors = page.get_by_label("Matches against visitors").locator("tr", has_text="mcts:7")
    assert "100 % (21 % to 100 %)" in visitors.inner_text()
    assert page.locator(".facts", has_text="Tic-tac-toe").count() == 1
    assert axe(page) == []


def test_what_is_known_of_the_balance_of_the_game_is_shown(
    page: Any, site: str, live_run: RunDirectory, axe: Any
) -> None:
    page.clock.install()
    page.goto(f"{site}#/training/noughts")
    page.wait_for_selector(".chart")
    write_report(live_run, balance_report(live_run, make("tic_tac_toe")))
    shown = page.locator("text=Balance of noughts")
    # The server keeps its answers for two seconds; an open page asks every fifteen.
    for _ in range(20):
        page.clock.fast_forward(15_000)
        time.sleep(0.5)
        if shown.count():
            break
    assert shown.count() == 1
    assert page.locator("li", has_text="The player who makes the first move scores").count() == 1
    assert page.locator("figcaption", has_text="Score of the first player").count() == 1
    assert axe(page) == []


@pytest.mark.slow
def test_matches_of_a_worker_appear_while_it_plays(page: Any, tmp_path: Path) -> None:
    run, components = make_run(tmp_path / "run", tiny_components(), updates=2)
    train_all(run, components)
    lifetime = Lifetime(max_seconds=300)
    options = WorkerOptions(id="w", jitter_seconds=0.0)
    worker = threading.Thread(target=work, args=(run.url, options, lifetime))
    worker.start()
    try:
        with contextlib.closing(serve({}, [run.url])) as sites:  # type: ignore[type-var]
            page.goto(f"{next(sites)}#/matches/run")
            page.wait_for_selector("tbody tr")
            page.get_by_label("Worker").fill("w")
            page.keyboard.press("Tab")
            page.click("text=/Show [0-9]+ new match/", timeout=120_000)
            page.locator("tbody a").first.click()
            page.wait_for_selector(".board-svg")
            assert "w" in page.locator(".facts").inner_text()
            # The page is left while matches come: no stream is cut in the middle of an event.
            page.goto("about:blank")
    finally:
        lifetime.stop()
        worker.join(120)


@pytest.mark.slow
@pytest.mark.parametrize("game", sorted(SLOW))
def test_whole_matches_of_other_games_by_clicks(page: Any, slow_site: str, game: str) -> None:
    page.set_default_timeout(120_000)
    seat(page, slow_site, game, "person", "random")
    assert play_out(page, most=500) > 3
