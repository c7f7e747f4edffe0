"""Work in another thread: its result, its errors, and what becomes of it when it is to stop."""

import threading
import time

import pytest

from selfplay.runtime import background
from selfplay.runtime.background import LeftBehindError, attend, left_behind


def never() -> bool:
    return False


def test_the_result_comes_and_this_thread_is_free_meanwhile() -> None:
    ticks: list[int] = []
    threads: list[int] = []

    def work() -> int:
        while len(ticks) < 3:
            time.sleep(0.01)
        threads.append(threading.get_ident())
        return 42

    assert attend(work, stop=never, tick=lambda: ticks.append(threading.get_ident())) == 42
    assert set(ticks) == {threading.get_ident()} != set(threads)


@pytest.mark.parametrize("error", [ValueError("no"), TimeoutError("slow"), KeyboardInterrupt()])
def test_errors_come_out_as_they_are(error: BaseException) -> None:
    def work() -> None:
        raise error

    with pytest.raises(type(error)) as caught:
        attend(work, stop=never)
    assert caught.value is error
    assert left_behind() == []


def test_work_that_stops_by_itself_is_waited_for() -> None:
    asked = threading.Event()

    def work() -> str:
        assert asked.wait(60)
        return "stopped"

    def stop() -> bool:
        asked.set()
        return True

    assert attend(work, stop=stop) == "stopped"
    assert left_behind() == []


@pytest.mark.parametrize("interrupted", [False, True])
def test_work_that_does_not_stop_is_left_behind(
    monkeypatch: pytest.MonkeyPatch, interrupted: bool
) -> None:
    waiting: list[object] = []
    monkeypatch.setattr("atexit.register", waiting.append)
    monkeypatch.setattr(background, "PATIENCE_SECONDS", 0.3)
    go_on = threading.Event()

    def interrupt() -> None:
        if interrupted:
            raise KeyboardInterrupt

    begin = time.monotonic()
    with pytest.raises(KeyboardInterrupt if interrupted else LeftBehindError):
        attend(lambda: go_on.wait(120), stop=lambda: True, tick=interrupt)
    assert time.monotonic() - begin < 30
    (thread,) = left_behind()
    # An interpreter that ends by itself waits for it.
    assert waiting == [thread.join]
    go_on.set()
    thread.join(60)
    assert left_behind() == []


def test_large_programs_can_be_compiled_there(monkeypatch: pytest.MonkeyPatch) -> None:
    """Threads of macOS have half a megabyte by default."""
    asked: list[int] = []
    real = threading.stack_size

    def stack_size(size: int = 0) -> int:
        asked.append(size)
        return real(size)

    monkeypatch.setattr("threading.stack_size", stack_size)
    assert attend(lambda: 1, stop=never) == 1
    assert asked[0] >= 2**23
    assert real() == 0
