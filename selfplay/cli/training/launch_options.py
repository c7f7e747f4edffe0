"""Options of `selfplay launch`: the size of the fleet, and what only some engines understand."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from selfplay.cli.option_groups import OptionGroup

if TYPE_CHECKING:
    from selfplay.fleet.backends import LaunchOptions

_Texts = list[str] | None


def _role_option(name: str, metavar: str, text: str) -> Any:
    return typer.Option(name, metavar=f"ROLE={metavar}", help=text, show_default=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResourceOptions(OptionGroup):
    """The size of the fleet and of its processes."""

    trainer_hosts: Annotated[
        int,
        typer.Option(
            "--trainer-hosts",
            metavar="N",
            help="Number of processes that train as one, each on a host of its own where there are "
            "several.",
        ),
    ] = 1
    workers: Annotated[
        int,
        typer.Option("--workers", metavar="N", help="Number of workers."),
    ] = 1
    evaluators: Annotated[
        int,
        typer.Option("--evaluators", metavar="N", help="Number of evaluators."),
    ] = 1
    reanalyzers: Annotated[
        int,
        typer.Option(
            "--reanalyzers",
            metavar="N",
            help="Number of reanalyzers, which search stored matches again for newer targets.",
        ),
    ] = 0
    cpus: Annotated[
        _Texts,
        _role_option(
            "--cpus",
            "N",
            "Cores of each trainer, worker, evaluator or reanalyzer. May be repeated.",
        ),
    ] = None
    gpus: Annotated[
        _Texts,
        _role_option("--gpus", "N", "GPUs, likewise; a fraction shares one GPU."),
    ] = None
    memory: Annotated[
        _Texts, _role_option("--memory", "SIZE", "Memory, likewise, such as worker=4G.")
    ] = None
    worker_settings: Annotated[
        _Texts,
        typer.Option(
            "--worker-set",
            metavar="SECTION.KEY=VALUE",
            help="A setting of the workers alone: search.inference, rollout.matches_per_device or "
            "rollout.plies_per_chunk. May be repeated.",
            show_default=False,
        ),
    ] = None


@dataclasses.dataclass(frozen=True, kw_only=True)
class EngineOptions(OptionGroup):
    """What only some engines understand; the names are those of `LaunchOptions`."""

    detach: Annotated[
        bool,
        typer.Option("--detach", help="Leave the fleet running in the background (local, ray)."),
    ] = False
    logs: Annotated[
        Path | None,
        typer.Option(
            "--logs",
            metavar="DIR",
            help="Folder for the logs of the processes (local, slurm).",
            show_default=False,
        ),
    ] = None
    max_restarts: Annotated[
        int,
        typer.Option(
            "--max-restarts",
            metavar="N",
            help="Give a process up after so many failures in a row (local, ray).",
        ),
    ] = 5
    max_cost: Annotated[
        float | None,
        typer.Option(
            "--max-cost",
            metavar="PRICE",
            help="End the fleet when the run has cost so much; prices: cost.* (local, ray).",
            show_default=False,
        ),
    ] = None

    address: Annotated[
        str,
        typer.Option(
            "--address",
            metavar="ADDRESS",
            help="Of the cluster; by default RAY_ADDRESS, or a cluster on this machine (ray).",
            show_default=False,
        ),
    ] = ""
    pending: Annotated[
        bool,
        typer.Option("--pending", help="Start also if processes have to wait for new nodes (ray)."),
    ] = False
    shared: Annotated[
        bool,
        typer.Option("--shared", help="Every node sees the directory of the run (slurm)."),
    ] = False
    sbatch: Annotated[
        _Texts,
        typer.Option(
            "--sbatch",
            metavar="OPTION",
            help="An option of sbatch, such as --sbatch=--partition=long. May be repeated (slurm).",
            show_default=False,
        ),
    ] = None

    namespace: Annotated[
        str,
        typer.Option("--namespace", metavar="NAME", help="Of the objects (kubernetes)."),
    ] = "selfplay"
    image: Annotated[
        str,
        typer.Option(
            "--image",
            metavar="IMAGE",
            help="Image of all but the trainer, such as registry/selfplay:1 (kubernetes).",
            show_default=False,
        ),
    ] = ""
    trainer_image: Annotated[
        str,
        typer.Option(
            "--trainer-image",
            metavar="IMAGE",
            help="Image of the trainer and TensorBoard (kubernetes).",
            show_default=False,
        ),
    ] = ""
    storage_class: Annotated[
        str,
        typer.Option(
            "--storage-class",
            metavar="NAME",
            help="Of the volume for a run in /runs; its nodes share it (kubernetes).",
            show_default=False,
        ),
    ] = ""
    max_workers: Annotated[
        int | None,
        typer.Option(
            "--max-workers",
            metavar="N",
            help="Scale the workers from --workers up to this number (kubernetes).",
            show_default=False,
        ),
    ] = None
    components: Annotated[
        _Texts,
        typer.Option(
            "--with",
            metavar="PART",
            help="monitoring: add Prometheus and Grafana; backlog: scale workers by the backlog of "
            "the run, with KEDA. May be repeated (kubernetes).",
            show_default=False,
        ),
    ] = None

    def launch_options(self, on: str, takes: frozenset[str]) -> "LaunchOptions":
        """Returns the options for an engine.

        Args:
            on: its name.
            takes: the options it understands.

        Raises:
            ConfigError: one was given that it does not understand.
        """
        from selfplay.configuration import check_choice, check_range
        from selfplay.errors import ConfigError
        from selfplay.fleet.backends import BACKENDS, LaunchOptions, make_backend

        values: dict[str, Any] = {}
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            if value == field.default:
                continue
            if field.name == "max_cost":
                check_range("--max-cost", value, above=0)
            if field.name == "components":
                for part in value:
                    check_choice("--with", part, ("monitoring", "backlog"))
            if field.name not in takes:
                others = [name for name in BACKENDS if field.name in make_backend(name).takes]
                raise ConfigError(
                    f"{_option_of(field.name)} means nothing on {on}",
                    hint=f"it is for --on {' or '.join(others)}",
                )
            values[field.name] = tuple(value) if isinstance(value, list) else value
        return LaunchOptions(**values)


def _option_of(name: str) -> str:
    return "--with" if name == "components" else f"--{name.replace('_', '-')}"
