"""What is compiled again is noticed, named and told: in the log, in heartbeats, by the doctor."""

import jax
import numpy as np

from selfplay.processes.compilations import Compilations
from selfplay.processes.doctor import process_report
from selfplay.processes.reporting import Heart
from selfplay.processes.status import run_status
from selfplay.telemetry import Monitor
from tests.processes.conftest import MakeRun
from tests.processes.runs import Listener, train_all


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
    assert (compilations.problem, compilations.news()) == ("", "")
    changes_shape(vector(12))
    assert compilations.counts == {"changes_shape": 2}
    assert compilations.seconds["changes_shape"] > 0
    assert compilations.problem.startswith("changes_shape was compiled 2 times instead of 1, ")
    # Said once, and again when there is more of it.
    assert compilations.news() == compilations.problem
    assert compilations.news() == ""
    changes_shape(vector(13))
    assert "3 times instead of 1" in compilations.news()
    # A session that begins now knows nothing of what was before.
    assert Compilations(once=["changes_shape"]).counts == {}


def test_what_is_expected_is_no_problem() -> None:
    compilations = Compilations(once=["changes_shape"])
    compilations.expect("changes_shape")
    for size in (21, 22):
        changes_shape(vector(size))
    assert compilations.news() == ""
    changes_shape(vector(23))
    assert "3 times instead of 2" in compilations.news()


def test_a_process_says_what_it_compiled_again(new_run: MakeRun) -> None:
    run, _ = new_run()
    said: list[str] = []
    heart = Heart(run, Monitor(role="worker", id="w"), said.append)
    play_chunk(vector(31))
    heart.beat({"update": 3})
    assert said == []
    play_chunk(vector(32))
    for _ in range(2):
        heart.beat({"update": 3})
    assert len(said) == 1
    assert said[0].startswith("play_chunk was compiled 2 times instead of 1")
    status = run_status(run.path)
    assert status["problems"] == [f"worker w: {said[0]}"]
    (process,) = process_report(status["processes"])
    assert process["compile_problem"] == said[0]
    assert (process["compilations"], process["compiled"]["play_chunk"]["count"]) == (2, 2)


def test_training_compiles_nothing_again(new_run: MakeRun) -> None:
    listener = Listener()
    for name in ("first", "second"):
        run, parts = new_run(name)
        loop = train_all(run, parts, listener)
        assert loop.heart.compilations.problem == ""
    # The second session found everything compiled: this test could fail.
    assert "play_chunk" not in loop.heart.compilations.counts
    assert [text for text in listener.messages if "compiled" in text] == []


def test_processes_of_older_versions_say_nothing_of_it() -> None:
    (process,) = process_report([{"role": "worker", "id": "old", "alive": False}])
    assert (process["compilations"], process["compile_problem"]) == (None, "")
