"""Tuning: the fastest of what was measured is chosen, and can be used."""

from pathlib import Path

import pytest

from selfplay.errors import ConfigError
from selfplay.registry import make
from selfplay.reports import tune as module
from selfplay.reports.tune import tune
from selfplay.settings import Config, load_config, write_settings
from tests.training.runs import SETTINGS

GAME = make("tic_tac_toe")
CONFIG = Config.from_dict(SETTINGS).updated({"rollout": {"matches_per_device": 32}})
SPEED = {"xla": 1.0, "onnx": 2.0, "onnx-int8": 3.0}


class Fake:
    """Is faster with the kind, and fastest with 128 matches; has no ONNX Runtime in float."""

    def __init__(self, game: object, config: Config) -> None:
        if config.search.inference == "onnx":
            raise ConfigError("search.inference is 'onnx', but it is not here")
        self._config = config

    def rate(self, seconds: float) -> float:
        matches = self._config.rollout.matches_per_device
        return 1000 * SPEED[self._config.search.inference] / (1 + abs(matches - 128))


def test_the_fastest_kind_then_the_fastest_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_Candidate", Fake)
    said: list[str] = []
    found = tune(GAME, CONFIG, say=said.append)
    assert found["settings"] == {
        "search": {"inference": "onnx-int8"},
        "rollout": {"matches_per_device": 128},
    }
    assert [(row["inference"], row["matches_per_device"]) for row in found["tried"]] == [
        ("xla", 64),
        ("onnx-int8", 64),
        *(("onnx-int8", count) for count in (16, 32, 128, 256)),
    ]
    assert "left out: search.inference is 'onnx', but it is not here" in said
    # Of what was given, XLA with 32 matches, nothing was measured.
    assert found["times_default"] is None
    wide = CONFIG.updated({"rollout": {"matches_per_device": 64}})
    assert tune(GAME, wide)["times_default"] == pytest.approx(3 * 65)


def test_the_settings_can_be_written_and_used(tmp_path: Path) -> None:
    file = tmp_path / "fast.toml"
    write_settings(file, {"search": {"inference": "onnx"}, "rollout": {"matches_per_device": 128}})
    loaded = load_config(file=file, environ={})
    assert (loaded.search.inference, loaded.rollout.matches_per_device) == ("onnx", 128)


def test_a_candidate_plays(monkeypatch: pytest.MonkeyPatch) -> None:
    candidate = module._Candidate(
        GAME, CONFIG.updated({"rollout": {"matches_per_device": 4}, "search": {"inference": "xla"}})
    )
    assert candidate.rate(0.001) > 0
