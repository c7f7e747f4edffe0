"""Where settings come from: default < preset < file < environment < flag."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from selfplay.errors import ConfigError
from selfplay.settings import (
    PRESETS,
    Config,
    changed_settings,
    load_config,
    merged,
    read_settings,
    read_sources,
)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.toml"
    path.write_text("[search]\nnum_simulations = 20\n")
    return path


VARIABLE = {"SELFPLAY_SEARCH__NUM_SIMULATIONS": "30"}
FLAG = ("search.num_simulations=40",)


def test_precedence(file: Path) -> None:
    def simulations(config: Config) -> int:
        return config.search.num_simulations

    assert simulations(load_config(environ={})) == 32
    assert simulations(load_config(environ={}, preset="quick")) == 8
    assert simulations(load_config(environ={}, preset="quick", file=file)) == 20
    assert simulations(load_config(environ=VARIABLE, preset="quick", file=file)) == 30
    everything = load_config(environ=VARIABLE, preset="quick", file=file, overrides=FLAG)
    assert simulations(everything) == 40
    # What the higher sources leave alone comes from the lower ones.
    assert everything.search.max_considered_actions == 4
    assert everything.search.temperature == 1.0


def test_every_setting_knows_its_source(file: Path) -> None:
    stored = {"learner": {"batch_size": 99}, "network": {"channels": 5}}
    sources = read_sources(
        environ={"SELFPLAY_TRAINER__SEED": "4"},
        preset="quick",
        file=file,
        overrides=["trainer.replay_ratio=2", "trainer.keep_checkpoints=10"],
    )
    config = Config.from_dict(stored).updated(merged(sources))
    # A value that is the default is none of them, whoever asked for it.
    assert changed_settings(config, sources, stored="run.toml") == {
        "preset quick": {
            name: value
            for section, values in PRESETS["quick"].items()
            for key, value in values.items()
            if (name := f"{section}.{key}") != "search.num_simulations"
        }
        | {"evaluation.opponents": ["random"]},
        str(file): {"search.num_simulations": 20},
        "environment": {"trainer.seed": 4},
        "command line": {"trainer.replay_ratio": 2.0},
    }
    left = changed_settings(Config.from_dict(stored), read_sources(environ={}), stored="run.toml")
    assert left == {"run.toml": {"network.channels": 5, "learner.batch_size": 99}}
    assert changed_settings(Config(), sources, stored="run.toml") == {}


def test_the_environment_of_the_process_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SELFPLAY_TRAINER__SEED", "5")
    assert load_config().trainer.seed == 5


def test_other_variables_are_left_alone() -> None:
    assert read_settings(environ={"SELFPLAY_CACHE": "x", "A__B": "y", "SELFPLAY_HOST": "z"}) == {}


def test_only_what_was_asked_for_is_returned(file: Path) -> None:
    asked = read_settings(environ=VARIABLE, file=file, overrides=["trainer.seed=1"])
    assert asked == {"search": {"num_simulations": 30}, "trainer": {"seed": 1}}


def test_texts_become_values() -> None:
    config = load_config(
        environ={"SELFPLAY_LEARNER__SYMMETRIES": "False", "SELFPLAY_TRAINER__REPLAY_RATIO": "2"},
        overrides=[
            "evaluation.opponents = random, mcts:50",
            "replay.max_window=1_000_000",
            "network.module=my=file.py:Net",
        ],
    )
    assert config.learner.symmetries is False
    assert config.trainer.replay_ratio == 2.0
    assert config.evaluation.opponents == ("random", "mcts:50")
    assert config.replay.max_window == 1_000_000
    assert config.network.module == "my=file.py:Net"


@pytest.mark.parametrize(
    ("overrides", "message", "hint"),
    [
        (
            ["search.num_simulation=8"],
            "search.num_simulation is not a setting (--set search.num_simulation=8)",
            "did you mean search.num_simulations?",
        ),
        (
            ["search.num_simulations"],
            "'search.num_simulations' is not of the form section.key=value",
            "for example: search.num_simulations=64",
        ),
        (
            ["search.num_simulations=many"],
            "search.num_simulations is 'many', but must be a whole number",
            "it was set by --set search.num_simulations=many",
        ),
        (
            ["learner.symmetries=1"],
            "learner.symmetries is '1', but must be true or false",
            "it was set by --set learner.symmetries=1",
        ),
        (
            ["trainer.replay_ratio=nan"],
            "trainer.replay_ratio is 'nan', but must be a finite number",
            "it was set by --set trainer.replay_ratio=nan",
        ),
    ],
)
def test_bad_flags(overrides: Sequence[str], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(environ={}, overrides=overrides)
    assert (str(caught.value), caught.value.hint) == (message, hint)


def test_bad_variable_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        read_settings(environ={"SELFPLAY_TRAINER__SEED": "x"})
    assert caught.value.hint == "it was set by the environment variable SELFPLAY_TRAINER__SEED"
    with pytest.raises(ConfigError, match="environment variable SELFPLAY_TRAINER__SED"):
        read_settings(environ={"SELFPLAY_TRAINER__SED": "1"})


def test_unknown_preset() -> None:
    with pytest.raises(ConfigError, match="'quik' is not a preset") as caught:
        read_settings(preset="quik", environ={})
    assert caught.value.hint == "did you mean quick?"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[search\nnum_simulations = 1\n", "is not valid TOML: .*line 1"),
        ("[search]\nnum_simulations = 8.5\n", r"search.num_simulations is 8.5.*\(in .*bad.toml\)"),
        ("[search]\nnum_simulation = 8\n", r"num_simulation is not a setting \(in .*bad.toml\)"),
        ("seed = 8\n", r"seed is not a section of the settings \(in .*bad.toml\)"),
    ],
)
def test_bad_files(tmp_path: Path, text: str, message: str) -> None:
    path = tmp_path / "bad.toml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_settings(file=path, environ={})


def test_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"the config file .*none.toml does not exist"):
        read_settings(file=tmp_path / "none.toml", environ={})
    with pytest.raises(ConfigError, match=r"cannot be read"):
        read_settings(file=tmp_path, environ={})


def test_a_file_is_judged_together_with_what_it_lies_over(tmp_path: Path) -> None:
    """512 parts of a batch are too many by default, but not in the large preset."""
    path = tmp_path / "config.toml"
    path.write_text("[learner]\nmicro_batches = 512\n")
    assert load_config(preset="large", file=path, environ={}).learner.micro_batches == 512
    with pytest.raises(ConfigError, match=r"learner\.micro_batches"):
        load_config(file=path, environ={})
