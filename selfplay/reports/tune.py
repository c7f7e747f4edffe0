"""Finds the settings that make self-play fastest on this machine."""

import statistics
import time
from collections.abc import Callable
from typing import Any

import jax

from selfplay.errors import ConfigError
from selfplay.game import Game
from selfplay.networks import build_network
from selfplay.runtime.components import make_components
from selfplay.runtime.memory_plan import choose_matches, plan_memory
from selfplay.runtime.playing import Chunks
from selfplay.settings import Config
from selfplay.settings.choices import BACKENDS

MATCHES_PER_DEVICE = (16, 32, 64, 128, 256)
ACCELERATOR_MATCHES = (128, 256, 512, 1024, 2048, 4096)
_ROUNDS = 3


def tune(
    game: Game[Any],
    config: Config,
    *,
    seconds: float = 60.0,
    say: Callable[[str], None] = lambda text: None,
) -> dict[str, Any]:
    """Returns the fastest settings found and every rate measured.

    It tries first the inference backends, then numbers of matches on each device.
    Candidates take turns, so that other load on the machine affects them alike. Weights are fresh:
    trained ones give other rates, but nearly the same order.

    Keys: `game`, `settings` (section to key to value: what to put into a config file),
    `tried` (`inference`, `matches_per_device`, `simulations_per_second`), `times_default`.

    Args:
        game: the rules.
        config: the settings to start from.
        seconds: about how long to measure; compiling comes on top.
        say: shows what is being measured.
    """
    on_cpu = jax.default_backend() == "cpu"
    counts = MATCHES_PER_DEVICE if on_cpu else ACCELERATOR_MATCHES
    share = seconds / (_ROUNDS * (len(BACKENDS) + len(counts)))
    network = build_network(game, config.network, **dict.fromkeys(config.learner.extra_heads, True))
    usual = choose_matches(
        game, network, config.updated({"rollout": {"matches_per_device": 0}})
    ).count
    tried: list[dict[str, Any]] = []
    kinds = _compare(game, config, [(kind, usual) for kind in BACKENDS], share, say)
    tried += kinds
    kind = _fastest(kinds)["inference"]
    others = [(kind, count) for count in counts if count != usual]
    tried += _compare(game, config, others, share, say)
    best = _fastest(tried)
    today = make_components(game, config).inference.kind
    default = next(
        (
            row["simulations_per_second"]
            for row in tried
            if row["inference"] == today
            and row["matches_per_device"] == (config.rollout.matches_per_device or usual)
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
    """Returns the rate of each candidate that this machine can use."""
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
        components = make_components(game, config)
        plan_memory(game, components.network, config).check()
        self._weights = components.learner.place(components.network.init(key=jax.random.key(0)))
        self._chunks = Chunks(components, start_key=jax.random.key(1), play_key=jax.random.key(2))
        for _ in range(2):
            self._chunks.play(self._weights)
        self._chunks.calibrate()

    def rate(self, seconds: float) -> float:
        """Returns simulations per second."""
        begin = time.monotonic()
        simulations = 0
        while (passed := time.monotonic() - begin) < seconds or not simulations:
            # With weights loaded again, as in training.
            self._chunks.play(self._weights)
            simulations += self._chunks.simulations
        return simulations / passed
