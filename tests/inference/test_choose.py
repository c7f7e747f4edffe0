"""Which way of computing the network is taken, and what is said when it cannot be."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pytest

from selfplay.errors import ConfigError
from selfplay.game import Game
from selfplay.inference import (
    Backend,
    Inference,
    Obstacle,
    Traits,
    XlaInference,
    choose,
    make_inference,
    onnx_backend,
)
from selfplay.networks import Network
from selfplay.registry import make
from selfplay.runtime.components import make_components
from selfplay.settings import Config
from selfplay.settings.choices import BACKENDS, implementation
from selfplay.settings.sections import NetworkConfig, SearchConfig
from tests.inference.networks import network_for

GAME = make("connect_four")
LARGE = NetworkConfig(blocks=2, channels=32)
RATES = {"xla": 100.0, "onnx": 150.0, "onnx-int8": 400.0}


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Gives a cache directory of the test's own, and known speeds."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(choose, "measure", lambda network, config: dict(RATES))
    return tmp_path / "selfplay" / "inference.json"


def chosen(config: NetworkConfig, kind: str = "auto") -> str:
    return make_inference(GAME, network_for(config), config, kind).kind


@pytest.mark.parametrize("kind", ["xla", "onnx", "onnx-int8"])
def test_what_is_asked_for_is_taken(kind: str) -> None:
    assert chosen(LARGE, kind) == kind


def test_auto_measures_once_and_remembers(cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert chosen(LARGE) == "onnx-int8"
    assert list(json.loads(cache.read_text()).values()) == [RATES]

    def again(*_: object) -> dict[str, float]:
        raise AssertionError

    monkeypatch.setattr(choose, "measure", again)
    assert chosen(LARGE) == "onnx-int8"
    with pytest.raises(AssertionError):
        chosen(NetworkConfig(blocks=3, channels=32))


@pytest.mark.parametrize(
    ("onnx", "int8", "kind"), [(110.0, 90.0, "xla"), (150.0, 90.0, "onnx"), (110.0, 114.0, "xla")]
)
def test_auto_wants_a_clear_gain(
    onnx: float, int8: float, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    rates = {"xla": 100.0, "onnx": onnx, "onnx-int8": int8}
    monkeypatch.setattr(choose, "measure", lambda network, config: rates)
    assert chosen(LARGE) == kind


def test_auto_leaves_small_networks_to_xla(cache: Path) -> None:
    assert chosen(NetworkConfig(blocks=1, channels=4)) == "xla"
    assert not cache.exists()


@pytest.mark.parametrize("content", ["", "[]", "{", '{"x": {"xla": "fast"}}'])
def test_a_damaged_memory_costs_a_measurement(cache: Path, content: str) -> None:
    cache.parent.mkdir(parents=True)
    cache.write_text(content)
    assert chosen(LARGE) == "onnx-int8"
    assert chosen(LARGE) == "onnx-int8"


def test_without_onnx_runtime(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_backend, "_PACKAGES", ("no_such_package",))
    assert chosen(LARGE) == "xla"
    with pytest.raises(ConfigError, match="'onnx', but ONNX Runtime is not installed") as caught:
        chosen(LARGE, "onnx")
    assert 'pip install "selfplay-jax[onnx]"' in caught.value.hint


def test_modules_of_the_users_own_stay_in_xla() -> None:
    config = NetworkConfig(module="net.py:Own")
    network = network_for(LARGE)
    assert make_inference(GAME, network, config, "auto").kind == "xla"
    with pytest.raises(ConfigError, match="is a module of your own, which only XLA"):
        make_inference(GAME, network, config, "onnx-int8")


def test_multiplications_of_a_network() -> None:
    network = network_for(NetworkConfig(blocks=1, channels=8, global_pooling=False))
    # Two 3x3 convolutions of 8 channels on 42 cells are the larger half.
    assert choose.multiplications(network) > 42 * 2 * 9 * 8 * 8


def test_the_measurement_gives_a_rate_for_each_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    monkeypatch.setattr(choose, "_MEASURE_SECONDS", 0.001)
    config = NetworkConfig(blocks=1, channels=8)
    rates = choose.measure(network_for(config), config)
    assert set(rates) == {"xla", "onnx", "onnx-int8"}
    assert all(rate > 0 for rate in rates.values())


@pytest.mark.parametrize("name", sorted(BACKENDS))
def test_each_entry_is_a_backend(name: str) -> None:
    backend = implementation(BACKENDS, name)
    assert isinstance(backend, Backend)
    inference = make_inference(GAME, network_for(LARGE), LARGE, name)
    assert (inference.kind, inference.traits) == (name, backend.traits)


class MadeUp(XlaInference):
    """XLA by another name, which says that it remembers positions."""

    kind = "made-up"
    traits = Traits(remembers=True)


class MadeUpBackend(Backend):
    """A backend that cannot compute modules of the user's."""

    traits = MadeUp.traits

    def obstacle(self, config: NetworkConfig) -> Obstacle | None:
        return Obstacle("that is a module", "use another") if config.module else None

    def make(self, game: Game[Any], network: Network, config: NetworkConfig) -> Inference:
        return MadeUp(game, network)

    def trial(self, *_: object) -> Callable[[], object]:
        return lambda: None


def test_an_entry_is_all_that_another_backend_takes(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ConfigError, match=r"(?m)must be one of: auto, xla, onnx, onnx-int8$"):
        SearchConfig(inference="made-up")
    monkeypatch.setitem(BACKENDS, "made-up", MadeUpBackend())
    components = make_components(GAME, Config.from_dict({"search": {"inference": "made-up"}}))
    assert components.inference.kind == "made-up"
    # Because it remembers positions.
    assert components.player.config.plies_per_chunk == 32
    monkeypatch.setattr(choose, "measure", lambda *_: {**RATES, "made-up": 500.0})
    assert chosen(LARGE) == "made-up"
    own = NetworkConfig(module="net.py:Own")
    assert choose.usable_here("made-up", own) == ("auto", "that is a module")
    with pytest.raises(ConfigError, match="'made-up', but that is a module"):
        make_inference(GAME, network_for(LARGE), own, "made-up")


def test_who_does_not_calibrate_gets_no_integers() -> None:
    network = network_for(LARGE)
    assert make_inference(GAME, network, LARGE, "auto", calibrates=False).kind == "onnx"
    # Asked for, they compute in float32.
    assert make_inference(GAME, network, LARGE, "onnx-int8", calibrates=False).kind == "onnx-int8"


def test_what_a_run_names_is_used_where_it_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    for kind in ("auto", "xla", "onnx", "onnx-int8"):
        assert choose.usable_here(kind, LARGE) == (kind, "")
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    reason = "the network runs on gpu, where XLA is the way"
    assert choose.usable_here("onnx", LARGE) == ("auto", reason)
    assert choose.usable_here("xla", LARGE) == ("xla", "")
    assert chosen(LARGE) == "xla"
