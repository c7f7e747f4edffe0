"""The settings: types, ranges, names."""

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

from selfplay.errors import ConfigError
from selfplay.settings import PRESETS, SHIFTS, Config, describe_settings, settings_hash
from selfplay.settings.config import KEYS, SECTIONS
from selfplay.settings.reference import settings_table
from selfplay.settings.sections import TrainerConfig

DOCUMENTATION = Path(__file__).parents[2] / "docs" / "configuration.md"


def test_round_trip_through_json() -> None:
    config = Config.from_dict(
        {"search": {"num_simulations": 7}, "evaluation": {"opponents": ["random", "mcts:5"]}}
    )
    assert config.search.num_simulations == 7
    assert config.evaluation.opponents == ("random", "mcts:5")
    assert Config.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_what_is_not_named_keeps_its_value() -> None:
    config = Config().updated({"search": {"num_simulations": 7}})
    config = config.updated({"search": {"temperature": 2}})
    assert (config.search.num_simulations, config.search.temperature) == (7, 2.0)
    assert config.network == Config().network


def test_a_whole_number_is_a_fraction() -> None:
    ratio = Config.from_dict({"trainer": {"replay_ratio": 3}}).trainer.replay_ratio
    assert ratio == 3.0
    assert isinstance(ratio, float)


@pytest.mark.parametrize(
    ("section", "key", "value", "rule"),
    [
        ("search", "num_simulations", 8.0, "a whole number"),
        ("search", "num_simulations", True, "a whole number"),
        ("search", "num_simulations", "8", "a whole number"),
        ("trainer", "replay_ratio", "4", "a finite number"),
        ("trainer", "replay_ratio", float("nan"), "a finite number"),
        ("trainer", "replay_ratio", float("inf"), "a finite number"),
        ("learner", "symmetries", 1, "true or false"),
        ("network", "kind", 3, "text"),
        ("evaluation", "opponents", "random", "a list of texts"),
        ("evaluation", "opponents", ["random", 3], "a list of texts"),
    ],
)
def test_wrong_types_are_refused(section: str, key: str, value: Any, rule: str) -> None:
    message = re.escape(f"{section}.{key} is {value!r}, but must be {rule}")
    with pytest.raises(ConfigError, match=f"(?m)^{message}$"):
        Config.from_dict({section: {key: value}})


@pytest.mark.parametrize(
    ("settings", "message", "hint"),
    [
        (
            {"search": {"num_simulation": 8}},
            "search.num_simulation is not a setting",
            "did you mean search.num_simulations?",
        ),
        (
            {"search": {"batch_size": 8}},
            "search.batch_size is not a setting",
            "did you mean learner.batch_size?",
        ),
        ({"serach": {}}, "serach is not a section of the settings", "did you mean search?"),
        (
            {"xyz": {}},
            "xyz is not a section of the settings",
            f"the sections are: {', '.join(SECTIONS)}",
        ),
        (
            {"search": 3},
            "search is 3, but must be a table of settings",
            "write search.KEY = VALUE, or a [search] table",
        ),
    ],
)
def test_unknown_names_are_refused(settings: dict[str, Any], message: str, hint: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Config.from_dict(settings)
    assert (str(caught.value), caught.value.hint) == (message, hint)


@pytest.mark.parametrize(
    ("section", "key", "value", "rule"),
    [
        ("trainer", "replay_ratio", 0.0, "above 0"),
        ("trainer", "checkpoint_seconds", 0.0, "above 0"),
        ("trainer", "checkpoint_updates", -1, "at least 0"),
        ("trainer", "keep_checkpoints", 0, "at least 1"),
        ("trainer", "spread_checkpoints", -1, "at least 0"),
        ("trainer", "seed", -1, "between 0 and"),
        ("trainer", "minutes", -1.0, "at least 0"),
        ("trainer", "updates", -1, "at least 0"),
        ("evaluation", "matches", 0, "at least 2"),
        ("evaluation", "matches", 3, "must be even"),
        ("evaluation", "simulations", 1, "at least 2"),
        ("evaluation", "share", 0.0, "above 0"),
        ("evaluation", "first_seconds", -1.0, "at least 0"),
    ],
)
def test_values_out_of_range_are_refused(section: str, key: str, value: Any, rule: str) -> None:
    with pytest.raises(ConfigError, match=rf"^{section}\.{key}.*{rule}"):
        Config.from_dict({section: {key: value}})


def test_presets_are_valid_and_differ() -> None:
    configs = {name: Config.from_dict(overlay) for name, overlay in PRESETS.items()}
    assert configs.pop("default") == Config()
    # It changes what is chosen for a new run, see `SHIFTS`.
    assert configs.pop("strong") == Config()
    assert len({Config(), *configs.values()}) == 3
    assert set(SHIFTS) < set(PRESETS)
    assert SHIFTS["strong"] != SHIFTS["default"]


def test_settings_hash_covers_how_matches_are_made() -> None:
    default = settings_hash(Config())
    assert re.fullmatch("[0-9a-f]{12}", default)
    assert settings_hash(Config.from_dict({"learner": {"batch_size": 8}})) == default
    assert settings_hash(Config.from_dict({"search": {"num_simulations": 8}})) != default
    assert settings_hash(Config.from_dict({"rollout": {"random_opening_plies": 1}})) != default
    assert settings_hash(Config.from_dict({"rollout": {"full_search_share": 0.5}})) != default


def test_checkpoints_come_due_by_time_or_by_update() -> None:
    by_time = TrainerConfig(checkpoint_seconds=10)
    assert [by_time.checkpoint_due(100, seconds) for seconds in (9.9, 10)] == [False, True]
    by_update = TrainerConfig(checkpoint_seconds=1e9, checkpoint_updates=3)
    assert [u for u in range(1, 8) if by_update.checkpoint_due(u, 0)] == [3, 6]
    pinned = TrainerConfig(checkpoint_seconds=1e9, pinned_every_updates=4)
    assert [u for u in range(1, 9) if pinned.checkpoint_due(u, 0)] == [4, 8]


def test_every_setting_is_documented_in_its_docstring() -> None:
    described = {setting.name: setting for setting in describe_settings()}
    assert list(described) == [f"{section}.{key}" for section in KEYS for key in KEYS[section]]
    assert described["trainer.replay_ratio"].default == 4.0
    assert described["trainer.replay_ratio"].text == (
        "training samples drawn per new position, above 0: how often each position is used."
    )
    assert described["trainer.checkpoint_seconds"].text.endswith("to the next, above 0.")


def test_the_reference_lists_every_setting_with_its_default() -> None:
    """To bring it up to date, run `python docs/generate.py`."""
    assert settings_table() in DOCUMENTATION.read_text(encoding="utf-8")
    assert settings_table().count("\n| `") == len(describe_settings())


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().trainer.replay_ratio = 1.0  # type: ignore[misc]


def test_agents_search_as_in_evaluations_where_these_have_a_number_of_their_own() -> None:
    usual = Config.from_dict({"search": {"num_simulations": 12}})
    assert usual.search_for_matches().num_simulations == 12
    more = usual.updated({"evaluation": {"simulations": 40}})
    assert more.search_for_matches().num_simulations == 40
    assert more.search_for_matches(0).num_simulations == 0
    assert more.search_for_matches().gumbel_scale == 0.0


@pytest.mark.parametrize(
    ("tree", "own"),
    [
        ("auto", {"cpu": True, "gpu": True, "tpu": False}),
        ("compact", {"cpu": True, "gpu": True, "tpu": True}),
        ("mctx", {"cpu": False, "gpu": False, "tpu": False}),
    ],
)
def test_the_tree_depends_on_the_device_unless_it_is_named(tree: str, own: dict[str, bool]) -> None:
    search = Config.from_dict({"search": {"tree": tree}}).search
    assert {platform: search.has_compact_tree(platform) for platform in own} == own
