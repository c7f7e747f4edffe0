"""Finds the settings that make self-play fastest on this machine."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

from selfplay.errors import ConfigError
from selfplay.game import Game
from selfplay.processes.parts import make_parts
from selfplay.processes.plan import plan_memory
from selfplay.run import Config

INFERENCES = ("xla", "onnx", "onnx-int8")
MATCHES_PER_DEVICE = (16, 32, 64, 128, 256)
_FIRST_MATCHES = 64
_ROUNDS = 3


def tune(
    game: Game[Any],
    config: Config,
    *,
    seconds: float = 60.0,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Returns the fastest settings found and every rate measured.

    First what computes the network, then how many matches are played side by side on each device.
    Candidates take turns, so that whatever else the machine does meets them alike. Weights are
    fresh: rates in training differ, their order hardly does.

    Keys: `game`, `settings` (section to key to value: what to put into a config file),
    `tried` (`inference`, `matches_per_device`, `simulations_per_second`), `times_default`.

    Args:
        game: the rules.
        config: the settings to start from.
        seconds: about how long to measure; compiling comes on top.
        say: is told what is going on.
    """
    share = seconds / (_ROUNDS * (len(INFERENCES) + len(MATCHES_PER_DEVICE)))
    tried: list[dict[str, Any]] = []
    kinds = _compare(game, config, [(kind, _FIRST_MATCHES) for kind in INFERENCES], share, say)
    tried += kinds
    kind = _fastest(kinds)["inference"]
    others = [(kind, count) for count in MATCHES_PER_DEVICE if count != _FIRST_MATCHES]
    tried += _compare(game, config, others, share, say)
    best = _fastest(tried)
    today = make_parts(game, config).inference.kind
    default = next(
        (
            row["simulations_per_second"]
            for row in tried
            if row["inference"] == today
            and row["matches_per_device"] == config.rollout.matches_per_device
        ),
        None,
    )
    return {
        "game": game.name,
        "settings": {
            "search": {"inference": best["inference"]},
            "rollout": {"matches_per_device": best["matches_per_device"]},
        },
        "times_default": best["simulations_per_second"] / default if default else None,
        "tried": tried,
    }


def _compare(
    game: Game[Any],
    config: Config,
    candidates: list[tuple[str, int]],
    seconds: float,
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Returns the rate of each candidate that can be used here."""
    players: dict[tuple[str, int], _Candidate] = {}
    for kind, count in candidates:
        settings = {"search": {"inference": kind}, "rollout": {"matches_per_device": count}}
        say(f"compiling {kind} with {count} matches a device")
        try:
            players[kind, count] = _Candidate(game, config.updated(settings))
        except ConfigError as error:
            say(f"left out: {error}")
    rates: dict[tuple[str, int], list[float]] = {name: [] for name in players}
    for _ in range(_ROUNDS):
        for name, player in players.items():
            rates[name].append(player.rate(seconds))
    return [
        {
            "inference": kind,
            "matches_per_device": count,
            "simulations_per_second": statistics.median(found),
        }
        for (kind, count), found in rates.items()
    ]


def _fastest(rows: list[dict[str, Any]]) -> dict[str, Any]:
    return max(rows, key=lambda row: row["simulations_per_second"])


class _Candidate:
    """Self-play under one choice of settings, compiled and calibrated."""

    def __init__(self, game: Game[Any], config: Config) -> None:
        self._parts = make_parts(game, config)
        plan_memory(game, self._parts.network, config).check()
        self._weights = self._parts.learner.place(self._parts.network.init(key=jax.random.key(0)))
        self._matches = self._parts.player.start(key=jax.random.key(1))
        self._chunks = 0
        self._chunk()
        self._chunk(calibrate=True)

    def _chunk(self, *, calibrate: bool = False) -> int:
        """Plays a chunk with weights loaded anew, as in training; returns its simulations."""
        inference, player = self._parts.inference, self._parts.player
        params = inference.load(self._weights)
        key = jax.random.fold_in(jax.random.key(2), self._chunks)
        self._matches, plies = player.play(params, self._matches, key=key)
        jax.device_get(plies)
        self._chunks += 1
        if calibrate:
            inference.calibrate(params)
        inference.release(params)
        return int(plies.actions.size) * self._parts.config.search.num_simulations

    def rate(self, seconds: float) -> float:
        """Returns simulations per second."""
        begin = time.monotonic()
        simulations = 0
        while (passed := time.monotonic() - begin) < seconds or not simulations:
            simulations += self._chunk()
        return simulations / passed
