"""The live screen and the plain log: every number, its unit, in 80 columns."""

import dataclasses
import io

import pytest
from rich.console import Console

from selfplay.telemetry import PlainReporter, Reporter, ScreenReporter, make_reporter
from selfplay.telemetry.screen import plain_line, render
from selfplay.telemetry.words import duration, rate
from tests.telemetry.samples import FIRST, FULL

EVERY_NUMBER = (
    "42 %", "6 min 20 s", "8 min 40 s left", "12,345 matches", "456,789 positions",
    "31.2 plies per match", "12.3 matches/s", "457 positions/s", "14.6 k simulations/s",
    "first player wins 55 %", "draws 3 %", "second player wins 42 %",
    "cut by max_plies 2 %", "of the last 400 matches", "update 1,200",
    "7.1 updates/s", "learning rate 0.002", "gradient norm 0.53", "total 1.234", "policy 1.034",
    "value 0.200", "auxiliary score 0.010", "window 123,456 positions",
    "640 updates old on average", "replay ratio 3.98 samples/position", "play 61 %", "train 32 %",
    "evaluate 5 %", "other 2 %",
    "100.0 % (95 % interval 89.0-100.0 %)", "84.4 % (95 % interval 68.2-93.0 %)", "update 1,100",
    "3.1 % (95 % interval 2.1-5.1 %) of 256 solved positions", "plies 0-13 1.2 %",
    "plies 14-27 5.3 %", "raw network 6.2 %", "random moves 41.0 %",
    "checkpoint 1,150", "2 x cpu", "connect_four in runs/connect_four",
)  # fmt: skip


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def shown(progress: object, width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, record=True)
    console.print(render(progress))  # type: ignore[arg-type]
    return console.export_text().splitlines()


@pytest.mark.parametrize("width", [80, 120])
def test_every_number_is_on_the_screen(width: int) -> None:
    lines = shown(FULL, width)
    text = "\n".join(lines)
    assert [number for number in EVERY_NUMBER if number not in text] == []
    assert {len(line) for line in lines} == {width}
    assert len(lines) < 24


def test_nothing_is_cut_off_in_80_columns() -> None:
    assert "…" not in "\n".join(shown(FULL, 80))


def test_a_long_run_name_is_shortened() -> None:
    lines = shown(dataclasses.replace(FULL, run="runs/" + "x" * 100), 80)
    assert {len(line) for line in lines} == {80}
    assert "…" in lines[0]


def test_what_is_not_known_is_left_out() -> None:
    text = "\n".join(shown(FIRST, 80))
    assert "None" not in text
    assert "nan" not in text
    assert "until stopped" in text
    assert "no checkpoint yet" in text
    assert "not measured yet" in text
    assert "None" not in plain_line(FIRST)


def test_an_evaluation_that_goes_on_is_shown() -> None:
    text = "against mcts:100, 3 of 32 matches finished, 412 plies played"
    for progress in (FIRST, FULL):
        busy = dataclasses.replace(progress, evaluation=text)
        assert text in "\n".join(shown(busy, 80))
        assert plain_line(busy).endswith(f" | evaluating: {text}")
    assert "evaluating" not in plain_line(FULL)


def test_plain_line() -> None:
    assert plain_line(FULL) == (
        "6 min 20 s | 8 min 40 s left | update 1,200 | 12,345 matches | 456,789 positions | "
        "12.3 matches/s | 457 positions/s | 14.6 k simulations/s | draws 3 % | "
        "cut by max_plies 2 % | loss total 1.234 | "
        "loss policy 1.034 | loss value 0.200 | loss auxiliary score 0.010 | "
        "window 123,456 positions | 640 updates old on average | "
        "replay ratio 3.98 samples/position | 250 positions to learn from | "
        "newest matches 4 s old | weights at most 64 updates behind | 7 stale matches left out | "
        "2 foreign matches left out | 1 damaged file set aside | "
        "random 100.0 % (95 % interval 89.0-100.0 %) | "
        "mcts:100 84.4 % (95 % interval 68.2-93.0 %) | "
        "mistakes 3.1 % (95 % interval 2.1-5.1 %) of 256 solved positions | "
        "suite 20 of 25 positions of tic_tac_toe solved"
    )


def test_plain_lines_keep_their_interval() -> None:
    lines: list[str] = []
    clock = Clock()
    reporter = PlainReporter(lines.append, interval_seconds=10, clock=clock)
    for update in range(25):
        clock.now = float(update)
        reporter.update(FIRST.updated(update=update))
        if update == 3:
            reporter.message("saved [bold] 3")
    reporter.close()
    reporter.close()
    assert [line.split(" | ")[-3] if "|" in line else line for line in lines] == [
        "update 0", "saved [bold] 3", "update 10", "update 20", "update 24",
    ]  # fmt: skip


def test_a_pipe_gets_plain_lines() -> None:
    file = io.StringIO()
    reporter = make_reporter(Console(file=file, width=40))
    assert isinstance(reporter, PlainReporter)
    assert isinstance(reporter, Reporter)
    reporter.update(FULL)
    reporter.message("[red]" + "long " * 20)
    reporter.close()
    assert file.getvalue() == plain_line(FULL) + "\n" + "[red]" + "long " * 20 + "\n"


def test_a_terminal_gets_the_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    file = io.StringIO()
    console = Console(file=file, width=80, force_terminal=True)
    reporter = make_reporter(console)
    assert isinstance(reporter, ScreenReporter)
    assert isinstance(reporter, Reporter)
    reporter.message("before [1]")
    reporter.update(FIRST)
    reporter.message("between")
    reporter.update(FULL)
    reporter.close()
    written = file.getvalue()
    assert "before [1]" in written
    assert "between" in written
    # The last numbers are there, although they came within the refresh interval.
    assert "12,345" in written


def test_the_screen_is_refreshed_at_most_four_times_a_second(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("TERM", "xterm-256color")
    file = io.StringIO()
    clock = Clock()
    reporter = ScreenReporter(Console(file=file, width=80, force_terminal=True), clock=clock)
    for update in range(100):
        clock.now = update * 0.01
        reporter.update(FIRST.updated(update=update))
    reporter.close()
    assert file.getvalue().count("until stopped") == 5


def test_closing_without_numbers() -> None:
    ScreenReporter(Console(file=io.StringIO(), force_terminal=True)).close()
    PlainReporter(print).close()


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(-1, "0 s"), (59.4, "59 s"), (59.6, "1 min 0 s"), (3599, "59 min 59 s"), (11100, "3 h 5 min")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, ""), (0.0, "0 x/s"), (0.0123, "0.0123 x/s"), (9.87, "9.87 x/s"),
        (123.4, "123 x/s"), (9999.0, "9,999 x/s"), (12345.0, "12.3 k x/s"), (3.2e6, "3.2 M x/s"),
    ],
)  # fmt: skip
def test_rates(value: float | None, text: str) -> None:
    assert rate(value, "x") == text


def test_resignations_are_on_the_screen_where_there_are_any() -> None:
    given_up = {"resigned_share": 0.6, "resign_threshold": -0.87, "false_resign_rate": 0.04}
    text = " ".join(shown(FULL.updated(**given_up), 200))
    for part in ("resigned 60 %", "at -0.87 or below", "falsely 4 %"):
        assert part in text
    nobody = {"resigned_share": 0.0, "resign_threshold": None, "false_resign_rate": None}
    assert shown(FULL.updated(**nobody), 80) == shown(FULL, 80)
