"""The doctor names what holds a machine back, and nothing else."""

from typing import Any

import pytest

from selfplay.reports import doctor
from selfplay.reports.doctor import problems

HEALTHY: dict[str, Any] = {
    "onnxruntime": True,
    "backend": "cpu",
    "devices": [{}, {}],
    "accelerators": [],
    "cores": 2,
    "cores_reason": "this machine has 2",
    "device_cores": 2,
    "device_reason": "this machine has 2",
    "cpu_quota": None,
    "load": 0.0,
    "speed_up": 1.9,
    "memory_available_bytes": 8e9,
    "disk_free_bytes": 1e11,
    "compilation_cache": {"directory": "/cache", "writable": True},
    "processes": [],
}


def test_the_gpu_of_a_mac_is_said_not_to_be_used(monkeypatch: pytest.MonkeyPatch) -> None:
    assert doctor._accelerator_note() == ""
    monkeypatch.setattr("platform.system", lambda: "Darwin")
    monkeypatch.setattr("platform.machine", lambda: "arm64")
    assert "MPS) is not used" in doctor._accelerator_note()


def test_a_healthy_machine_has_no_problems() -> None:
    assert problems(HEALTHY) == []
    on_gpu = {"backend": "gpu", "devices": [{}], "accelerators": ["H100"], "onnxruntime": False}
    assert problems({**HEALTHY, **on_gpu}) == []


@pytest.mark.parametrize(
    ("change", "message", "hint"),
    [
        ({"accelerators": ["NVIDIA H100"]}, "NVIDIA H100 is there", "selfplay-jax[cuda12]"),
        ({"devices": [{}], "speed_up": 1.0}, "2 CPU devices would pay, but JAX has 1", "XLA_FLAGS"),
        (
            {"cores": 1, "device_cores": 1, "cores_reason": "its control group allows 1 CPUs"},
            "JAX has 2 CPU devices, but its control group allows 1 CPUs",
            "JAX_NUM_CPU_DEVICES",
        ),
        (
            {"cores_reason": "OMP_NUM_THREADS is 2"},
            "OMP_NUM_THREADS is 2, so no more cores are used",
            "--devices",
        ),
        ({"onnxruntime": False}, "ONNX Runtime is not installed", "selfplay-jax[onnx]"),
        ({"speed_up": 1.0}, "only 1.0 times as fast as one", "something else"),
        ({"memory_available_bytes": 1e9}, "only 1.0 GB of memory", "replay.max_window"),
        ({"disk_free_bytes": 1e8}, "only 0.1 GB are free", "--run"),
        (
            {"compilation_cache": {"directory": "/x", "writable": False}},
            "cannot be kept in /x",
            "JAX_COMPILATION_CACHE_DIR",
        ),
        (
            {
                "processes": [
                    {"role": "worker", "id": "a", "compile_problem": ""},
                    {"role": "trainer", "id": "loop", "compile_problem": "it compiles"},
                ]
            },
            "trainer loop: it compiles",
            "must keep its shapes",
        ),
    ],
)
def test_a_problem_is_named_with_what_to_do(
    change: dict[str, Any], message: str, hint: str
) -> None:
    (problem,) = problems({**HEALTHY, **change})
    assert message in problem["message"]
    assert hint in problem["hint"]
