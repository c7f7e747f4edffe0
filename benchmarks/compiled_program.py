"""Counts what compiled self-play is made of: kernels, copied bytes, calls of the host.

    python benchmarks/compiled_program.py [GAME] [--blocks 1] [--channels 16] [--batch 16]

Compiles a chunk of self-play for one device of this machine and plays nothing, so the counts are
the same on a busy machine. `tests/benchmarks/test_compiled_program.py` holds them within bounds.
Prints one JSON object: the attributes of `Program`.
"""

import argparse
import dataclasses
import json
import re
from typing import Any

import jax
import jax.numpy as jnp

from selfplay.parallel import AXIS
from selfplay.registry import make
from selfplay.runtime.components import Components, make_components
from selfplay.settings import Config

_FREE = ("parameter", "constant", "tuple", "get-tuple-element", "bitcast", "after-all",
         "partition-id", "replica-id")  # fmt: skip
"""Instructions that no kernel is started for."""

_HOST = re.compile(r"callback|infeed|outfeed|\bsend\b|\brecv\b")
_INSTRUCTION = re.compile(r"^\s+(?:ROOT )?%?[\w.\-]+ = (.*?) ?\b([a-z][a-z0-9\-]*)\(")
_HEADER = re.compile(r"^(ENTRY )?%?([\w.\-]+) \(.*\{$")
_CALLED = re.compile(r"(?:body|calls|to_apply|(?:true|false)_computation)=%?([\w.\-]+)")
_BRANCHES = re.compile(r"branch_computations=\{([^}]*)\}")
_ARRAY = re.compile(r"\b(pred|[a-z]+\d+)\[([\d,]*)\]")


@dataclasses.dataclass(frozen=True, kw_only=True)
class Program:
    """A chunk of self-play, compiled for one device.

    Attributes:
        kernels_per_simulation: that are started for each simulation of all matches together, but
            for those of the walk down the tree.
        kernels_per_level: for each level of that walk and of the way back.
        kernels_per_ply: for each ply, but for its simulations.
        copied_bytes_per_simulation: by copies that no arithmetic needs.
        flops: of two evaluations, the root's and a simulation's, with all that goes with them:
            the compiler counts what a loop does but once.
        bytes_accessed: likewise.
        host_calls: calls of the host inside the chunk, by where they stand in the program.
        donated: buffers that are written in place from chunk to chunk.
    """

    kernels_per_simulation: int
    kernels_per_level: int
    kernels_per_ply: int
    copied_bytes_per_simulation: int
    flops: float
    bytes_accessed: float
    host_calls: int
    donated: int


def inspect_self_play(components: Components) -> Program:
    """Compiles a chunk of self-play for the devices at hand and returns what it is made of.

    Args:
        components: whose network XLA computes.
    """
    compiled = _self_play(components).lower().compile()
    cost = _cost(compiled)
    return dataclasses.replace(
        read_program(compiled.as_text() or ""),
        flops=cost["flops"],
        bytes_accessed=cost["bytes accessed"],
    )


def custom_calls(components: Components, platform: str) -> list[str]:
    """Returns what a chunk of self-play calls outside XLA on a platform that need not be here.

    Args:
        components: whose network XLA computes.
        platform: such as "cuda".
    """
    text = _self_play(components).lower(lowering_platforms=(platform,)).as_text()
    return sorted(set(re.findall(r"custom_call @([\w.\-]+)", text)))


def _self_play(components: Components) -> jax.stages.Traced:
    weights = jax.eval_shape(lambda: components.network.init(key=jax.random.key(0)))
    return components.player.traced(weights)


def forward_cost(components: Components) -> dict[str, float]:
    """Returns `flops` and `bytes accessed` of the network alone.

    For as many positions as one device evaluates at once in self-play.
    """
    weights = jax.eval_shape(lambda: components.network.init(key=jax.random.key(0)))
    shape = (components.player.config.matches_per_device, *components.network.observation_shape)
    observations = jax.ShapeDtypeStruct(shape, jnp.float32)

    def forward(weights: Any, observations: Any) -> Any:
        prediction = components.network.apply(weights, observations)
        return prediction.policy_logits, prediction.value

    return _cost(jax.jit(forward).lower(weights, observations).compile())


def _cost(compiled: Any) -> dict[str, float]:
    found = compiled.cost_analysis()
    return {name: float(found[name]) for name in ("flops", "bytes accessed")}


def read_program(text: str) -> Program:
    """Returns what the text of an optimised program says; `flops` and `bytes_accessed` are 0.

    Self-play is a loop over plies with a loop over simulations inside, and in that the loops over
    the levels of the tree: among several loops it is the one with most instructions.
    """
    computations, entry = _parse(text)
    chunk = _largest_loop(computations, [entry])
    search = _largest_loop(computations, [chunk])
    levels = _loops(computations, search)
    body = computations.get(search, [])
    return Program(
        kernels_per_simulation=_kernels(computations, search),
        kernels_per_level=sum(_kernels(computations, level) for level in levels),
        kernels_per_ply=_kernels(computations, chunk),
        copied_bytes_per_simulation=sum(_bytes(one.type) for one in body if one.opcode == "copy"),
        flops=0.0,
        bytes_accessed=0.0,
        host_calls=len(_host_calls(computations)),
        donated=_donated(text),
    )


@dataclasses.dataclass(frozen=True)
class _Instruction:
    type: str
    opcode: str
    called: tuple[str, ...]
    line: str


_Computations = dict[str, list[_Instruction]]


def _parse(text: str) -> tuple[_Computations, str]:
    """Returns the instructions by computation, and the name of the first one to run."""
    computations: _Computations = {}
    entry = name = ""
    for line in text.splitlines():
        if header := _HEADER.match(line):
            name = header[2]
            entry = name if header[1] else entry
            computations[name] = []
        elif found := _INSTRUCTION.match(line):
            branches = ",".join(_BRANCHES.findall(line)).replace("%", "").replace(" ", "")
            called = (*_CALLED.findall(line), *filter(None, branches.split(",")))
            computations[name].append(_Instruction(found[1], found[2], called, line))
    return computations, entry


def _inlined(computations: _Computations, name: str) -> list[_Instruction]:
    """Returns the instructions of a computation and of those that it calls, but for loops."""
    found = []
    for one in computations.get(name, []):
        if one.opcode in ("call", "conditional"):
            inner = [_inlined(computations, called) for called in one.called]
            found += [more for part in inner for more in part]
        else:
            found.append(one)
    return found


def _kernels(computations: _Computations, name: str) -> int:
    return sum(
        one.opcode not in _FREE and one.opcode != "while" for one in _inlined(computations, name)
    )


def _loops(computations: _Computations, name: str) -> list[str]:
    return [one.called[0] for one in _inlined(computations, name) if one.opcode == "while"]


def _largest_loop(computations: _Computations, names: list[str]) -> str:
    loops = [loop for name in names for loop in _loops(computations, name)]
    return max(loops, key=lambda loop: _kernels(computations, loop), default="")


def _host_calls(computations: _Computations) -> list[str]:
    return [
        one.line
        for body in computations.values()
        for one in body
        if one.opcode in ("infeed", "outfeed", "send", "recv")
        or (one.opcode == "custom-call" and _HOST.search(one.line.split("metadata=")[0]))
    ]


def _donated(text: str) -> int:
    header = text.split("\n", 1)[0]
    return len(re.findall(r"(?:may|must)-alias", header))


def _bytes(type_text: str) -> int:
    total = 0
    for kind, shape in _ARRAY.findall(type_text):
        size = 1 if kind == "pred" else max(1, int(re.sub(r"\D", "", kind)) // 8)
        for length in shape.split(","):
            size *= int(length) if length else 1
        total += size
    return total


def main(game: str, blocks: int, channels: int, batch: int) -> None:
    """Counts and prints."""
    config = Config.from_dict(
        {
            "network": {"blocks": blocks, "channels": channels},
            "search": {"num_simulations": 8, "inference": "xla"},
            "rollout": {"matches_per_device": batch, "plies_per_chunk": 4},
        }
    )
    mesh = jax.sharding.Mesh(jax.local_devices()[:1], (AXIS,))
    program = inspect_self_play(make_components(make(game), config, mesh=mesh))
    print(json.dumps({"game": game, **dataclasses.asdict(program)}))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("game", nargs="?", default="connect_four")
    parser.add_argument("--blocks", type=int, default=1)
    parser.add_argument("--channels", type=int, default=16)
    parser.add_argument("--batch", type=int, default=16)
    arguments = parser.parse_args()
    main(arguments.game, arguments.blocks, arguments.channels, arguments.batch)
