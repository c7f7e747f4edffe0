"""What every test runs under: fixed devices, no settings from outside, hazards raised."""

import collections
import contextlib
import gc
import logging
import os
import re
import signal
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import jax
import pytest

import tests.annotations

tests.annotations.install()

# isort: split
from selfplay.startup import cache_directory  # noqa: E402

# Servers of every kind of store, for the tests over all of them.
pytest_plugins = ("tests.store.fixtures",)

CACHE = Path(os.environ.get("SELFPLAY_TEST_CACHE") or cache_directory() / "tests-xla")

# Settings and colours of the caller's terminal must not decide what a test sees.
for name in list(os.environ):
    if name.startswith("SELFPLAY_") or name in {"FORCE_COLOR", "GITHUB_ACTIONS", "PY_COLORS"}:
        del os.environ[name]
os.environ.update(NO_COLOR="1", TERM="dumb", COLUMNS="100")

# Tests that run in the background of a shell have interrupts switched off, and would pass that on
# to the processes that they start and interrupt.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# Two devices, so that sharding is exercised on every machine. Before the first computation.
jax.config.update("jax_num_cpu_devices", 2)
jax.config.update("jax_numpy_rank_promotion", "raise")
# Compilation is most of what the tests cost: workers and later runs share it. By the variable
# and not by jax.config, so that the processes which tests start share it too.
os.environ["JAX_COMPILATION_CACHE_DIR"] = str(CACHE)
jax.config.update("jax_compilation_cache_dir", str(CACHE))
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.1)
os.environ["JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS"] = "0.1"


LONGEST = (
    "training/test_chaos",
    "check/plain/test_plain_python",
    "training/test_kill",
    "test_machines",
    "cli/test_new_game",
    "cli/test_signals",
    "training/test_process_group",
    "runtime/test_inference",
    "test_host_call",
    "store/test_store_kill",
    "cli/test_long_work",
    "cli/test_join",
    "cli/test_process",
)
"""Modules with single tests of a quarter of a minute and more, in tests/."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begins with the longest modules, so that no process has one left when the others are done."""
    places = {Path(__file__).parent / f"{name}.py": place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path, len(places)))


def pytest_collection_finish() -> None:
    """Keeps the garbage collector from looking again and again at what stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(10_000, 50, 50)


Compilations = Callable[[], AbstractContextManager[list[str]]]


@pytest.fixture
def compilations(caplog: pytest.LogCaptureFixture) -> Compilations:
    """Returns a context manager that lists what JAX compiled inside it."""

    @contextlib.contextmanager
    def record() -> Iterator[list[str]]:
        names: list[str] = []
        caplog.clear()
        with jax.log_compiles(), caplog.at_level(logging.WARNING, logger="jax"):
            yield names
        names += [
            message
            for message in (entry.getMessage() for entry in caplog.records)
            if re.search(r"Finished .* compilation", message)
        ]

    return record


@pytest.fixture
def no_key_reuse() -> Iterator[None]:
    """Fails the test if a typed key is consumed twice. Not around a search: mctx trips it."""
    with jax.debug_key_reuse(True):
        yield


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Says how many tests were skipped and why, so that a missing program goes unnoticed nowhere.

    A fixture that skips does so for every test that asks for it.
    """
    counts: collections.Counter[str] = collections.Counter()
    for report in terminalreporter.getreports("skipped"):
        # A place and a reason, but for tests that are expected to fail.
        if isinstance(report.longrepr, tuple):
            counts[report.longrepr[2].removeprefix("Skipped: ")] += 1
    if not counts:
        return
    terminalreporter.section(f"{counts.total()} tests were skipped")
    for reason, count in counts.most_common():
        terminalreporter.line(f"{count:4}  {reason}")


@pytest.fixture(autouse=True, scope="module")
def few_memory_maps() -> Iterator[None]:
    """Drops compiled programs between modules before the process has too many memory maps.

    Each program takes some, Linux allows 65,530, and XLA aborts beyond. test_search.py adds 14,000.
    """
    yield
    maps = Path("/proc/self/maps")
    if maps.exists() and maps.read_bytes().count(b"\n") > 40_000:
        jax.clear_caches()
