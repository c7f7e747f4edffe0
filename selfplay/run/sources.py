"""Where settings come from, and which source wins.

default < preset < TOML file < environment (`SELFPLAY_SECTION__KEY`) < `section.key=value`
"""

import difflib
import os
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import tomli_w

from selfplay.errors import ConfigError
from selfplay.run.config import KEYS, Config, typed
from selfplay.run.presets import PRESETS
from selfplay.run.storage import atomic_write
from selfplay.run.values import not_a_setting, parse

Overlay = dict[str, dict[str, Any]]
"""Settings somebody asked for: section to key to value."""

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
    """Returns the settings asked for, and only those: what is laid over defaults or a stored run.

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
    if preset not in PRESETS:
        near = difflib.get_close_matches(preset, PRESETS, n=1)
        raise ConfigError(
            f"{preset!r} is not a preset",
            hint=f"did you mean {near[0]}?" if near else f"the presets are: {', '.join(PRESETS)}",
        )
    overlay: Overlay = {}
    _merge(overlay, PRESETS[preset])
    if file is not None:
        _merge(overlay, _read_file(file))
    _merge(overlay, _read_environment(os.environ if environ is None else environ))
    _merge(overlay, _read_overrides(overrides))
    return overlay


def write_settings(file: Path, settings: Overlay) -> None:
    """Writes a file that `read_settings` reads.

    Raises:
        StorageError: it cannot be written.
    """
    atomic_write(file, tomli_w.dumps(settings).encode())


def _merge(overlay: Overlay, above: Mapping[str, Mapping[str, Any]]) -> None:
    for section, values in above.items():
        overlay.setdefault(section, {}).update(values)


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
        return typed(settings)
    except ConfigError as error:
        raise ConfigError(f"{error} (in {file})", hint=error.hint) from None


def _read_environment(environ: Mapping[str, str]) -> Overlay:
    overlay: Overlay = {}
    for variable, text in sorted(environ.items()):
        if not variable.startswith(_ENVIRONMENT_PREFIX) or "__" not in variable:
            continue
        section, _, key = variable.removeprefix(_ENVIRONMENT_PREFIX).lower().partition("__")
        _set(overlay, f"{section}.{key}", text, source=f"the environment variable {variable}")
    return overlay


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
    section, _, key = name.partition(".")
    if section not in KEYS or key not in KEYS[section]:
        error = not_a_setting(name, KEYS)
        raise ConfigError(f"{error} ({source})", hint=error.hint)
    value = parse(name, text, KEYS[section][key], source=source)
    overlay.setdefault(section, {})[key] = value
