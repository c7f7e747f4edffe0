"""Before JAX starts: devices, caches, how much of a GPU each process takes, and who decides."""

import os
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest
from jaxlib import xla_client

from selfplay import startup
from selfplay.startup import ALONE_MEMORY, SHARED_MEMORY, cache_directory, cores_in_use, prepare


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


@pytest.mark.parametrize("share", [ALONE_MEMORY, SHARED_MEMORY])
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
    assert 2 * SHARED_MEMORY <= 0.8
    assert ALONE_MEMORY <= 0.8


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
    assert cores_in_use() == before


def devices_of(code: str, environ: dict[str, str]) -> list[int]:
    """Returns what a new process prints: at last, how many devices and cores are in use."""
    outside = {name: text for name, text in os.environ.items() if name != "NPROC"}
    found = subprocess.run(
        [
            sys.executable,
            "-c",
            "import jax\nfrom selfplay import startup\n"
            f"{code}\nprint(jax.local_device_count(), startup.cores_in_use())",
        ],
        env={**outside, "JAX_PLATFORMS": "cpu", **environ},
        capture_output=True,
        text=True,
        check=True,
    )
    return [int(text) for text in found.stdout.split()]


@pytest.mark.parametrize(
    ("code", "environ", "devices", "in_use"),
    [
        ("startup.prepare(cpu_devices=5)", {"JAX_NUM_CPU_DEVICES": "2"}, 5, 5),
        ("startup.prepare()", {"JAX_NUM_CPU_DEVICES": "3"}, 3, 3),
        ("startup.prepare()", {"OMP_NUM_THREADS": "1"}, 1, 1),
    ],
)
def test_who_decides_how_many_devices_there_are(
    code: str, environ: dict[str, str], devices: int, in_use: int
) -> None:
    assert devices_of(code, environ) == [devices, in_use]


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="threads are counted in /proc")
def test_xla_starts_as_many_threads_as_cores_may_be_used() -> None:
    """Whatever the machine has: a container with a quota sees all cores of its node."""
    say = "print(os.environ['NPROC'], len(os.listdir('/proc/self/task')))"
    code = f"import os\nstartup.prepare(cpu_devices=1)\njax.devices()\n{say}"
    wanted, few, *_ = devices_of(code, {})
    assert wanted == 1
    _, many, *_ = devices_of(code, {"NPROC": "40"})
    assert many - few >= 30


@pytest.fixture
def temporary(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Path]:
    """Returns the folder for temporary files."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    startup._temporary_directory.cache_clear()
    yield tmp_path
    startup._temporary_directory.cache_clear()


def test_a_home_that_cannot_be_written_is_done_without(
    monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    (temporary / "file").touch()
    for variable, place in (("XDG_CACHE_HOME", "file"), ("HOME", "file/home")):
        monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
        monkeypatch.setenv(variable, str(temporary / place))
        found = cache_directory()
        assert found == temporary / f"selfplay-{os.getuid()}"
        assert stat.S_IMODE(found.stat().st_mode) == 0o700
    monkeypatch.setenv("XDG_CACHE_HOME", str(temporary / "cache"))
    assert cache_directory() == temporary / "cache" / "selfplay"


def test_a_user_without_a_home_has_a_cache_too(
    monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    def refuse() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(Path, "home", refuse)
    assert cache_directory().parent == temporary


def test_a_folder_that_others_can_write_holds_no_programs(
    monkeypatch: pytest.MonkeyPatch, temporary: Path
) -> None:
    (temporary / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(temporary / "file"))
    shared = temporary / f"selfplay-{os.getuid()}"
    shared.mkdir()
    shared.chmod(0o777)
    found = cache_directory()
    assert found != shared
    assert found.parent == temporary
    assert stat.S_IMODE(found.stat().st_mode) == 0o700
    assert cache_directory() == found
