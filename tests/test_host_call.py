"""Compiled programs that call the host: the same answers as JAX's own way, and kept on disk."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import numpy.typing as npt
import pytest
from jaxtyping import Array

from selfplay import host_call
from selfplay.host_call import HostFunction, cacheable, call_host, enrol
from selfplay.parallel import ALONG_BATCH, REPLICATED, local_mesh, per_device

DEADLINE = 900
"""Seconds for a process that takes a few, on a machine busy with other things."""


def call(
    function: HostFunction, results: Sequence[jax.ShapeDtypeStruct], *arguments: Any
) -> tuple[Array, ...]:
    """Calls `function` from inside a compiled program."""
    program = jax.jit(lambda number, *arguments: call_host(number, results, *arguments))
    found: tuple[Array, ...] = program(jnp.int32(enrol(function)), *arguments)
    return jax.block_until_ready(found)


def mirrored(*values: npt.NDArray[Any]) -> list[npt.NDArray[Any]]:
    """Returns the arguments the other way round."""
    return [value[::-1] for value in values]


ARGUMENTS = [
    np.random.default_rng(0).standard_normal((5, 2, 3)).astype(np.float32),
    np.array([True, False, False]),
    np.array([[-3], [2**31 - 1]], np.int32),
    np.array([7, 255], np.uint8),
    np.array([1.5, -0.0], np.float16),
    np.zeros((0, 4), np.float32),
]


@pytest.mark.parametrize("by_handler", [True, False])
def test_arrays_go_there_and_back(by_handler: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    if not by_handler:
        monkeypatch.setattr(host_call, "cacheable", lambda: False)
    shapes = [jax.ShapeDtypeStruct(value.shape, value.dtype) for value in ARGUMENTS]
    for found, value in zip(call(mirrored, shapes, *ARGUMENTS), ARGUMENTS, strict=True):
        assert found.dtype == value.dtype
        assert np.asarray(found).tobytes() == value[::-1].tobytes()


def test_with_this_jax_the_programs_can_be_kept() -> None:
    assert cacheable()

    # A first call may well come while something is being traced.
    @jax.jit
    def traced(values: Array) -> Array:
        host_call._try()
        return values

    traced(jnp.zeros(2))


def test_an_interface_that_xla_refuses_leaves_the_other_way(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(host_call, "_TARGET", "selfplay_refused_callback")
    monkeypatch.setattr(host_call, "_INTERFACE", (0, 0))
    assert not cacheable.__wrapped__()


def test_what_the_function_raises_ends_the_program() -> None:
    def fails(_: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        raise ValueError("no answer today")

    shape = jax.ShapeDtypeStruct((3,), jnp.float32)
    for _ in range(2):
        with pytest.raises(jax.errors.JaxRuntimeError, match="ValueError: no answer today"):
            call(fails, [shape], np.zeros(3, np.float32))


def test_arguments_cannot_be_written_to() -> None:
    def writes(values: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        values[:] = 1
        return [values]

    shape = jax.ShapeDtypeStruct((3,), jnp.float32)
    with pytest.raises(jax.errors.JaxRuntimeError, match="read-only"):
        call(writes, [shape], np.zeros(3, np.float32))


def test_a_function_that_nobody_holds_is_gone() -> None:
    number = enrol(lambda values: [values])
    shape = jax.ShapeDtypeStruct((2,), jnp.float32)
    program = jax.jit(lambda number, values: call_host(number, [shape], values))
    with pytest.raises(jax.errors.JaxRuntimeError, match=f"KeyError: {number}"):
        jax.block_until_ready(program(jnp.int32(number), jnp.zeros(2)))


def test_two_devices_ask_side_by_side() -> None:
    def double(values: npt.NDArray[np.float32]) -> list[npt.NDArray[np.float32]]:
        return [2 * values]

    def repeated(number: Array, values: Array) -> Array:
        shape = jax.ShapeDtypeStruct(values.shape, values.dtype)

        def once(_: Array, values: Array) -> Array:
            (doubled,) = call_host(number, [shape], values)
            return doubled - values + 1

        return jax.lax.fori_loop(0, 500, once, values)

    mesh = local_mesh()
    assert mesh.size == 2
    program = jax.jit(per_device(repeated, mesh, (REPLICATED, ALONG_BATCH), ALONG_BATCH))
    values = np.arange(6, dtype=np.float32)
    np.testing.assert_array_equal(program(jnp.int32(enrol(double)), values), values + 500)


PROCESS = """
import collections, json, sys, time
import jax, jax.numpy as jnp, numpy as np
from selfplay.inference.onnx_inference import OnnxInference
from selfplay.host_call import call_host, enrol
from selfplay.networks import build_network
from selfplay.settings.sections import NetworkConfig
from selfplay.registry import make

events = collections.Counter()
jax.monitoring.register_event_listener(lambda event, **_: events.update([event]))
jax.config.update("jax_num_cpu_devices", 1)
game, config = make("tic_tac_toe"), NetworkConfig(blocks=1, channels=4)
network = build_network(game, config)
inference = OnnxInference(game, network, config, int8=True)
hosted = make("clobber")
for _ in range(int(sys.argv[1])):
    params = inference.load(network.init(key=jax.random.key(0)))
states = jax.vmap(lambda key: game.init(key=key))(jax.random.split(jax.random.key(0), 4))
events.clear()
program = jax.jit(lambda params: inference.evaluate(params, states, key=jax.random.key(0)))
logits = np.asarray(program(params).policy_logits)

@jax.jit
def play(keys):
    begun = jax.vmap(hosted.init)(keys)
    actions = jax.vmap(hosted.legal_action_mask)(begun).argmax(axis=-1)
    return jax.vmap(hosted.observe)(jax.vmap(hosted.step)(begun, actions))

seen = np.asarray(play(jax.random.split(jax.random.key(0), 4)))
name = "/jax/compilation_cache/cache_"
counts = {kind: events[name + kind] for kind in ("hits", "misses")}
print(json.dumps({**counts, "logits": logits.tobytes().hex(), "seen": int(seen.sum())}))

# The process ends while a program is at work.
def slow(values):
    time.sleep(0.002)
    return [values]

shape = jax.ShapeDtypeStruct((), jnp.float32)
call = lambda number, value: call_host(number, [shape], value)[0]
loop = jax.jit(lambda number, value: jax.lax.fori_loop(0, 200, lambda _, v: call(number, v), value))
loop(jnp.int32(enrol(slow)), jnp.float32(1))
"""


def test_the_second_process_compiles_nothing_anew(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "JAX_COMPILATION_CACHE_DIR": str(tmp_path),
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
    }

    def run(loads: int) -> dict[str, Any]:
        # The weights have another number in the other process.
        done = subprocess.run(
            [sys.executable, "-c", PROCESS, str(loads)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            check=False,
        )
        assert (done.returncode, done.stderr) == (0, "")
        found: dict[str, Any] = json.loads(done.stdout)
        return found

    first, second = run(1), run(2)
    assert first["misses"] > 0 and first["seen"] > 0
    assert (second["misses"], second["hits"]) == (0, first["misses"] + first["hits"])
    assert [second[name] for name in ("logits", "seen")] == [first["logits"], first["seen"]]
