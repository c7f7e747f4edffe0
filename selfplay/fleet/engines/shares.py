"""How the cores and GPUs of one machine are shared out between the processes of a fleet."""

import dataclasses
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path

from selfplay.errors import ConfigError
from selfplay.fleet.fleet import Fleet, Process
from selfplay.machine import MOST_DEVICES, Cores

_GPU_MEMORY = 0.9
"""Share of a GPU's memory that processes divide between them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Share:
    """What one process gets.

    Attributes:
        cpus: cores, at least 1.
        gpu_ids: the GPUs it sees, as in CUDA_VISIBLE_DEVICES.
        gpu_memory: share of their memory, in (0, 1]; None if they are its own.
    """

    cpus: int
    gpu_ids: tuple[str, ...] = ()
    gpu_memory: float | None = None

    @property
    def options(self) -> list[str]:
        """The options that tell a process of selfplay how many cores to use."""
        return [f"--devices={min(self.cpus, MOST_DEVICES)}"]

    def environment(self, environ: Mapping[str, str], *, gpus_here: bool) -> dict[str, str]:
        """Returns the variables that limit a process to its share.

        Args:
            environ: of the launcher.
            gpus_here: whether the machine has GPUs.
        """
        found = {"OMP_NUM_THREADS": str(self.cpus)}
        if not gpus_here:
            return found
        found["CUDA_VISIBLE_DEVICES"] = ",".join(self.gpu_ids)
        if not self.gpu_ids:
            found["JAX_PLATFORMS"] = "cpu"
        elif self.gpu_memory is not None and not environ.get("XLA_CLIENT_MEM_FRACTION"):
            found["XLA_CLIENT_MEM_FRACTION"] = f"{self.gpu_memory:.3g}"
        return found


def share_out(fleet: Fleet, cores: Cores, gpus: tuple[str, ...]) -> dict[str, Share]:
    """Returns the share of each process, by name.

    An evaluator gets one core. The rest is divided equally between the other processes, and the
    trainer gets what is left over. Each process gets at least one core, also if there are
    more processes than cores. The trainer gets all GPUs unless roles ask for some. The processes of
    a trainer of several get equal shares, because JAX needs that.

    Args:
        fleet: what runs.
        cores: of this machine.
        gpus: ids of its GPUs.

    Raises:
        ConfigError: roles ask for more cores or GPUs than there are.
    """
    _check_cpus(fleet, cores)
    processes = fleet.processes()
    asked = sum((one.role.cpus or 0) for one in processes)
    open_ = [one for one in processes if one.role.cpus is None]
    left = cores.count - asked - sum(one.role.name == "evaluator" for one in open_)
    sharers = [one for one in open_ if one.role.name != "evaluator"]
    each = max(1, left // len(sharers)) if sharers else 0
    spare = max(0, left - each * len(sharers))
    placed = _place_gpus(fleet, gpus)
    shares = {}
    for one in processes:
        cpus = one.role.cpus
        if cpus is None:
            cpus = 1 if one.role.name == "evaluator" else each
            cpus += spare // one.role.count if one.role.name == "trainer" else 0
        ids, memory = placed.get(one.name, ((), None))
        shares[one.name] = Share(cpus=cpus, gpu_ids=ids, gpu_memory=memory)
    return shares


def check_memory(fleet: Fleet, there: int | None) -> None:
    """Raises `ConfigError` if the roles ask for more memory than there is.

    Args:
        fleet: what runs.
        there: bytes of this machine; None if they are not known.
    """
    asked = sum(one.role.memory or 0 for one in fleet.processes())
    if there is not None and asked > there:
        raise ConfigError(
            f"the processes ask for {asked / 1e9:.1f} GB of memory, but there are "
            f"{there / 1e9:.1f} GB",
            hint="lower --memory or --workers",
        )


def find_gpus(environ: Mapping[str, str], devices: Path = Path("/dev")) -> tuple[str, ...]:
    """Returns the ids of this machine's NVIDIA GPUs, as in CUDA_VISIBLE_DEVICES.

    Args:
        environ: of this process; CUDA_VISIBLE_DEVICES and a JAX_PLATFORMS without GPUs limit them.
        devices: where device files lie.
    """
    platforms = environ.get("JAX_PLATFORMS", "")
    if platforms and not {"cuda", "gpu"} & set(platforms.split(",")):
        return ()
    visible = environ.get("CUDA_VISIBLE_DEVICES")
    if visible is not None:
        listed = [word.strip() for word in visible.split(",")]
        return tuple(word for word in listed if word and not word.startswith("-"))
    files = [file for file in devices.glob("nvidia[0-9]*") if file.name[6:].isdecimal()]
    if files:
        return tuple(sorted((file.name[6:] for file in files), key=int))
    return _listed_by_driver()


def _listed_by_driver() -> tuple[str, ...]:
    """Returns the GPUs that nvidia-smi lists, as under WSL, which has no device files."""
    if not os.path.exists("/dev/dxg"):
        return ()
    try:
        done = subprocess.run(
            ["nvidia-smi", "--query-gpu=index", "--format=csv,noheader"],
            capture_output=True,
            text=True,
            check=False,
            timeout=10,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ()
    return tuple(line.strip() for line in done.stdout.splitlines() if line.strip().isdecimal())


def _check_cpus(fleet: Fleet, cores: Cores) -> None:
    asked = sum((one.role.cpus or 0) for one in fleet.processes())
    if asked > cores.count:
        raise ConfigError(
            f"the processes ask for {asked} cores, but there are {cores.count}: {cores.reason}",
            hint="lower --cpus or --workers, or leave out --cpus to share out what there is",
        )


def _place_gpus(
    fleet: Fleet, gpus: tuple[str, ...]
) -> dict[str, tuple[tuple[str, ...], float | None]]:
    """Returns the GPUs of each process that gets some, and its share of their memory."""
    if all(role.gpus is None for role in fleet.roles):
        return _divided(fleet, gpus) if gpus else {}
    wanted = [(one, one.role.gpus) for one in fleet.processes() if one.role.gpus]
    free = dict.fromkeys(gpus, 1.0)
    placed: dict[str, tuple[tuple[str, ...], float | None]] = {}
    # Whole ones first, so that fractions do not break up what another process needs in one piece.
    for one, number in sorted(wanted, key=_by_size):
        fits = [gpu for gpu, left in free.items() if left >= min(number, 1.0) - 1e-9]
        count = 1 if number < 1 else int(number)
        if len(fits) < count:
            total = sum(number for _, number in wanted)
            raise ConfigError(
                f"the processes ask for {total:g} GPUs, but there are {len(gpus)}",
                hint="lower --gpus; a fraction such as --gpus worker=0.2 shares one GPU",
            )
        for gpu in fits[:count]:
            free[gpu] -= min(number, 1.0)
        placed[one.name] = (tuple(fits[:count]), _GPU_MEMORY * number if number < 1 else None)
    return placed


def _divided(
    fleet: Fleet, gpus: tuple[str, ...]
) -> dict[str, tuple[tuple[str, ...], float | None]]:
    """Returns all GPUs for the trainer; of a trainer of several, each process gets as many."""
    hosts = [one for one in fleet.processes() if one.role is fleet.trainer]
    each = len(gpus) // len(hosts)
    if each == 0:
        raise ConfigError(
            f"--trainer-hosts is {len(hosts)}, but there are {len(gpus)} GPUs to divide",
            hint="lower --trainer-hosts, or train on the cores: JAX_PLATFORMS=cpu",
        )
    return {one.name: (gpus[one.index * each :][:each], None) for one in hosts}


def _by_size(wanted: tuple[Process, float]) -> float:
    return -wanted[1]
