"""Quick evaluation during training: short matches against fixed opponents."""

import dataclasses
from typing import Any

from selfplay.arena import Agent, SearchAgent, parse_agent, play_matches
from selfplay.networks import Weights
from selfplay.processes.parts import Parts
from selfplay.run import RunDirectory, append_evaluation, read_evaluations
from selfplay.telemetry import Strength


class StrengthMeter:
    """Plays one opponent at a time, in turn, and keeps the newest result against each."""

    def __init__(self, parts: Parts, run: RunDirectory) -> None:
        """Reads earlier results of the run, if any.

        Raises:
            ConfigError: an opponent in the settings is no agent.
        """
        self._parts = parts
        self._run = run
        self._config = parts.config.evaluation
        # Made now, so that a misspelt opponent is refused before anything is trained.
        self._opponents: dict[str, Agent] = {
            name: parse_agent(name, parts.game, batch_size=self._config.matches // 2)
            for name in (self._config.opponents if self._config.enabled else ())
        }
        self._agent: SearchAgent | None = None
        self._turn = 0
        self.results: dict[str, Strength] = {
            row["opponent"]: _strength(row) for row in read_evaluations(run.path)
        }

    def evaluate(self, weights: Weights, *, update: int, elapsed_seconds: float) -> Strength:
        """Plays the next opponent, stores the matches in the run and returns the result.

        Args:
            weights: of the player.
            update: the number of updates behind them; also the seed of the openings.
            elapsed_seconds: of training, for the record.
        """
        names = self._config.opponents
        name = names[self._turn % len(names)]
        self._turn += 1
        game = self._parts.game
        table = play_matches(
            game,
            self._player(weights, update),
            self._opponents[name],
            num_matches=self._config.matches,
            seed=update,
        )
        summary: dict[str, Any] = {
            **table.to_dict(),
            "opponent": name,
            "update": update,
            "low": table.interval.low,
            "high": table.interval.high,
            "simulations": self._simulations,
            "elapsed_seconds": elapsed_seconds,
        }
        append_evaluation(
            self._run.path, summary, [dataclasses.asdict(match) for match in table.matches]
        )
        self.results[name] = _strength(summary)
        return self.results[name]

    @property
    def _simulations(self) -> int:
        return self._config.simulations or self._parts.config.search.num_simulations

    def _player(self, weights: Weights, update: int) -> SearchAgent:
        if self._agent is None:
            self._agent = SearchAgent(
                "agent",
                self._parts.game,
                self._parts.evaluate,
                weights,
                self._parts.config.search.for_matches(self._simulations),
                # Each agent is to move in half of the matches.
                batch_size=self._config.matches // 2,
            )
        return self._agent.with_params(f"{self._run.path.name}@{update}", weights)


def _strength(row: dict[str, Any]) -> Strength:
    return Strength(
        opponent=row["opponent"],
        score=row["score"],
        low=row["low"],
        high=row["high"],
        update=row["update"],
        matches=row["matches"],
    )
