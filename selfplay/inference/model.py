"""One set of weights in ONNX Runtime, with a cache of the positions that it has computed."""

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
"""A single row takes another path through the matrix kernels, which rounds differently."""

_HASH_SEED = 20_260_101
"""Of the multipliers; its value does not matter."""


class Outputs(NamedTuple):
    """The outputs of a network for `B` observations.

    Attributes:
        policy_logits: of all actions, legal or not.
        value_logits: of win, draw and loss for the player to move; or one number before its tanh.
    """

    policy_logits: Float32[np.ndarray, "B A"]
    value_logits: Float32[np.ndarray, "B outcomes"]


class EvaluatedPositions(NamedTuple):
    """Some of the positions that were evaluated: what was observed, and the legal actions."""

    observations: Float32[np.ndarray, "n ..."]
    legal: Bool[np.ndarray, "n A"]


def make_session(model: bytes) -> onnxruntime.InferenceSession:
    """Returns a session that computes on the calling thread alone.

    Several threads may call it at once: each host device has its own.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    # Errors come as exceptions; warnings would only be about the hardware.
    options.log_severity_level = 3
    return onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])


class Model:
    """Evaluates batches of observations; positions that it remembers are not computed again.

    Searches evaluate the same positions again and again: the search of the next move goes through
    the tree of the last one, matches share openings, moves transpose. Outputs do not depend on
    what else is in the batch. What is remembered is, bit for bit, what would be computed, and the
    order in which threads call changes nothing.

    The cache is direct-mapped: the low bits of a position's fingerprint are its place, and a later
    position replaces an earlier one.

    Attributes:
        asked: rows that were to be evaluated.
        computed: rows that were not in the cache.
    """

    def __init__(self, model: bytes) -> None:
        """Makes the session from a serialised model with the outputs policy and value logits."""
        self._session = make_session(model)
        self._lock = threading.Lock()
        _, *shape = self._session.get_inputs()[0].shape
        policy, value = self._session.run(None, {INPUT: np.zeros((2, *shape), np.float32)})
        self._actions = policy.shape[1]
        width = self._actions + value.shape[1]
        places = 1 << ((_MEMORY_BYTES // (4 * width + 16)).bit_length() - 1)
        self._keys = np.zeros((places, 2), np.uint64)
        self._answers = np.zeros((places, width), np.float32)
        self._samples: dict[int, tuple[npt.NDArray[np.float32], npt.NDArray[np.bool_]]] = {}
        self._sampled_to = 2**64 - 1
        self.asked = 0
        self.computed = 0

    def __call__(
        self,
        observations: Float32[np.ndarray, "B ..."],
        wanted: Bool[np.ndarray, " B"],
        legal: Bool[np.ndarray, "B A"],
    ) -> Outputs:
        """Returns the outputs of the wanted rows, zeros for the others.

        Args:
            observations: of the player to move.
            wanted: which rows to evaluate.
            legal: the legal actions. They are kept with samples and change no output.
        """
        rows = np.flatnonzero(wanted)
        keys = fingerprints(observations)[rows]
        places = (keys[:, 0] & np.uint64(len(self._keys) - 1)).astype(np.intp)
        with self._lock:
            known = (self._keys[places] == keys).all(axis=1)
            found = self._answers[places]
        missing = np.flatnonzero(~known)
        # Each position once.
        _, first, which = np.unique(keys[missing, 0], return_index=True, return_inverse=True)
        if len(first):
            new = missing[first]
            fresh = self._compute(observations, rows[new])
            found[missing] = fresh[which]
            with self._lock:
                self._keys[places[new]] = keys[new]
                self._answers[places[new]] = fresh
                self._sample(observations, legal, rows[new], keys[new, 0])
        self.asked += len(rows)
        self.computed += len(first)
        outputs = np.zeros((len(observations), found.shape[1]), np.float32)
        outputs[rows] = found
        return Outputs(outputs[:, : self._actions], outputs[:, self._actions :])

    def _compute(
        self, observations: npt.NDArray[np.float32], rows: npt.NDArray[np.intp]
    ) -> npt.NDArray[np.float32]:
        """Returns the outputs of some rows, policy and value logits side by side."""
        filled = np.resize(rows, max(len(rows), _FEWEST_ROWS))
        outputs = self._session.run(None, {INPUT: observations[filled]})
        return np.concatenate(outputs, axis=1)[: len(rows)]

    def _sample(
        self,
        observations: npt.NDArray[np.float32],
        legal: npt.NDArray[np.bool_],
        rows: npt.NDArray[np.intp],
        numbers: npt.NDArray[np.uint64],
    ) -> None:
        """Keeps some positions, chosen by their fingerprints and not by the order of calls."""
        for index in np.flatnonzero(numbers <= np.uint64(self._sampled_to)):
            # Copies, because the caller uses its buffers again.
            row = rows[index]
            self._samples[int(numbers[index])] = observations[row].copy(), legal[row].copy()
        while len(self._samples) > _MOST_SAMPLES:
            self._sampled_to //= 2
            for number in [number for number in self._samples if number > self._sampled_to]:
                del self._samples[number]

    def samples(self) -> EvaluatedPositions | None:
        """Returns some of the positions that were evaluated, None before the first."""
        with self._lock:
            chosen = [self._samples[number] for number in sorted(self._samples)]
        return EvaluatedPositions(*map(np.stack, zip(*chosen, strict=True))) if chosen else None


def fingerprints(observations: Float32[np.ndarray, "B ..."]) -> UInt64[np.ndarray, "B 2"]:
    """Returns two numbers for each observation, the second not 0; equal ones have equal numbers.

    Two sums of the observation's words times fixed odd numbers, modulo 2**64: for two different
    observations to agree in both is less likely than 2**-80, in the first less than 2**-40.
    """
    words = np.ascontiguousarray(observations.reshape(len(observations), -1)).view(np.uint32)
    sums: UInt64[np.ndarray, "B 2"] = words.astype(np.uint64) @ _multipliers(words.shape[1])
    # The low bits of the sums depend little on the high bits of the words: mix them.
    sums ^= sums >> np.uint64(29)
    sums *= np.uint64(0x9E3779B97F4A7C15)
    sums ^= sums >> np.uint64(32)
    # An empty place of the memory holds zeros.
    sums[:, 1] |= np.uint64(1)
    return sums


def _multipliers(count: int) -> UInt64[np.ndarray, "count 2"]:
    """Returns random odd numbers, the same at every call."""
    if count not in _TABLES:
        generator = np.random.default_rng(_HASH_SEED)
        _TABLES[count] = generator.integers(0, 2**63, (count, 2), np.uint64) * np.uint64(
            2
        ) + np.uint64(1)
    return _TABLES[count]


_TABLES: dict[int, UInt64[np.ndarray, "count 2"]] = {}
