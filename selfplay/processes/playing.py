"""The playing half of a run: matches in progress, chunk after chunk."""

import sys
from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Key, PyTree

from selfplay.inference import Agreement
from selfplay.processes.parts import Parts
from selfplay.records import MatchCollector, MatchRecord, Provenance
from selfplay.run import Checkpoints

_CALIBRATION_GROWTH = 1.2
_CALIBRATION_UPDATES = 20
_NEVER = sys.maxsize


class Playing:
    """Plays matches with whatever weights it is given; every process that plays has one.

    Attributes:
        collector: the plies of the matches in progress.
        iteration: chunks played.
        agreement: of the integer network with the float one, at the last calibration.
    """

    def __init__(
        self,
        parts: Parts,
        provenance: Provenance,
        *,
        start_key: Key[Array, ""],
        play_key: Key[Array, ""],
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Starts all matches at their first position.

        Args:
            parts: made from the run's game and config.
            provenance: what the records say of their origin.
            start_key: decides how the first matches start; consumed.
            play_key: decides the rest; consumed.
            say: is told how well an integer network agrees with the float one.
        """
        self._parts = parts
        # What another run has measured does not count here.
        parts.inference.ranges = None
        self._say = say
        self._start_key = start_key
        self._play_key = play_key
        self.collector = MatchCollector(provenance, parts.player.num_matches)
        self.iteration = 0
        self.matches: Any = parts.player.start(key=start_key)
        self._loaded: tuple[int, PyTree] | None = None
        self._calibrate_at = 0
        self.agreement: Agreement | None = None

    def chunk(self, weights: PyTree, *, update: int, sequence: int) -> list[MatchRecord]:
        """Plays a chunk in every match and returns those that ended.

        Args:
            weights: for the evaluator; they may differ from call to call.
            update: number of the updates behind them.
            sequence: of the file the finished matches will be written to.
        """
        key = jax.random.fold_in(self._play_key, self.iteration)
        params = self._load(weights, update)
        self.matches, plies = self._parts.player.play(params, self.matches, key=key)
        plies = jax.device_get(plies)
        self.iteration += 1
        if update >= self._calibrate_at:
            self._calibrate(params, update)
        return self.collector.add(plies, checkpoint=update, sequence=sequence)

    def _load(self, weights: PyTree, update: int) -> PyTree:
        """Returns what the evaluator needs to play with the weights of that update."""
        # A calibration sees the positions of one chunk, whatever this process played before.
        if self._loaded is not None and self._loaded[0] == update < self._calibrate_at:
            return self._loaded[1]
        self._unload()
        params = self._parts.inference.load(weights)
        self._loaded = (update, params)
        return params

    def _unload(self) -> None:
        if self._loaded is not None:
            self._parts.inference.release(self._loaded[1])
        self._loaded = None

    def _calibrate(self, params: PyTree, update: int) -> None:
        """Measures what an integer network needs to know, again and again as the network learns."""
        inference = self._parts.inference
        if inference.kind != "onnx-int8":
            self._calibrate_at = _NEVER
            return
        found = inference.calibrate(params)
        if found is None:
            return
        if self.agreement is None or found.good != self.agreement.good:
            use = "plays in int8" if found.good else "plays in float32, because int8 is too far off"
            self._say(f"{use}, beside float32: {found}")
        self.agreement = found
        # Fresh weights change much; later ones ever less.
        self._calibrate_at = int(update * _CALIBRATION_GROWTH) + _CALIBRATION_UPDATES
        self._unload()

    @property
    def simulations(self) -> int:
        """Simulations in one chunk."""
        player = self._parts.player
        per_ply = self._parts.config.search.num_simulations
        return player.num_matches * player.config.plies_per_chunk * per_ply

    def change_parts(self, parts: Parts, provenance: Provenance) -> None:
        """Goes on with the same matches under other settings of search or chunk.

        Args:
            parts: of the same game, with as many matches at once.
            provenance: what records say from now on.
        """
        self._unload()
        parts.inference.ranges = self._parts.inference.ranges
        self._parts = parts
        self.collector.provenance = provenance

    def items(self) -> dict[str, PyTree]:
        """Returns everything that changes, for a checkpoint."""
        collector: PyTree = self.collector.state()
        ranges = self._parts.inference.ranges
        return {
            "matches": jax.device_get(self.matches),
            "self_play": {
                "num_matches": np.int32(self._parts.player.num_matches),
                "collector": collector,
                "calibrate_at": np.int64(self._calibrate_at),
                "ranges": np.zeros((0, 2), np.float32) if ranges is None else ranges,
            },
        }

    def restore(self, checkpoints: Checkpoints, update: int, *, iteration: int) -> str:
        """Goes on with the matches of a checkpoint; returns why not, or "".

        Args:
            checkpoints: of the run.
            update: which one.
            iteration: chunks played by then.
        """
        self.iteration = iteration
        player = self._parts.player
        problem = ""
        if "self_play" not in checkpoints.metadata(update)["items"]:
            problem = f"checkpoint {update} is of a trainer that did not play: matches start anew"
        else:
            stored = checkpoints.load(update, "self_play")
            if len(stored.get("ranges", ())):
                self._parts.inference.ranges = stored["ranges"]
                self._calibrate_at = int(stored["calibrate_at"])
            if int(stored["num_matches"]) == player.num_matches:
                self.matches = jax.tree.map(
                    lambda new, old: jax.device_put(old, new.sharding),
                    self.matches,
                    checkpoints.load(update, "matches", self.matches),
                )
                self.collector.restore(stored["collector"])
                return ""
            problem = (
                f"{player.num_matches} matches are played at once now, not "
                f"{int(stored['num_matches'])}: those in progress start anew"
            )
        self.matches = player.start(key=jax.random.fold_in(self._start_key, iteration))
        return problem
