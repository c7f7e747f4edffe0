"""An evaluator: rates the checkpoints of a run as they come, while it is trained elsewhere."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from jax.sharding import Mesh

from selfplay.errors import CheckpointError, ConfigError, RunError, StorageError
from selfplay.evaluation.strength import StrengthMeter
from selfplay.game import Game
from selfplay.networks import Weights
from selfplay.parallel import local_mesh
from selfplay.registry import GameSpec
from selfplay.run import RunDirectory
from selfplay.runtime.components import Components, make_components
from selfplay.runtime.lifetime import Lifetime
from selfplay.runtime.meter import Meter
from selfplay.runtime.process_config import process_config
from selfplay.runtime.publishing import HeartbeatWriter
from selfplay.settings import Config, EvaluationConfig, SearchConfig
from selfplay.telemetry import Strength, words
from selfplay.telemetry.metrics import heartbeat_values
from selfplay.workers.joining import Listeners, silent, wait_for_checkpoint, wait_for_run
from selfplay.workers.process_ids import claimed_id
from selfplay.workers.trainer_watch import Published, load_published

_BEAT_SECONDS = 5.0
_LOOK_SECONDS = 2.0
_LINE_SECONDS = 10.0


class EvaluatorProcess:
    """Rates checkpoints. Create it and call `work` once.

    It plays matches of every new checkpoint against each of `evaluation.opponents` and against the
    checkpoint rated before. If checkpoints come too fast, it rates the newest. In a game with a
    solver it first counts the mistakes of the checkpoint.

    Attributes:
        id: its name.
        rated: updates of the checkpoints it has rated, in order.
    """

    def __init__(
        self,
        run: RunDirectory,
        components: Components,
        *,
        id: str,
        lifetime: Lifetime,
        listeners: Listeners,
        settings: Mapping[str, Mapping[str, Any]] | None = None,
    ) -> None:
        """Reads earlier ratings of the run.

        Args:
            run: the run.
            components: made from its game and config.
            id: its name, which no other evaluator of the run has.
            lifetime: ends it.
            listeners: show messages and serve its metrics.
            settings: those that this process chooses, over the ones in force in the run.

        Raises:
            ConfigError: an opponent in the settings is not an agent.
        """
        self.run = run
        self.id = id
        self.rated: list[int] = []
        self._components = components
        self._settings = settings or {}
        self._lifetime = lifetime
        self._say = listeners.say
        self._monitor = listeners.monitor
        self._heartbeat = HeartbeatWriter(run, listeners.monitor, listeners.say, stop=lifetime.stop)
        self._meter = Meter()
        self._strength = StrengthMeter(components, run, say=listeners.say)
        self._next_beat = 0.0
        self._newest = -1
        self._mistakes_said = self._suite_said = -1
        rated = [one.update for one in self._strength.results.values()]
        self._last = max(rated, default=-1)

    def work(self, first: Published) -> None:
        """Rates checkpoints until the lifetime ends.

        Args:
            first: the newest checkpoint now.
        """
        published: Published | None = first
        try:
            while not self._lifetime.over:
                if published is not None and published.update > self._last:
                    self._lifetime.heard()
                    self._rate(published)
                self._tell("waiting for a checkpoint")
                published = self._next()
        finally:
            self._monitor.state("leaving", ready=False)
            self._heartbeat.stop()

    def _next(self) -> Published | None:
        """Waits briefly for a newer checkpoint than the last one; returns it, or None."""
        try:
            update = self.run.checkpoints.wait_for_newer(self._last, 0.0)
            if update is None:
                self._lifetime.sleep(_LOOK_SECONDS)
                return None
            self._newest = update
            return load_published(self.run, update, self._components.network)
        except (CheckpointError, StorageError) as error:
            # It was removed meanwhile, or the store does not answer for a moment.
            self._monitor.event("checkpoint_unreadable", str(error), level="warning")
            self._lifetime.sleep(_LOOK_SECONDS)
            return None

    def _rate(self, published: Published) -> None:
        self._adopt(published.config)
        earlier = self._earlier(published.update)
        self._last = published.update
        for opponent in (*self._strength.opponents, *earlier):
            if self._lifetime.over:
                return
            self._tell("playing")
            try:
                result = self._play(published.weights, published.update, opponent)
            except (CheckpointError, StorageError) as error:
                self._say(f"not rated against {opponent}: {error}")
                continue
            if result is None:
                return
            self._lifetime.matches += result.matches
            self._meter.count(matches=result.matches)
            self._say_mistakes(result.update)
            self._say_suite(result.update)
            self._say(f"checkpoint {result.update:,}: {words.score(result)} against {opponent}")
        self.rated.append(published.update)

    def _adopt(self, config: Config) -> None:
        """Adopts settings that a trainer has changed since the last checkpoint.

        If they cannot be used here, for example because this machine lacks an opponent, the earlier
        ones remain in force.
        """
        config = _config(self.run, config, self._settings)
        if _of_evaluation(config) == _of_evaluation(self._components.config):
            return
        try:
            components = _components(self._components.game, config)
            strength = StrengthMeter(components, self.run, say=self._say)
        except (CheckpointError, ConfigError, RunError, StorageError) as error:
            self._say(f"the trainer has changed its settings, which cannot be used here: {error}")
            return
        self._say("the trainer has changed its settings: compiling")
        self._components, self._strength = components, strength

    def _play(self, weights: Weights, update: int, opponent: str) -> Strength | None:
        cursor = self.run.checkpoints.metadata(update)["cursor"]

        next_line = self._meter.elapsed + _LINE_SECONDS

        def tick(text: str) -> None:
            nonlocal next_line
            self._tell("playing")
            if self._meter.elapsed >= next_line:
                next_line = self._meter.elapsed + _LINE_SECONDS
                self._say(f"checkpoint {update:,}: {text}")

        return self._strength.evaluate(
            weights,
            update=update,
            elapsed_seconds=float(cursor["elapsed_seconds"]),
            opponent=opponent,
            stop=lambda: self._lifetime.stopped,
            tick=tick,
        )

    def _say_mistakes(self, update: int) -> None:
        rates = self._strength.mistakes.rates
        if rates and rates[0].update == update != self._mistakes_said:
            self._mistakes_said = update
            self._say(f"checkpoint {update:,}: mistakes in {', '.join(words.mistakes(rates))}")

    def _say_suite(self, update: int) -> None:
        for score in self._strength.suite.scores:
            if score.update == update != self._suite_said:
                self._suite_said = update
                self._say(f"checkpoint {update:,}: {words.suite(score)}")

    @property
    def mistakes(self) -> dict[str, Any] | None:
        """The mistakes of the newest checkpoint, None if it was not measured."""
        return self._strength.mistakes.newest

    def _earlier(self, update: int) -> list[str]:
        """Returns an earlier checkpoint to compare with: the last one rated that is still there."""
        available = [other for other in self.run.checkpoints.updates() if other < update]
        rated = [other for other in available if other <= self._last]
        return [f"@{(rated or available)[-1]}"] if available else []

    def _tell(self, state: str) -> None:
        self._monitor.state(state, ready=True)
        if self._meter.elapsed < self._next_beat:
            return
        self._next_beat = self._meter.elapsed + _BEAT_SECONDS
        self._meter.mark()
        self._heartbeat.beat(self.metrics())

    def fields(self) -> dict[str, Any]:
        """Returns the content of this evaluator's heartbeat."""
        return heartbeat_values(self.metrics(), "evaluator")

    def metrics(self) -> dict[str, Any]:
        """Returns the metrics of an evaluator: counts since this process started, rates now."""
        return {
            "update": max(0, self._last),
            "checkpoint": max(0, self._last),
            "newest_checkpoint": max(0, self._newest, self._last),
            "staleness_updates": max(0, self._newest - self._last),
            "evaluation_matches": self._lifetime.matches,
            "evaluations": len(self.rated),
            "matches_per_second": self._meter.rate("matches"),
            "elapsed_seconds": self._meter.elapsed,
            "strength": tuple(self._strength.results.values()),
            "mistakes": self._strength.mistakes.rates,
            "suite": self._strength.suite.scores,
        }


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluatorOptions:
    """The settings of an evaluator process.

    Attributes:
        id: its name; None for the name of the host and the first free number.
        game: where the game of the run is now; None for where the run has it.
        settings: of the section "evaluation" and `search.inference`, over those of the run.
    """

    id: str | None = None
    game: GameSpec | None = None
    settings: dict[str, dict[str, Any]] = dataclasses.field(default_factory=dict)


def evaluate(
    place: str, options: EvaluatorOptions, lifetime: Lifetime, listeners: Listeners | None = None
) -> EvaluatorProcess | None:
    """Rates the checkpoints of the run at `place` until `lifetime` ends; waits for the run first.

    Args:
        place: the run, a path or a URL. It may not exist yet.
        options: the settings of this process.
        lifetime: ends it.
        listeners: show messages and serve its metrics; None for silence.

    Returns:
        The evaluator, None if it ended before there was a checkpoint to rate.

    Raises:
        ConfigError: a setting is out of range, or not one that an evaluator chooses.
        RunError: the id is taken, or the game has changed.
    """
    listeners = listeners or silent("evaluator")
    foreign = [
        f"{section}.{key}"
        for section, values in options.settings.items()
        for key in values
        if section != "evaluation" and (section, key) != ("search", "inference")
    ]
    if foreign:
        raise ConfigError(
            f"{foreign[0]} is set by the run",
            hint="an evaluator chooses search.inference and the section evaluation",
        )
    run = wait_for_run(place, lifetime, listeners)
    if run is None:
        return None
    with claimed_id(run, "evaluator", options.id, lifetime=lifetime) as id:
        listeners.monitor.id = id
        config = _config(run, run.config, options.settings, listeners.say)
        game = run.make_game(options.game)
        components = _components(game, config)
        first = wait_for_checkpoint(run, components.network, lifetime, listeners)
        if first is None:
            return None
        lifetime.heard()
        components = _components(game, _config(run, first.config, options.settings))
        listeners.say(
            f"evaluator {id} rates the checkpoints of {run.url}, their network in "
            f"{components.inference.kind}"
        )
        evaluator = EvaluatorProcess(
            run,
            components,
            id=id,
            lifetime=lifetime,
            listeners=listeners,
            settings=options.settings,
        )
        evaluator.work(first)
        return evaluator


def _config(
    run: RunDirectory,
    config: Config,
    settings: Mapping[str, Mapping[str, Any]],
    say: Callable[[str], None] = lambda text: None,
) -> Config:
    """Returns the settings of an evaluator if `config` is in force in the run."""
    named = run.config.search.inference
    return process_config(config.updated(settings), settings, named=named, say=say)


def _of_evaluation(config: Config) -> tuple[SearchConfig, EvaluationConfig]:
    """Returns the settings that decide how checkpoints are rated."""
    return config.search, config.evaluation


def _components(game: Game[Any], config: Config) -> Components:
    mesh = local_mesh()
    one = Mesh(mesh.devices[:1], mesh.axis_names)
    return make_components(game, config, learner_mesh=one, calibrates=False)
