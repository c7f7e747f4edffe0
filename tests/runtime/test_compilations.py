"""What is compiled again is noticed, named and told: in the log, in heartbeats, by the doctor."""

import time
from typing import Any

import jax
import numpy as np
import pytest

from selfplay.reports.doctor import process_report
from selfplay.reports.health import diagnose
from selfplay.reports.status import run_status
from selfplay.run import read_heartbeats
from selfplay.runtime import publishing
from selfplay.runtime.compilations import Compilations, watch_compilations
from selfplay.runtime.publishing import HeartbeatWriter
from selfplay.telemetry import Monitor
from selfplay.telemetry.monitor import COMPILATION_SECONDS, FRESH_SECONDS
from tests.training.fixtures import MakeRun
from tests.training.runs import Listener, train_all


@jax.jit
def changes_shape(x: jax.Array) -> jax.Array:
    return 3 * x


@jax.jit
def play_chunk(x: jax.Array) -> jax.Array:
    """Stands for the one of self-play."""
    return 5 * x


def vector(size: int) -> jax.Array:
    """Returns a vector, made without compiling anything."""
    return jax.device_put(np.ones(size, np.float32))


def test_compilations_are_counted_by_function() -> None:
    compilations = Compilations(once=["changes_shape"])
    assert compilations.counts == {}
    changes_shape(vector(11))
    changes_shape(vector(11))
    assert compilations.counts == {"changes_shape": 1}
    assert (compilations.problem, compilations.new_problem()) == ("", "")
    changes_shape(vector(12))
    assert compilations.counts == {"changes_shape": 2}
    assert compilations.seconds["changes_shape"] > 0
    assert compilations.problem.startswith("changes_shape was compiled 2 times instead of 1, ")
    # Said once, and again when there is more of it.
    assert compilations.new_problem() == compilations.problem
    assert compilations.new_problem() == ""
    changes_shape(vector(13))
    assert "3 times instead of 1" in compilations.new_problem()
    # A session that begins now knows nothing of what was before.
    assert Compilations(once=["changes_shape"]).counts == {}


def test_what_is_expected_is_no_problem() -> None:
    compilations = Compilations(once=["changes_shape"])
    compilations.expect("changes_shape")
    for size in (21, 22):
        changes_shape(vector(size))
    assert compilations.new_problem() == ""
    changes_shape(vector(23))
    assert "3 times instead of 2" in compilations.new_problem()


def test_a_process_says_what_it_compiled_again(new_run: MakeRun) -> None:
    run, _ = new_run()
    said: list[str] = []
    heartbeat = HeartbeatWriter(run, Monitor(role="worker", id="w"), said.append)
    play_chunk(vector(31))
    heartbeat.beat({"update": 3})
    assert said == []
    play_chunk(vector(32))
    for _ in range(2):
        heartbeat.beat({"update": 3})
    assert len(said) == 1
    assert said[0].startswith("play_chunk was compiled 2 times instead of 1")
    status = run_status(run.path)
    assert status["problems"] == [f"worker w: {said[0]}"]
    (process,) = process_report(status["processes"])
    assert process["compile_problem"] == said[0]
    assert (process["compilations"], process["compiled"]["play_chunk"]["count"]) == (2, 2)


def test_a_long_compilation_is_life_and_a_hung_loop_is_not() -> None:
    now = [0.0]
    monitor = Monitor(role="worker", id="w", clock=lambda: now[0])
    watch_compilations(monitor)
    monitor.update({})
    seen = []

    @jax.jit
    def slow(x: jax.Array) -> jax.Array:
        # Python in a traced function runs while JAX makes the program.
        for seconds in (COMPILATION_SECONDS - 1, 2):
            now[0] += seconds
            seen.append((monitor.health.state, monitor.health.healthy))
        return 7 * x

    slow(vector(41))
    assert seen == [("compiling", True), ("compiling", False)]
    # The program is there: the loop has the usual time to speak again.
    assert monitor.compiling_seconds == 0
    now[0] += FRESH_SECONDS - 1
    assert monitor.health.healthy
    now[0] += 2
    assert not monitor.health.healthy


def test_heartbeats_go_on_while_a_program_is_compiled(
    new_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(publishing, "_HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(publishing, "_LONGEST_SILENCE_SECONDS", 0.1)
    run, _ = new_run()
    monitor = Monitor(role="worker", id="w")
    heartbeat = HeartbeatWriter(run, monitor)
    monitor.state("playing", ready=True)
    heartbeat.beat({"update": 3})
    (first,) = read_heartbeats(run.store)
    # A loop that is silent without compiling stays silent.
    time.sleep(0.5)
    assert [beat.time for beat in read_heartbeats(run.store)] == [first.time]
    during: list[Any] = []

    @jax.jit
    def slow(x: jax.Array) -> jax.Array:
        deadline = time.monotonic() + 60
        while not during and time.monotonic() < deadline:
            time.sleep(0.02)
            during.extend(b for b in read_heartbeats(run.store) if b.time > first.time)
        return 9 * x

    slow(vector(42))
    (beat,) = during
    assert (beat.alive, beat.fields["state"], beat.fields["update"]) == (True, "compiling", 3)
    assert diagnose(run.path, "worker").healthy
    heartbeat.stop()
    assert read_heartbeats(run.store) == []


def test_a_process_that_writes_no_heartbeat_writes_none_while_it_compiles(
    new_run: MakeRun, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Such as the second process of a trainer, whose name is that of the first."""
    monkeypatch.setattr(publishing, "_HEARTBEAT_SECONDS", 0.02)
    monkeypatch.setattr(publishing, "_LONGEST_SILENCE_SECONDS", 0.04)
    run, _ = new_run()
    monitor = Monitor(role="trainer", id="t")
    heartbeat = HeartbeatWriter(run, monitor)
    monitor.state("training", ready=True)
    monitor.update({})

    @jax.jit
    def slow(x: jax.Array) -> jax.Array:
        time.sleep(0.3)
        return 11 * x

    slow(vector(43))
    assert read_heartbeats(run.store) == []
    heartbeat.stop()


def test_training_compiles_nothing_again(new_run: MakeRun) -> None:
    listener = Listener()
    for name in ("first", "second"):
        run, components = new_run(name)
        trainer = train_all(run, components, listener)
        assert trainer.heartbeat.compilations.problem == ""
    # The second session found everything compiled: this test could fail.
    assert "play_chunk" not in trainer.heartbeat.compilations.counts
    assert [text for text in listener.messages if "compiled" in text] == []


def test_processes_of_older_versions_say_nothing_of_it() -> None:
    (process,) = process_report([{"role": "worker", "id": "old", "alive": False}])
    assert (process["compilations"], process["compile_problem"]) == (None, "")
