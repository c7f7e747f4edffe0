"""Turns what a person asks for into a `Fleet`."""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from selfplay.configuration import check_range
from selfplay.errors import ConfigError
from selfplay.fleet.checks import game_file
from selfplay.fleet.fleet import ROLES, Fleet, Role
from selfplay.fleet.record import absolute_run
from selfplay.run.names import split_checkpoint_name
from selfplay.settings import merged, read_settings, read_sources
from selfplay.version import software_version

_WORKERS_CHOOSE = ("search.inference", "rollout.matches_per_device", "rollout.plies_per_chunk")
_UNITS = {"": 1, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40}


def make_fleet(
    *,
    run: str,
    game: str | None,
    options: Sequence[str] = (),
    preset: str = "default",
    config: Path | None = None,
    settings: Sequence[str] = (),
    worker_settings: Sequence[str] = (),
    init_from: str | None = None,
    trainer_hosts: int = 1,
    workers: int,
    evaluators: int,
    reanalyzers: int = 0,
    cpus: Sequence[str] = (),
    gpus: Sequence[str] = (),
    memory: Sequence[str] = (),
    environ: Mapping[str, str] | None = None,
) -> Fleet:
    """Returns the fleet that was asked for; settings are checked here, before anything starts.

    Args:
        run: a path or a URL.
        game: as it was typed; None for that of the run.
        options: of the game.
        preset: of settings.
        config: a TOML file of settings.
        settings: as SECTION.KEY=VALUE.
        worker_settings: of the workers alone, likewise.
        init_from: "RUN[@UPDATE]".
        trainer_hosts: number of processes that train as one, each on a machine of its own where the
            engine has several.
        workers: number of workers, 0 or more.
        evaluators: number of evaluators.
        reanalyzers: number of reanalyzers.
        cpus: cores of each process of a role, as ROLE=N.
        gpus: GPUs, likewise; fractions share one.
        memory: bytes, likewise, such as worker=4G.
        environ: with settings as SELFPLAY_SECTION__KEY; by default that of this process.

    Raises:
        ConfigError: one of these is wrong.
    """
    counts = {"worker": workers, "evaluator": evaluators, "reanalyzer": reanalyzers}
    for name, count in counts.items():
        check_range(f"--{name}s", count, low=0)
    check_range("--trainer-hosts", trainer_hosts, low=1)
    counts["trainer"] = trainer_hosts
    sources = read_sources(preset=preset, file=config, environ=environ, overrides=settings)
    cores = {role: _whole("--cpus", text) for role, text in _by_role("--cpus", cpus).items()}
    cards = {role: _gpus(text) for role, text in _by_role("--gpus", gpus).items()}
    sizes = {role: parse_memory(text) for role, text in _by_role("--memory", memory).items()}
    if trainer_hosts > 1 and 0 < cards.get("trainer", 0) < 1:
        raise ConfigError(
            f"--gpus is trainer={cards['trainer']:g}, but processes that train as one cannot share "
            "a GPU",
            hint="give whole GPUs to each of them, such as --gpus trainer=1",
        )
    roles = {
        name: Role(
            name=name,
            count=counts[name],
            cpus=cores.get(name),
            gpus=cards.get(name, 0.0 if cards else None),
            memory=sizes.get(name),
        )
        for name in ROLES
    }
    return Fleet(
        run=absolute_run(run),
        game=None if game is None else _absolute_game(game),
        options=tuple(options),
        preset=preset,
        # The preset goes by its name, so that the run tells it from what was asked for.
        settings=_texts(merged(sources[1:])),
        worker_settings=_of_workers(worker_settings),
        init_from=None if init_from is None else _absolute_source(init_from),
        version=software_version(),
        **roles,
    )


def parse_memory(text: str) -> int:
    """Returns the bytes that "4G", "512M" or "4000000000" means; units are powers of 1,024.

    Raises:
        ConfigError: it means none.
    """
    found = re.fullmatch(r"(\d+(?:\.\d+)?)([KMGT]?)(?:i?B)?", text.strip(), re.IGNORECASE)
    size = 0 if found is None else int(float(found[1]) * _UNITS[found[2].upper()])
    if size < 1:
        raise ConfigError(
            f"--memory is {text!r}, but must be a size", hint="for example --memory worker=4G"
        )
    return size


def _by_role(option: str, texts: Sequence[str]) -> dict[str, str]:
    found = {}
    for text in texts:
        role, equals, value = text.partition("=")
        if not equals or role not in ROLES:
            raise ConfigError(
                f"{option} is {text!r}, but must be ROLE=N, where ROLE is one of: "
                f"{', '.join(ROLES)}",
                hint=f"for example {option} worker={'4G' if option == '--memory' else '2'}",
            )
        found[role] = value
    return found


def _whole(option: str, text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise ConfigError(f"{option} is {text!r}, but must be a whole number from 1 on")
    return int(text)


def _gpus(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < 1 and number != int(max(number, 0)):
        raise ConfigError(
            f"--gpus is {text!r}, but must be a whole number, or a share of one GPU below 1",
            hint="for example --gpus trainer=1, or --gpus worker=0.25",
        )
    return number


def _of_workers(texts: Sequence[str]) -> tuple[str, ...]:
    found = _texts(read_settings(environ={}, overrides=texts))
    for text in found:
        if text.partition("=")[0] not in _WORKERS_CHOOSE:
            raise ConfigError(
                f"--worker-set is {text!r}, but workers choose only {', '.join(_WORKERS_CHOOSE)}",
                hint="all other settings are those of the run: use --set",
            )
    return found


def _texts(settings: Mapping[str, Mapping[str, Any]]) -> tuple[str, ...]:
    """Returns settings as SECTION.KEY=VALUE."""
    return tuple(
        f"{section}.{key}={_text(value)}"
        for section, values in settings.items()
        for key, value in values.items()
    )


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return ",".join(value) if isinstance(value, tuple | list) else str(value)


def _absolute_game(game: str) -> str:
    """Returns a game with the absolute path of its file, if it is one."""
    parts = game_file(game)
    if parts is None:
        return game
    file = parts[0].expanduser()
    if not file.exists():
        # Here, because it brings JAX.
        from selfplay.run.game_files import find_game_file

        file = find_game_file(str(parts[0])) or file
    return f"{file.absolute()}{parts[1]}"


def _absolute_source(text: str) -> str:
    """Returns "RUN[@UPDATE]" with an absolute path, if it is one."""
    run, update = split_checkpoint_name(text)
    return absolute_run(run) + ("" if update is None else f"@{update}")
