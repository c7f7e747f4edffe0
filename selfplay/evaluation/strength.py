"""Strength of a run's checkpoints: short matches against fixed opponents and earlier checkpoints.

In a game that has a solver it also counts mistakes; a position suite is asked too.
"""

import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from jaxtyping import PyTree

from selfplay.arena import (
    Agent,
    OpeningSet,
    SearchAgent,
    SolverAgent,
    Standing,
    load_weights,
    make_agent,
    play_matches,
)
from selfplay.errors import ConfigError
from selfplay.evaluation.match_times import MatchPace, MatchTimes
from selfplay.evaluation.mistake_meter import MistakeMeter
from selfplay.evaluation.suite_meter import SuiteMeter
from selfplay.networks import Weights
from selfplay.run import RunDirectory, append_evaluation, read_newest_results
from selfplay.runtime.background import LeftBehindError, attend
from selfplay.runtime.components import Components
from selfplay.telemetry import Strength


class _StoppedError(Exception):
    """The matches were stopped before their end."""


class StrengthMeter:
    """Plays one opponent at a time, in turn, and keeps the newest result against each.

    Attributes:
        results: by opponent.
        mistakes: of the checkpoints, if the game has a solver.
        suite: what they do in a position suite, if the game or the settings name one.
    """

    def __init__(
        self,
        components: Components,
        run: RunDirectory,
        *,
        enabled: bool = True,
        say: Callable[[str], None] = lambda text: None,
    ) -> None:
        """Reads earlier results of the run, if any.

        Args:
            components: made from the run's game and config.
            run: gets the results.
            enabled: whether it plays matches; otherwise it only reads earlier results.
            say: shows a message to people.

        Raises:
            ConfigError: an opponent in the settings is not an agent, or a file that the settings
                name cannot be used for this game.
        """
        self._components = components
        self._run = run
        self._say = say
        self._config = components.config.evaluation
        self._times = MatchTimes(self._config.matches)
        # Created now, so that a misspelt opponent is refused before training starts.
        self._opponents: dict[str, Agent] = {
            name: self._fixed_opponent(name) for name in (self._config.opponents if enabled else ())
        }
        for name, agent in self._opponents.items():
            if isinstance(agent, SolverAgent) and not agent.knows_the_start:
                raise ConfigError(
                    f"evaluation.opponents names {name!r}, but the solver of "
                    f"{components.game.name} does not know the first position",
                    hint="mistakes are counted where it has an answer; leave it out here",
                )
        self._agents: dict[int, SearchAgent] = {}
        self._slow_opponents: dict[str, Agent] = {}
        self._turn = 0
        self.results: dict[str, Strength] = {}
        self.mistakes = MistakeMeter(components.game, run, self._config, enabled=enabled, say=say)
        self.suite = SuiteMeter(components.game, run, self._config.suite, enabled=enabled)
        self._openings = (
            OpeningSet.load(Path(self._config.openings).expanduser(), components.game)
            if enabled and self._config.openings
            else None
        )
        self._read_results()

    def reread(self) -> None:
        """Takes in results that other processes have stored."""
        self._read_results()
        self.mistakes.reread()
        self.suite.reread()

    def _read_results(self) -> None:
        # A damaged file must not stop training: `selfplay status` reports it.
        rows = read_newest_results(self._run.store, on_damage=lambda error: None)
        self.results = {row["opponent"]: _strength(row) for row in rows}

    @property
    def opponents(self) -> tuple[str, ...]:
        """Names of the fixed opponents, in order."""
        return tuple(self._opponents)

    @property
    def expected_seconds(self) -> float:
        """Seconds that the next evaluation takes at least, estimated from earlier ones."""
        return self._times.expected(self._next_opponent)

    def least_seconds(self, opponent: str) -> float:
        """Returns the seconds that an evaluation needs at least, 0 if nothing is known yet."""
        return self._times.least(opponent)

    def expect(self, seconds: float) -> None:
        """Sets the expected seconds of a first evaluation; later calls change nothing."""
        self._times.expect(seconds)

    @property
    def _next_opponent(self) -> str:
        return self._config.opponents[self._turn % len(self._config.opponents)]

    def evaluate(
        self,
        weights: Weights,
        *,
        update: int,
        elapsed_seconds: float,
        opponent: str | None = None,
        against: Weights | None = None,
        chooses: bool = False,
        num_matches: int | None = None,
        seconds: float = math.inf,
        plies_per_match: float | None = None,
        stop: Callable[[], bool] = lambda: False,
        tick: Callable[[str], None] = lambda text: None,
    ) -> Strength | None:
        """Plays one opponent, stores the matches in the run and returns the result.

        With a new checkpoint it counts mistakes first. The matches run in another thread, so that
        `stop` works in the middle of a long search.

        Where matches cannot end in time they are broken off as soon as that is clear. From then on
        as many are played against this opponent as fit, at least 4.

        Args:
            weights: of the player.
            update: the number of updates behind them; also the seed of the openings.
            elapsed_seconds: of training, for the record.
            opponent: a name in `opponents`, or "@UPDATE" for an earlier checkpoint of this run;
                by default the fixed ones in turn.
            against: weights of the earlier checkpoint, if they are at hand.
            chooses: whether the result decides which weights self-play uses: then the openings are
                random, whatever `evaluation.openings` says.
            num_matches: even; by default `evaluation.matches`, or fewer if these take too long.
            seconds: after which the matches are broken off, without a result.
            plies_per_match: about how long a match is, if that is known.
            stop: asked after every ply and a few times a second; the matches end once it returns
                True.
            tick: called a few times a second, in this thread, with a text about the matches.

        Returns:
            The result, None if it was stopped or broken off.
        """
        name = opponent
        if name is None:
            name = self._next_opponent
            self._turn += 1
        matches = num_matches or self._times.fitting(name, seconds)
        pace = MatchPace(plies_per_match)
        doing = f"getting ready for matches against {name}"
        deadline = math.inf
        needed: float | None = None

        def late() -> bool:
            return time.monotonic() > deadline or (needed or 0.0) > seconds

        def ends() -> bool:
            return stop() or late()

        def go_on(standing: Standing | None = None) -> None:
            nonlocal doing, needed
            if standing is not None:
                doing = f"against {name}, {standing}"
                needed = pace.seconds_needed(standing)
            if ends():
                raise _StoppedError

        def play() -> Strength:
            nonlocal deadline, pace
            # Done once, so it does not count for the time of this evaluation.
            self.mistakes.prepare(go_on)
            deadline, pace = time.monotonic() + seconds, MatchPace(plies_per_match)
            return self._evaluate(
                weights, name, update, elapsed_seconds, go_on, against, chooses, matches
            )

        try:
            return attend(play, stop=ends, tick=lambda: tick(doing))
        except (_StoppedError, LeftBehindError):
            if late() and not stop():
                whole = self._times.broken_off(
                    name, matches=matches, seconds=seconds, needed=needed
                )
                self._say(
                    f"the matches against {name} were broken off: {matches} of them take about "
                    f"{whole:.0f} s, more than evaluation.share allows; fewer are played from now "
                    "on, as many as fit"
                )
            return None

    def _evaluate(
        self,
        weights: Weights,
        name: str,
        update: int,
        elapsed_seconds: float,
        go_on: Callable[..., None],
        against: Weights | None,
        chooses: bool,
        matches: int,
    ) -> Strength:
        """Plays and stores the matches against one opponent; `go_on` may raise to stop them."""
        loaded: list[PyTree] = []
        facts = {"simulations": self._simulations, "elapsed_seconds": elapsed_seconds}
        begin = time.monotonic()
        try:
            player = self._player(weights, update, loaded, self._batch_size(name))
            if self.mistakes.due(update):
                self.mistakes.measure(
                    player,
                    update=update,
                    batch_size=self._batch_size(name),
                    facts=facts,
                    progress=go_on,
                )
            self.suite.measure(player, update=update, facts=facts)
            table = play_matches(
                self._components.game,
                player,
                self._opponent(name, against, loaded),
                num_matches=matches,
                seed=update,
                # Weights that were chosen by fixed openings would suit these above all.
                openings=None if chooses else self._openings,
                progress=go_on,
            )
        finally:
            for params in loaded:
                self._components.inference.release(params)
        summary: dict[str, Any] = {
            **table.to_dict(),
            "opponent": name,
            "update": update,
            "low": table.interval.low,
            "high": table.interval.high,
            **facts,
        }
        append_evaluation(
            self._run.store, summary, [dataclasses.asdict(match) for match in table.matches]
        )
        self._times.ended(name, matches=matches, seconds=time.monotonic() - begin)
        result = _strength(summary)
        # Of earlier checkpoints the one played last is shown. Replaced as a whole, because another
        # thread may be reading.
        earlier = name.startswith("@")
        kept = {
            other: one
            for other, one in self.results.items()
            if not (earlier and other.startswith("@"))
        }
        self.results = {**kept, name: result}
        return result

    def _batch_size(self, opponent: str) -> int:
        """Returns how many positions an agent searches at once against this opponent."""
        # In each ply each agent moves in half of the matches. Where fewer matches are played, their
        # number varies, which must not compile anew each time.
        matches = self._config.matches // (4 if self._times.is_slow(opponent) else 1)
        return max(1, matches // 2)

    def _fixed_opponent(self, name: str) -> Agent:
        return make_agent(name, self._components.game, batch_size=self._batch_size(name))

    def _opponent(self, name: str, weights: Weights | None, loaded: list[PyTree]) -> Agent:
        if name in self._opponents:
            if self._times.is_slow(name) and name not in self._slow_opponents:
                self._slow_opponents[name] = self._fixed_opponent(name)
            return self._slow_opponents.get(name, self._opponents[name])
        update = int(name.removeprefix("@"))
        if weights is None:
            weights = load_weights(self._run.checkpoints, update, self._components.network)
        return self._player(weights, update, loaded, self._batch_size(name))

    @property
    def _simulations(self) -> int:
        return self._components.config.search_for_matches().num_simulations

    def _player(
        self, weights: Weights, update: int, loaded: list[PyTree], batch_size: int
    ) -> SearchAgent:
        """Returns an agent with these weights; adds what it loaded to `loaded`."""
        params = self._components.inference.load(weights)
        loaded.append(params)
        if batch_size not in self._agents:
            self._agents[batch_size] = SearchAgent(
                "agent",
                self._components.game,
                self._components.evaluate,
                params,
                self._components.config.search_for_matches(),
                batch_size=batch_size,
            )
        return self._agents[batch_size].with_params(f"{self._run.path.name}@{update}", params)


def _strength(row: Mapping[str, Any]) -> Strength:
    return Strength(
        opponent=row["opponent"],
        score=row["score"],
        low=row["low"],
        high=row["high"],
        update=row["update"],
        matches=row["matches"],
    )
