"""One set of weights behind ONNX Runtime, with a memory of what it has answered."""

import threading
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import onnxruntime
from jaxtyping import Bool, Float32, UInt64

from selfplay.inference.graph import INPUT

_MEMORY_BYTES = 32 * 2**20
_MOST_SAMPLES = 2048
_FEWEST_ROWS = 2
"""A single row takes another path through the matrix kernels, with other roundings."""

_HASH_SEED = 20_260_101
"""Of the multipliers; any will do."""


class Answer(NamedTuple):
    """What a network says of `B` observations.

    Attributes:
        policy_logits: of all actions.
        value_logits: of win, draw and loss, or one number before its tanh.
    """

    policy_logits: Float32[np.ndarray, "B A"]
    value_logits: Float32[np.ndarray, "B outcomes"]


class Samples(NamedTuple):
    """Some of the positions that were asked for."""

    observations: Float32[np.ndarray, "n ..."]
    legal: Bool[np.ndarray, "n A"]


def make_session(model: bytes) -> onnxruntime.InferenceSession:
    """Returns a session that computes on the calling thread alone.

    Several threads may call it at once: each host device brings its own.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Errors come as exceptions; warnings would only be about the hardware.
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Model:
    """Answers for batches of observations; each position is computed once.

    Searches ask for the same positions again and again: the next move's search walks the tree of
    the last, matches share their openings, moves transpose. An answer does not depend on what
    else is in the batch, so what is remembered is what would be computed, bit for bit, and
    whatever the order in which threads ask, the answers are the same.

    Attributes:
        asked: rows that were asked for.
        computed: rows that had to be computed.
    """

    def __init__(self, model: bytes) -> None:
        """Makes the session from a serialised model with the outputs policy and value logits."""
        self._session = make_session(model)
        self._lock = threading.Lock()
        self._slots: dict[bytes, int] = {}
        self._memory: Answer | None = None
        self._samples: dict[bytes, tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]] = {}
        self._sampled_below = 2**64
        self.asked = 0
        self.computed = 0

    def __call__(
        self,
        observations: Float32[np.ndarray, "B ..."],
        wanted: Bool[np.ndarray, " B"],
        legal: Bool[np.ndarray, "B A"],
    ) -> Answer:
        """Returns the answers of the wanted rows, zeros for the others.

        Args:
            observations: what the network sees.
            wanted: which rows to answer.
            legal: the legal actions; kept with samples, they change no answer.
        """
        rows = np.flatnonzero(wanted)
        every_key = fingerprints(observations)
        keys = [every_key[row] for row in rows]
        with self._lock:
            memory = self._memory
            slots = np.array([self._slots.get(key, -1) for key in keys], np.int64)
            # The rows that nobody has asked for yet, each position once.
            new = {
                key: row
                for key, slot, row in zip(keys, slots, rows.tolist(), strict=True)
                if slot < 0
            }
            # A copy, made before another thread may begin the memory anew.
            known = None if memory is None else Answer(*(kept[slots] for kept in memory))
        computed = self._compute(observations, list(new.values()))
        if known is None:
            # The first call, which teaches the shapes.
            known = Answer(*(np.zeros((len(rows), part.shape[1]), np.float32) for part in computed))
        if new:
            places = {key: index for index, key in enumerate(new)}
            missing = np.flatnonzero(slots < 0)
            source = [places[keys[index]] for index in missing]
            for part, fresh in zip(known, computed, strict=True):
                part[missing] = fresh[source]
            self._remember(observations, legal, new, computed)
        self.asked += len(rows)
        self.computed += len(new)
        answer = Answer(
            *(np.zeros((len(observations), part.shape[1]), np.float32) for part in known)
        )
        for part, found in zip(answer, known, strict=True):
            part[rows] = found
        return answer

    def _compute(self, observations: npt.NDArray[np.float32], rows: list[int]) -> Answer:
        """Returns the answers of some rows."""
        if not rows and self._memory is not None:
            return Answer(*(part[:0] for part in self._memory))
        filled = rows + [rows[0] if rows else 0] * (_FEWEST_ROWS - len(rows))
        outputs = self._session.run(None, {INPUT: observations[filled]})
        return Answer(*(output[: len(rows)] for output in outputs))

    def _remember(
        self,
        observations: npt.NDArray[np.float32],
        legal: npt.NDArray[np.bool_],
        new: dict[bytes, int],
        computed: Answer,
    ) -> None:
        with self._lock:
            if self._memory is None:
                width = sum(part.shape[1] for part in computed)
                size = _MEMORY_BYTES // (4 * width)
                self._memory = Answer(
                    *(np.zeros((size, part.shape[1]), np.float32) for part in computed)
                )
            size = len(self._memory.policy_logits)
            if len(self._slots) + len(new) > size:
                self._slots.clear()
            fresh = {key: index for index, key in enumerate(new) if key not in self._slots}
            if len(fresh) > size:
                return
            first = len(self._slots)
            indices = list(fresh.values())
            for kept, part in zip(self._memory, computed, strict=True):
                kept[first : first + len(indices)] = part[indices]
            self._slots.update(zip(fresh, range(first, first + len(indices)), strict=True))
            for key in fresh:
                if _number(key) < self._sampled_below:
                    # Copies: the caller's buffers will hold other positions soon.
                    row = new[key]
                    self._samples[key] = observations[row].copy(), legal[row].copy()
            while len(self._samples) > _MOST_SAMPLES:
                # By content: what is kept depends on what was asked, not in which order.
                self._sampled_below //= 2
                for key in [key for key in self._samples if _number(key) >= self._sampled_below]:
                    del self._samples[key]

    def samples(self) -> Samples | None:
        """Returns some of the positions asked for, None before the first."""
        with self._lock:
            chosen = [self._samples[key] for key in sorted(self._samples)]
        return Samples(*map(np.stack, zip(*chosen, strict=True))) if chosen else None


def fingerprints(observations: Float32[np.ndarray, "B ..."]) -> list[bytes]:
    """Returns 16 bytes for each observation; equal ones have equal bytes.

    Two sums of the observation's words times fixed odd numbers, modulo 2**64: for two different
    observations to agree in both is less likely than 2**-80.
    """
    words = np.ascontiguousarray(observations.reshape(len(observations), -1)).view(np.uint32)
    sums: UInt64[np.ndarray, "B 2"] = words.astype(np.uint64) @ _multipliers(words.shape[1])
    # The low bits of the sums know less of the high bits of the words: mix them.
    sums ^= sums >> np.uint64(29)
    sums *= np.uint64(0x9E3779B97F4A7C15)
    sums ^= sums >> np.uint64(32)
    joined: list[bytes] = np.ascontiguousarray(sums).view(np.dtype((np.void, 16)))[:, 0].tolist()
    return joined


def _number(key: bytes) -> int:
    return int.from_bytes(key[:8], "little")


def _multipliers(count: int) -> UInt64[np.ndarray, "count 2"]:
    """Returns the same odd numbers at every call."""
    if count not in _TABLES:
        generator = np.random.default_rng(_HASH_SEED)
        _TABLES[count] = generator.integers(0, 2**63, (count, 2), np.uint64) * np.uint64(
            2
        ) + np.uint64(1)
    return _TABLES[count]


_TABLES: dict[int, UInt64[np.ndarray, "count 2"]] = {}
