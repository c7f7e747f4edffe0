"""Settings that fit the devices of the trainer."""

import pytest

from selfplay.settings import Config, Source, fitted, merged, read_sources


def settings(platform: str, *overrides: str, preset: str = "default") -> Config:
    sources = read_sources(preset=preset, environ={}, overrides=overrides)
    return Config.from_dict(merged(fitted(platform, sources)))


@pytest.mark.parametrize("platform", ["gpu", "tpu"])
def test_an_accelerator_learns_in_large_batches(platform: str) -> None:
    learner = settings(platform).learner
    assert (learner.batch_size, learner.learning_rate) == (1024, 4e-3)


def test_cpu_cores_learn_as_by_default() -> None:
    assert settings("cpu") == Config()


@pytest.mark.parametrize("asked", ["learner.batch_size=256", "learner.learning_rate=0.001"])
def test_what_is_asked_for_replaces_both(asked: str) -> None:
    assert settings("gpu", asked) == settings("cpu", asked)


def test_presets_have_batches_of_their_own() -> None:
    assert settings("gpu", preset="quick").learner.batch_size == 64
    assert settings("gpu", preset="large") == settings("cpu", preset="large")


def test_the_source_has_a_name() -> None:
    assert fitted("gpu", [Source("command line", {})])[0].name == "fitted to the gpu"
