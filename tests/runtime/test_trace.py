"""Traces: written once, after warm-up, and said to be where they are."""

import gzip
import json
from pathlib import Path
from typing import Any

import jax
import pytest

from selfplay.runtime.playing import Chunks
from selfplay.runtime.trace import TRACED_CHUNKS, WARM_UP_CHUNKS, Trace, traced
from selfplay.training.trainer import Trainer, train
from tests.training.fixtures import MakeRun
from tests.training.runs import Listener, tiny_components


def events(trace: Trace) -> list[dict[str, Any]]:
    """Returns what Perfetto would show."""
    assert trace.file is not None
    document = json.loads(gzip.decompress(trace.file.read_bytes()))
    found: list[dict[str, Any]] = document["traceEvents"]
    return found


def test_chunks_after_the_warm_up_are_traced(tmp_path: Path) -> None:
    said: list[str] = []
    components = tiny_components()
    chunks = Chunks(components, start_key=jax.random.key(0), play_key=jax.random.key(1))
    weights = components.learner.place(components.network.init(key=jax.random.key(2)))
    with traced(tmp_path, said.append) as trace:
        assert trace is not None
        chunks.trace = trace
        for _ in range(WARM_UP_CHUNKS + TRACED_CHUNKS):
            chunks.play(weights, version=0)
            assert said == []
        chunks.play(weights, version=0)
        assert said == [
            f"trace of 2 chunks: open {trace.file} at https://ui.perfetto.dev, or "
            f"tensorboard --logdir {tmp_path} (pip install tensorboard xprof)"
        ]
        chunks.play(weights, version=0)
    assert len(said) == 1
    names = [event.get("name", "") for event in events(trace)]
    assert any("play_chunk" in name for name in names)
    # What TensorBoard reads lies beside it.
    assert list(tmp_path.glob("plugins/profile/*/*.xplane.pb"))


def test_a_process_that_ends_early_says_so(tmp_path: Path) -> None:
    said: list[str] = []
    with traced(tmp_path, said.append) as trace:
        assert trace is not None
        trace.step()
    assert said == ["no trace was written: the process ended before it was warm"]
    assert trace.file is None
    with traced(None, said.append) as nothing:
        assert nothing is None


def test_a_trace_of_training_has_play_and_updates(new_run: MakeRun) -> None:
    run, components = new_run()
    listener = Listener()
    with traced(run.tensorboard_path, listener.message) as trace:
        assert trace is not None

        def ready(trainer: Trainer) -> None:
            assert trainer.source.playing is not None
            trace.warmed_up = lambda: trainer.update > 0
            trainer.source.playing.trace = trace

        train(run, components, listener, on_ready=ready)
    names = {event.get("name", "") for event in events(trace)}
    for part in ("play_chunk", "update_weights"):
        assert any(part in name for name in names), part


@pytest.mark.parametrize("command", ["train", "worker", "bench"])
def test_the_commands_offer_it(command: str) -> None:
    from typer.testing import CliRunner

    from selfplay.cli.main import app

    result = CliRunner().invoke(app, [command, "--help"])
    assert "--profile" in result.stdout
