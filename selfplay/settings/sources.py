"""Where settings come from, and which source wins.

default < preset < TOML file < environment (`SELFPLAY_SECTION__KEY`) < `section.key=value`
"""

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import tomli_w

from selfplay.errors import ConfigError
from selfplay.settings.config import KEYS, Config, typed
from selfplay.settings.presets import PRESETS
from selfplay.settings.renames import RENAMED, both_names, current_name, renamed_in
from selfplay.settings.values import not_a_setting, parse
from selfplay.store.files import atomic_write

Overlay = dict[str, dict[str, Any]]
"""The settings of one or more sources: section to key to value."""


class Source(NamedTuple):
    """A source of settings, such as "preset quick", and the settings in it."""

    name: str
    settings: Overlay


_ENVIRONMENT_PREFIX = "SELFPLAY_"


def load_config(
    *,
    preset: str = "default",
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
) -> Config:
    """Returns the config of a new run; see `read_settings` for the arguments.

    Raises:
        ConfigError: as there, or a value out of range.

    >>> load_config(preset="quick", environ={}, overrides=["trainer.updates=60"]).trainer.updates
    60
    """
    return Config.from_dict(
        read_settings(preset=preset, file=file, environ=environ, overrides=overrides)
    )


def read_settings(
    *,
    preset: str = "default",
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
) -> Overlay:
    """Returns the settings that a person gave, without defaults and stored ones.

    Args:
        preset: a name in `PRESETS`.
        file: a TOML file with a table per section.
        environ: environment variables; those of this process by default. Only names of the form
            SELFPLAY_SECTION__KEY are looked at.
        overrides: texts "section.key=value"; a list is separated by commas.

    Raises:
        ConfigError: an unknown preset, section or key, a value of the wrong type, or a file that
            is missing or is not TOML. Ranges are checked when a `Config` is made of it.
    """
    return merged(read_sources(preset=preset, file=file, environ=environ, overrides=overrides))


def read_sources(
    *,
    preset: str = "default",
    file: Path | None = None,
    environ: Mapping[str, str] | None = None,
    overrides: Sequence[str] = (),
) -> list[Source]:
    """Returns the settings of each source; later sources win. See `read_settings`."""
    if preset not in PRESETS:
        near = difflib.get_close_matches(preset, PRESETS, n=1)
        raise ConfigError(
            f"{preset!r} is not a preset",
            hint=f"did you mean {near[0]}?" if near else f"the presets are: {', '.join(PRESETS)}",
        )
    return [
        Source(f"preset {preset}", PRESETS[preset]),
        *([] if file is None else [Source(str(file), _read_file(file))]),
        Source("environment", _read_environment(os.environ if environ is None else environ)),
        Source("command line", _read_overrides(overrides)),
    ]


def merged(sources: Sequence[Source]) -> Overlay:
    """Returns the settings of all sources together; later sources win."""
    overlay: Overlay = {}
    for source in sources:
        for section, values in source.settings.items():
            overlay.setdefault(section, {}).update(values)
    return overlay


def changed_settings(
    config: Config, sources: Sequence[Source], *, stored: str
) -> dict[str, dict[str, Any]]:
    """Returns the settings that differ from the defaults, by the source they come from.

    Args:
        config: the settings in force.
        sources: as `read_sources` returns them.
        stored: the name for the source of all other settings.

    Returns:
        Source to "section.key" to value; `stored` comes first, sources without any are left out.
    """
    defaults = Config().to_dict()
    changed: dict[str, dict[str, Any]] = {name: {} for name in (stored, *(s.name for s in sources))}
    for section, values in config.to_dict().items():
        for key, value in values.items():
            if value != defaults[section][key]:
                asked = [s.name for s in sources if key in s.settings.get(section, {})]
                changed[(asked or [stored])[-1]][f"{section}.{key}"] = value
    return {name: values for name, values in changed.items() if values}


def write_settings(file: Path, settings: Overlay) -> None:
    """Writes a file that `read_settings` reads.

    Raises:
        StorageError: it cannot be written.
    """
    atomic_write(file, tomli_w.dumps(settings).encode())


def _read_file(file: Path) -> Overlay:
    try:
        settings = tomllib.loads(file.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"the config file {file} does not exist") from None
    except OSError as error:
        raise ConfigError(f"the config file {file} cannot be read: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"the config file {file} is not valid TOML: {error}",
            hint='settings look like this: [search] on one line, "num_simulations = 64" below',
        ) from None
    try:
        current = typed(settings)
    except ConfigError as error:
        raise ConfigError(f"{error} (in {file})", hint=error.hint) from None
    for name in renamed_in(settings):
        current_name(name, source=str(file))
    return current


def _read_environment(environ: Mapping[str, str]) -> Overlay:
    overlay: Overlay = {}
    for name, current in RENAMED.items():
        if {_variable(name), _variable(current)} <= set(environ):
            raise both_names(name)
    for variable, text in sorted(environ.items()):
        if not variable.startswith(_ENVIRONMENT_PREFIX) or "__" not in variable:
            continue
        section, _, key = variable.removeprefix(_ENVIRONMENT_PREFIX).lower().partition("__")
        _set(overlay, f"{section}.{key}", text, source=f"the environment variable {variable}")
    return overlay


def _variable(name: str) -> str:
    """Returns the environment variable of a setting."""
    return _ENVIRONMENT_PREFIX + name.upper().replace(".", "__")


def _read_overrides(overrides: Sequence[str]) -> Overlay:
    overlay: Overlay = {}
    for override in overrides:
        name, equals, text = override.partition("=")
        if not equals:
            raise ConfigError(
                f"{override!r} is not of the form section.key=value",
                hint="for example: search.num_simulations=64",
            )
        _set(overlay, name.strip(), text, source=f"--set {override}")
    return overlay


def _set(overlay: Overlay, name: str, text: str, *, source: str) -> None:
    name = current_name(name, source=source)
    section, _, key = name.partition(".")
    if section not in KEYS or key not in KEYS[section]:
        error = not_a_setting(name, KEYS)
        raise ConfigError(f"{error} ({source})", hint=error.hint)
    value = parse(name, text, KEYS[section][key], source=source)
    overlay.setdefault(section, {})[key] = value
