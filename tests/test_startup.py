"""Before JAX starts: how much of a GPU each process takes, and who decides otherwise."""

import os
from collections.abc import Iterator

import jax
import pytest
from jaxlib import xla_client

from selfplay import startup
from selfplay.startup import LOOP_MEMORY, ROLE_MEMORY, prepare


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Removes what the caller's environment says of memory, and restores all of it afterwards."""
    # Started before `prepare` is called, the devices stay those of the other tests.
    jax.devices()
    least = jax.config.values["jax_persistent_cache_min_compile_time_secs"]
    for name in startup._MEMORY_VARIABLES:
        # Set first: what a test sets itself is then undone too.
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    yield
    jax.config.update("jax_persistent_cache_min_compile_time_secs", least)


def options() -> dict[str, object]:
    """Returns what JAX will ask of a GPU when it starts."""
    return dict(xla_client.generate_pjrt_gpu_plugin_options())


@pytest.mark.parametrize("share", [LOOP_MEMORY, ROLE_MEMORY])
def test_jax_will_take_the_share_that_was_asked_for(share: float) -> None:
    assert "memory_fraction" not in options()
    prepare(device_memory=share)
    assert options()["memory_fraction"] == share
    assert "preallocate" not in options()


def test_what_only_looks_takes_no_more_than_it_needs() -> None:
    prepare()
    assert options()["preallocate"] is False


def test_a_trainer_and_a_worker_fit_on_one_card() -> None:
    # With what each of them takes beside, and an evaluator that takes what it needs.
    assert 2 * ROLE_MEMORY <= 0.8
    assert LOOP_MEMORY <= 0.8


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("XLA_CLIENT_MEM_FRACTION", "0.2"),
        ("XLA_PYTHON_CLIENT_MEM_FRACTION", "0.2"),
        ("XLA_PYTHON_CLIENT_PREALLOCATE", "true"),
        ("XLA_PYTHON_CLIENT_ALLOCATOR", "platform"),
    ],
)
def test_what_the_user_has_set_stays(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(name, value)
    before = options()
    prepare(device_memory=0.4)
    prepare()
    assert options() == before
    assert {key for key in startup._MEMORY_VARIABLES if key in os.environ} == {name}


def test_devices_that_have_started_stay_as_they_are() -> None:
    before = jax.local_device_count()
    prepare(cpu_devices=before + 3)
    assert jax.local_device_count() == before
