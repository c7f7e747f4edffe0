"""Self-play of a process: its matches in progress, played in chunks of plies."""

import contextlib
import operator
import sys
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import numpy as np
from jaxtyping import Array, Key, PyTree

from selfplay.checkpoints import Checkpoints
from selfplay.inference import Agreement, Counts
from selfplay.records import MatchCollector, MatchRecord, Provenance
from selfplay.replay.blame import broken_by, looks_strange
from selfplay.rollout import Plies, mean_simulations
from selfplay.runtime.components import Components
from selfplay.runtime.endgame_solver import EndgameSolver
from selfplay.runtime.resignations import Resignations
from selfplay.runtime.restart_pool import RestartPool
from selfplay.runtime.stored_matches import load_matches
from selfplay.runtime.trace import Trace
from selfplay.telemetry import tracing

_CALIBRATION_GROWTH = 1.2
_CALIBRATION_UPDATES = 20
_NEVER = sys.maxsize


class Chunks:
    """Plays the same matches in chunks of plies, with weights that may change between chunks.

    Attributes:
        components: what plays.
        matches: the positions of the matches, with their other state.
        iteration: chunks played.
        trace: called before every chunk, if a profile is wanted.
    """

    def __init__(
        self, components: Components, *, start_key: Key[Array, ""], play_key: Key[Array, ""]
    ) -> None:
        """Starts all matches at their first position.

        Args:
            components: made from a game and a config.
            start_key: decides how the first matches start; consumed.
            play_key: decides the rest; consumed.
        """
        self.components = components
        # Ignores ranges that another object has measured.
        components.inference.ranges = None
        self.matches: Any = components.player.start(key=start_key)
        self.iteration = 0
        self.trace: Trace | None = None
        self._play_key = play_key
        self._loaded: tuple[int | None, PyTree] | None = None
        self._counts = Counts(asked=0, computed=0)

    def play(self, weights: PyTree, *, version: int | None = None) -> Plies:
        """Plays a chunk in every match; returns its plies on the host, leaves [T, B, ...].

        Args:
            weights: for the evaluator.
            version: identifies them: the weights loaded last under it are used again; None loads
                them again.
        """
        plies: Plies = jax.device_get(self.begin(weights, version=version))
        return plies

    def begin(self, weights: PyTree, *, version: int | None = None) -> Any:
        """Starts a chunk as `play` does; returns its plies while they are still being computed."""
        if self.trace is not None:
            self.trace.step()
        params = self.loaded(weights, version=version)
        key = jax.random.fold_in(self._play_key, self.iteration)
        player = self.components.player
        self.matches, plies = player.play(params, self.matches, key=key, **self._choices)
        self.iteration += 1
        return plies

    def loaded(self, weights: PyTree, *, version: int | None = None) -> PyTree:
        """Returns what the evaluator takes for these weights; see `play`."""
        if self._loaded is None or version is None or self._loaded[0] != version:
            self.unload()
            self._loaded = (version, self.components.inference.load(weights))
        return self._loaded[1]

    @property
    def _choices(self) -> dict[str, Any]:
        """What finished matches decide of the next chunk, for `SelfPlayer.play`; here nothing."""
        return {}

    def wait(self) -> None:
        """Waits until the devices have finished playing."""
        jax.block_until_ready(self.matches)

    def close(self) -> None:
        """Waits likewise and ignores errors, because programs may still call this process."""
        with contextlib.suppress(RuntimeError):
            self.wait()

    def calibrate(self) -> Agreement | None:
        """Measures the ranges of an integer network on positions that the weights have evaluated.

        It holds from the next chunk on. Returns None if nothing was measured.
        """
        found = (
            None if self._loaded is None else self.components.inference.calibrate(self._loaded[1])
        )
        if found is not None:
            self.unload()
        return found

    def unload(self) -> None:
        """Releases the loaded weights, so that the next chunk loads weights again."""
        if self._loaded is not None:
            if self.components.inference.traits.calls_host:
                # A chunk in progress may still use them.
                self.wait()
            self._counts = self.counts
            self.components.inference.release(self._loaded[1])
        self._loaded = None

    @property
    def counts(self) -> Counts:
        """Positions that searches asked for so far, and those that were computed."""
        if self._loaded is None:
            return self._counts
        newest = self.components.inference.counts(self._loaded[1])
        return Counts(*map(operator.add, self._counts, newest))

    @property
    def simulations(self) -> int:
        """Simulations in one chunk, on average."""
        player = self.components.player
        per_ply = mean_simulations(player.search_config, player.config)
        return round(player.num_matches * player.config.plies_per_chunk * per_ply)


class _Chunk(NamedTuple):
    """A chunk that was played, or is being played, with the weights of an update."""

    plies: Plies
    update: int
    span: tracing.Span = tracing.Span()


class Playing(Chunks):
    """The matches in progress of a process, played with the weights that each call passes.

    It works one chunk ahead: while the host processes and stores a chunk, the devices play the next
    one.

    Attributes:
        collector: the plies of the matches in progress.
        resignations: chooses at which value players resign.
        restart_pool: positions from which new matches may go on.
        solver: asks the game's own solver about the ends of matches.
        agreement: between the integer and the float network, at the last calibration.
        span: of the chunk whose matches were returned last.
    """

    def __init__(
        self,
        components: Components,
        provenance: Provenance,
        *,
        start_key: Key[Array, ""],
        play_key: Key[Array, ""],
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Starts all matches at their first position.

        Args:
            components: made from the run's game and config.
            provenance: what the records say of their origin.
            start_key: decides how the first matches start; consumed.
            play_key: decides the rest; consumed.
            say: shows a line about the agreement of an integer network with the float one.
        """
        super().__init__(components, start_key=start_key, play_key=play_key)
        self._say = say
        self._start_key = start_key
        self.collector = MatchCollector(provenance, components.player.num_matches)
        self.resignations = Resignations(components.config.rollout)
        self.restart_pool = RestartPool(components.game, components.config.rollout)
        self.solver = EndgameSolver(components.game, components.config.rollout, say=say)
        self._calibrate_at = 0 if components.inference.traits.calibrates else _NEVER
        self._begun: _Chunk | None = None
        self.agreement: Agreement | None = None
        self.span = tracing.Span()

    def chunk(self, weights: PyTree, *, update: int, sequence: int) -> list[MatchRecord]:
        """Starts a chunk in every match and returns the matches that ended in the previous one.

        When it calibrates, it instead finishes this chunk and returns the matches that ended in it.

        Args:
            weights: for the evaluator; they may differ from call to call.
            update: number of the updates behind them.
            sequence: of the file the finished matches will be written to.
        """
        due = update >= self._calibrate_at
        if due and self._begun is not None:
            return self.rest(sequence=sequence)
        # A calibration sees the positions of one chunk, whatever this process played before.
        span = tracing.begin("play chunk", checkpoint=update)
        chunk = _Chunk(self.begin(weights, version=None if due else update), update, span)
        if due:
            finished = self._collect(chunk, sequence)
            self._calibrate(update)
            return finished
        before, self._begun = self._begun, chunk
        return [] if before is None else self._collect(before, sequence)

    @property
    def _choices(self) -> dict[str, Any]:
        return {
            "resign_below": self.resignations.threshold,
            "restarts": self.restart_pool.restarts,
        }

    @property
    def chunks_done(self) -> int:
        """Chunks that were played and processed."""
        return self.iteration - (self._begun is not None)

    def rest(self, *, sequence: int) -> list[MatchRecord]:
        """Finishes the chunk in progress and returns the matches that ended in it.

        Args:
            sequence: of the file they will be written to.
        """
        before, self._begun = self._begun, None
        return [] if before is None else self._collect(before, sequence)

    def _collect(self, chunk: _Chunk, sequence: int) -> list[MatchRecord]:
        plies: Plies = jax.device_get(chunk.plies)
        finished = self.collector.add(plies, checkpoint=chunk.update, sequence=sequence)
        self.resignations.add(finished)
        self.restart_pool.add(finished)
        # After it was restored with another number of matches: see `restore`.
        self._fit_collector()
        for match in filter(looks_strange, finished):
            if (broken := broken_by(self.components.game, match)) is not None:
                raise broken
        # Last: what is played next depends on what the searches found, whatever the solver says.
        judged = self.solver.judge(finished)
        chunk.span.set(matches=len(judged), positions=sum(match.plies for match in judged))
        chunk.span.end()
        self.span = chunk.span
        return judged

    def _fit_collector(self) -> None:
        if self.collector.num_matches != self.components.player.num_matches:
            self.collector.resize(self.components.player.num_matches)

    def _calibrate(self, update: int) -> None:
        """Calibrates an integer network, repeatedly as the network learns."""
        found = self.calibrate()
        if found is None:
            return
        if self.agreement is None or found.good != self.agreement.good:
            use = "plays in int8" if found.good else "plays in float32, because int8 is too far off"
            self._say(f"{use}, beside float32: {found}")
        self.agreement = found
        # Fresh weights change much; later ones ever less.
        self._calibrate_at = int(update * _CALIBRATION_GROWTH) + _CALIBRATION_UPDATES

    def change_components(self, components: Components, provenance: Provenance) -> None:
        """Continues the same matches with other settings of search or chunk.

        Args:
            components: of the same game, with as many matches at once.
            provenance: the origin that records state from now on.
        """
        self.unload()
        components.inference.ranges = self.components.inference.ranges
        self.components = components
        self.collector.provenance = provenance
        rollout = components.config.rollout
        self.resignations.config = self.restart_pool.config = self.solver.config = rollout

    def items(self) -> dict[str, PyTree]:
        """Returns everything that changes, for a checkpoint."""
        collector: PyTree = self.collector.state()
        pool: PyTree = self.restart_pool.state()
        ranges = self.components.inference.ranges
        begun: PyTree = {}
        if self._begun is not None:
            plies = dict(jax.device_get(self._begun.plies).columns)
            begun = {"begun": {"update": np.int64(self._begun.update), "plies": plies}}
        return {
            "matches": jax.device_get(self.matches),
            "self_play": {
                "num_matches": np.int32(self.components.player.num_matches),
                "collector": collector,
                "calibrate_at": np.int64(self._calibrate_at),
                "ranges": np.zeros((0, 2), np.float32) if ranges is None else ranges,
                "resignations": self.resignations.state(),
                **({"restart_pool": pool} if pool else {}),
                **begun,
            },
        }

    @property
    def must_settle(self) -> bool:
        """Whether the chunk in progress has another number of matches.

        Then the caller must call `rest` before anything else is played or saved.
        """
        return self.collector.num_matches != self.components.player.num_matches

    def restore(self, checkpoints: Checkpoints, update: int, *, iteration: int) -> str:
        """Continues the matches of a checkpoint; returns a text about those that cannot, or "".

        If the number of matches has changed, the first ones continue. Matches that ended in a chunk
        in progress are kept: see `must_settle`.

        Args:
            checkpoints: of the run.
            update: which one.
            iteration: chunks played by then.
        """
        self.iteration = iteration
        player = self.components.player
        fresh = jax.random.fold_in(self._start_key, iteration)
        if "self_play" not in checkpoints.metadata(update)["items"]:
            # The trainer's matches were played by workers, or it is the first checkpoint of a run.
            self.matches = player.start(key=fresh)
            return f"checkpoint {update} holds no matches in progress: new ones begin"
        stored = checkpoints.load(update, "self_play")
        # Of an integer network; this machine may have another one.
        if len(stored.get("ranges", ())) and self.components.inference.traits.calibrates:
            self.components.inference.ranges = stored["ranges"]
            self._calibrate_at = int(stored["calibrate_at"])
        if "resignations" in stored:
            self.resignations.restore(stored["resignations"])
        if "restart_pool" in stored:
            self.restart_pool.restore(stored["restart_pool"])
        before, now = int(stored["num_matches"]), player.num_matches
        if before < now:
            self.matches = player.start(key=fresh)
        self.matches = load_matches(checkpoints, update, stored, self.matches)
        self.collector.restore(stored["collector"])
        if "begun" in stored:
            plies = Plies(**stored["begun"]["plies"])
            self._begun = _Chunk(plies, int(stored["begun"]["update"]))
        else:
            self._fit_collector()
        if before == now:
            return ""
        rest = f"{now - before} new ones begin" if before < now else f"{before - now} are dropped"
        return (
            f"{now} matches are played at once now, not {before}: {min(before, now)} of those in "
            f"progress go on, {rest}"
        )
