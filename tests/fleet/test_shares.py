"""Cores and GPUs of machines of every size."""

from pathlib import Path

import pytest

from selfplay.errors import ConfigError
from selfplay.fleet.engines.shares import check_memory, find_gpus, share_out
from selfplay.fleet.fleet import Fleet
from selfplay.fleet.request import make_fleet
from selfplay.machine import Cores


def fleet(workers: int, evaluators: int = 1, **asked) -> Fleet:
    whole = {"run": "/r", "game": "g", "environ": {}, **asked}
    return make_fleet(workers=workers, evaluators=evaluators, **whole)


def cpus_of(asked: Fleet, count: int) -> list[int]:
    shares = share_out(asked, Cores(count=count, reason="a test"), ())
    return [shares[one.name].cpus for one in asked.processes()]


@pytest.mark.parametrize(
    ("count", "workers", "expected"),
    [
        # Trainer, workers, evaluator.
        (1, 2, [1, 1, 1, 1]),
        (2, 1, [1, 1, 1]),
        (8, 2, [3, 2, 2, 1]),
        (96, 8, [15, *[10] * 8, 1]),
    ],
)
def test_cores_are_shared_out(count: int, workers: int, expected: list[int]) -> None:
    assert cpus_of(fleet(workers), count) == expected


def test_what_roles_ask_for_they_get() -> None:
    assert cpus_of(fleet(4, cpus=("worker=2", "evaluator=3")), 16) == [5, 2, 2, 2, 2, 3]
    # A reanalyzer gets as many as a worker.
    assert cpus_of(fleet(2, reanalyzers=2), 17) == [4, 3, 3, 1, 3, 3]
    with pytest.raises(ConfigError, match="ask for 20 cores, but there are 16: a test"):
        cpus_of(fleet(10, cpus=("worker=2",)), 16)


def test_one_process_presents_at_most_32_cores() -> None:
    asked = fleet(0, 0)
    share = share_out(asked, Cores(count=96, reason=""), ())["trainer"]
    assert share.cpus == 96 and share.options == ["--devices=32"]


def test_memory_that_is_not_there_is_refused() -> None:
    asked = fleet(2, 0, memory=("worker=3G", "trainer=1G"))
    check_memory(asked, 7 * 2**30)
    check_memory(asked, None)
    with pytest.raises(ConfigError, match=r"ask for 7\.5 GB of memory, but there are 6\.4 GB"):
        check_memory(asked, 6 * 2**30)


def test_the_trainer_gets_the_gpus_unless_others_ask() -> None:
    cores = Cores(count=8, reason="")
    shares = share_out(fleet(1), cores, ("0", "1"))
    trainer, worker = (
        shares[name].environment({}, gpus_here=True) for name in ("trainer", "worker-1")
    )
    assert trainer["CUDA_VISIBLE_DEVICES"] == "0,1" and "JAX_PLATFORMS" not in trainer
    assert worker["CUDA_VISIBLE_DEVICES"] == "" and worker["JAX_PLATFORMS"] == "cpu"
    # Without GPUs nothing is said about them.
    assert set(shares["worker-1"].environment({}, gpus_here=False)) == {"OMP_NUM_THREADS"}


def test_fractions_share_a_gpu_and_its_memory() -> None:
    asked = fleet(2, 0, gpus=("trainer=1", "worker=0.5"))
    shares = share_out(asked, Cores(count=8, reason=""), ("0", "1"))
    assert [shares[name].gpu_ids for name in ("trainer", "worker-1", "worker-2")] == [
        ("0",), ("1",), ("1",),
    ]  # fmt: skip
    variables = shares["worker-1"].environment({}, gpus_here=True)
    assert variables["XLA_CLIENT_MEM_FRACTION"] == "0.45"
    with pytest.raises(ConfigError, match="ask for 2 GPUs, but there are 1"):
        share_out(asked, Cores(count=8, reason=""), ("0",))


def test_the_processes_of_a_trainer_get_equal_shares() -> None:
    asked = fleet(1, 0, trainer_hosts=2)
    assert cpus_of(asked, 8) == [3, 3, 2]
    # What cannot be divided is left over.
    assert cpus_of(asked, 10) == [3, 3, 3]
    cores = Cores(count=8, reason="")
    shares = share_out(asked, cores, ("0", "1", "2", "3", "4"))
    assert [shares[name].gpu_ids for name in ("trainer", "trainer-1", "worker-1")] == [
        ("0", "1"), ("2", "3"), (),
    ]  # fmt: skip
    with pytest.raises(ConfigError, match="--trainer-hosts is 2, but there are 1 GPUs") as caught:
        share_out(asked, cores, ("0",))
    assert caught.value.hint


def test_gpus_are_found_without_jax(tmp_path: Path) -> None:
    for name in ("nvidia0", "nvidia10", "nvidia2", "nvidiactl", "nvidia-uvm"):
        (tmp_path / name).touch()
    assert find_gpus({}, tmp_path) == ("0", "2", "10")
    assert find_gpus({"CUDA_VISIBLE_DEVICES": "GPU-a, 3"}, tmp_path) == ("GPU-a", "3")
    assert find_gpus({"CUDA_VISIBLE_DEVICES": "-1"}, tmp_path) == ()
    assert find_gpus({"JAX_PLATFORMS": "cpu"}, tmp_path) == ()
    assert find_gpus({"JAX_PLATFORMS": "cuda,cpu"}, tmp_path) == ("0", "2", "10")
