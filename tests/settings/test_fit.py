"""Settings that fit the game, the machine and the planned length of a new run."""

import dataclasses
import itertools
from typing import Any, NoReturn

import pytest

from selfplay.settings import Config, GameFacts, MachineFacts, fitted, merged, read_sources
from selfplay.settings.fitting import Fit, fit
from selfplay.settings.presets import PRESETS, SHIFTS, Shift

CONNECT_FOUR = GameFacts(
    name="connect_four",
    num_actions=7,
    max_plies=42,
    observation_shape=(6, 7, 5),
    state_bytes=16,
    legal_actions=6.8,
    plies=23.8,
)
GO = GameFacts(
    name="go_19x19",
    num_actions=362,
    max_plies=722,
    observation_shape=(19, 19, 6),
    state_bytes=6504,
    legal_actions=233.0,
    plies=257.0,
)
MANY_ACTIONS = dataclasses.replace(GO, name="many", num_actions=5_000, legal_actions=900.0)
ROW = dataclasses.replace(CONNECT_FOUR, name="row", observation_shape=(182,))
SLOW = dataclasses.replace(CONNECT_FOUR, name="slow", rules_seconds=4.096e-3)
DICE = dataclasses.replace(CONNECT_FOUR, name="dice", outcomes=21)
GAMES = (CONNECT_FOUR, GO, MANY_ACTIONS, ROW, SLOW, DICE)

GB = 1_000_000_000
ONE_CORE = MachineFacts(platform="cpu", devices=1, memory=8 * GB)
TWO_CORES = MachineFacts(platform="cpu", devices=2, memory=24 * GB)
MANY_CORES = MachineFacts(platform="cpu", devices=96, memory=256 * GB)
GPU = MachineFacts(platform="gpu", devices=1, memory=128 * GB)
LITTLE_MEMORY = MachineFacts(platform="cpu", devices=2, memory=512 * 2**20)
UNKNOWN_MEMORY = MachineFacts(platform="cpu", devices=4)
MACHINES = (ONE_CORE, TWO_CORES, MANY_CORES, GPU, LITTLE_MEMORY, UNKNOWN_MEMORY)
# Each game on some machine, and each machine with some game.
PAIRS = tuple(zip(GAMES, (*MACHINES[3:], *MACHINES[:3]), strict=True))
PAIR_NAMES = [f"{game.name} on {machine}" for game, machine in PAIRS]


def planned(minutes: float) -> dict[str, dict[str, Any]]:
    return {"trainer": {"minutes": minutes}} if minutes else {}


def config_of(found: Fit, asked: dict[str, dict[str, Any]]) -> Config:
    return Config.from_dict(found.settings).updated(asked)


def choose(
    game: GameFacts = CONNECT_FOUR,
    machine: MachineFacts = TWO_CORES,
    minutes: float = 30.0,
    shift: Shift | None = None,
) -> Config:
    asked = planned(minutes)
    return config_of(fit(game, machine, asked, shift), asked)


def weights(config: Config) -> int:
    return config.network.blocks * config.network.channels**2


def test_connect_four_for_half_an_hour_on_two_cores_keeps_what_was_tuned_for_it() -> None:
    found, usual = choose(), Config()
    assert found.network == usual.network
    assert found.search == usual.search
    assert found.rollout == usual.rollout
    assert found.learner == usual.learner
    assert found.replay.first_positions == usual.replay.first_positions
    assert found.replay.min_window == pytest.approx(usual.replay.min_window, rel=0.1)


@pytest.mark.parametrize(("game", "machine"), PAIRS, ids=PAIR_NAMES)
def test_every_choice_is_valid_and_says_why_in_three_lines(
    game: GameFacts, machine: MachineFacts
) -> None:
    for minutes in (0.0, 0.05, 1.0, 600.0):
        found = fit(game, machine, planned(minutes))
        config = config_of(found, planned(minutes))
        # Checks every range.
        most = config.search_for_matches().num_simulations
        assert config.search.max_considered_actions <= most
        assert config.replay.first_positions <= config.replay.max_window
        assert config.rollout.fast_simulations < config.search.num_simulations
        assert len(found.reasons) == 3
        assert found.name.startswith(f"{game.name}, {machine} and ")


@pytest.mark.parametrize(("game", "machine"), PAIRS, ids=PAIR_NAMES)
def test_more_time_never_makes_the_network_or_the_search_smaller(
    game: GameFacts, machine: MachineFacts
) -> None:
    found = [choose(game, machine, minutes) for minutes in (0.05, 1.0, 5.0, 30.0, 600.0)]
    for less, more in itertools.pairwise(found):
        assert weights(less) <= weights(more)
        assert less.search.num_simulations <= more.search.num_simulations


@pytest.mark.parametrize(("game", "machine"), PAIRS, ids=PAIR_NAMES)
def test_more_positions_never_make_the_window_or_the_warm_up_smaller(
    game: GameFacts, machine: MachineFacts
) -> None:
    # With one network: a larger one makes fewer positions of the same time.
    found = []
    for minutes in (0.05, 1.0, 5.0, 30.0, 600.0):
        asked = {**planned(minutes), "network": {"blocks": 4}}
        found.append(config_of(fit(game, machine, asked), asked))
    for less, more in itertools.pairwise(found):
        assert less.replay.min_window <= more.replay.min_window
        assert less.replay.max_window <= more.replay.max_window
        assert less.replay.first_positions <= more.replay.first_positions
        assert less.learner.warmup_updates <= more.learner.warmup_updates


def test_more_cores_never_make_the_network_or_the_batch_smaller() -> None:
    found = [
        choose(machine=dataclasses.replace(TWO_CORES, devices=count))
        for count in (1, 2, 4, 8, 16, 32, 96)
    ]
    for less, more in itertools.pairwise(found):
        assert weights(less) <= weights(more)
        assert less.learner.batch_size <= more.learner.batch_size
    assert found[-1].learner.batch_size == 1024
    assert found[-1].learner.learning_rate == Config().learner.learning_rate * 2


def test_an_accelerator_learns_in_large_batches_from_a_long_window() -> None:
    found = choose(machine=GPU)
    assert (found.learner.batch_size, found.learner.learning_rate) == (1024, 4e-3)
    assert weights(found) > weights(choose())
    assert found.replay.max_window > 1_000_000
    # As many matches as its memory holds.
    assert found.rollout.matches_per_device == 0


def test_more_legal_moves_are_searched_with_more_simulations() -> None:
    found = [
        choose(dataclasses.replace(CONNECT_FOUR, legal_actions=count), minutes=600)
        for count in (2.0, 30.0, 200.0, 900.0, 5_000.0)
    ]
    assert [config.search.num_simulations for config in found] == [32, 32, 64, 128, 128]
    assert [config.search.max_considered_actions for config in found] == [16, 16, 32, 64, 64]


def test_openings_become_shorter_with_more_moves_and_in_short_matches() -> None:
    plies = [
        choose(dataclasses.replace(CONNECT_FOUR, legal_actions=count)).rollout.random_opening_plies
        for count in (1.0, 4.0, 7.0, 60.0, 1_000.0)
    ]
    assert plies == [7, 7, 6, 3, 2]
    short = dataclasses.replace(CONNECT_FOUR, plies=7.7)
    assert choose(short).rollout.random_opening_plies == 2
    # Dice make openings different, too.
    assert choose(DICE).rollout.random_opening_plies == 3


def test_a_short_plan_learns_early_and_saves_early() -> None:
    short = choose(minutes=1)
    assert short.replay.first_positions <= 1_000
    assert short.trainer.checkpoint_seconds == 10
    assert choose().trainer.checkpoint_seconds == 60


def test_the_first_matches_of_a_slow_game_end_early() -> None:
    assert choose(GO, minutes=5).rollout.matches_per_device == 8
    assert choose(GO, minutes=600).rollout.matches_per_device == 0
    # Workers have machines of their own.
    assert choose(
        GO, dataclasses.replace(TWO_CORES, plays=False), 5
    ).rollout == dataclasses.replace(Config().rollout, random_opening_plies=2)


def test_a_slow_game_in_plain_python_gets_small_searches_and_a_small_network() -> None:
    fast, slow = choose(minutes=5), choose(SLOW, minutes=5)
    assert slow.search.num_simulations == 16
    assert weights(slow) < weights(fast)


def test_with_chance_self_play_searches_little_and_agents_as_in_other_games() -> None:
    for shift in (Shift(), SHIFTS["strong"]):
        plain = config_of(fit(CONNECT_FOUR, TWO_CORES, planned(30), shift), planned(30))
        dice = config_of(fit(DICE, TWO_CORES, planned(30), shift), planned(30))
        assert dice.search.num_simulations == plain.search.num_simulations // 8
        assert dice.search_for_matches() == plain.search_for_matches()
    # What a person asks for stays, and what goes with it.
    asked = planned(30) | {"search": {"num_simulations": 24}}
    found = config_of(fit(DICE, TWO_CORES, asked), asked)
    assert (found.search.num_simulations, found.evaluation.simulations) == (24, 0)
    asked = planned(30) | {"rollout": {"full_search_share": 0.25, "fast_simulations": 8}}
    assert config_of(fit(DICE, TWO_CORES, asked), asked).search.num_simulations == 32


def test_observations_of_one_axis_get_a_perceptron_that_is_wide_enough() -> None:
    for minutes in (5.0, 30.0):
        found = choose(ROW, minutes=minutes)
        assert found.network.channels >= 128
    lines = fit(ROW, TWO_CORES, planned(30)).reasons
    assert lines[0].startswith("perceptron ")


def test_little_memory_is_not_filled_by_the_window_and_the_trees() -> None:
    for game in GAMES:
        found = choose(game, LITTLE_MEMORY, 600)
        row = game.state_bytes + 8 * min(game.num_actions, 128) + 64
        assert found.replay.max_window * row <= 64 * 2**20 or found.replay.max_window <= 2_000
    many = choose(MANY_ACTIONS, MANY_CORES, 600)
    assert 0 < many.rollout.matches_per_device < 64


def test_without_an_end_the_plan_is_some_hours_and_nothing_is_saved_less_often() -> None:
    asked: dict[str, dict[str, Any]] = {}
    found = fit(CONNECT_FOUR, TWO_CORES, asked)
    assert weights(config_of(found, asked)) > weights(choose())
    assert "no end is planned" in found.reasons[0]
    assert "trainer" not in found.settings
    assert found.name == "connect_four, 2 x cpu and no planned end"


def test_a_plan_of_updates_gives_the_positions() -> None:
    found = fit(CONNECT_FOUR, TWO_CORES, {"trainer": {"updates": 320}})
    assert found.positions == 320 * 128 / 4
    both = fit(CONNECT_FOUR, TWO_CORES, {"trainer": {"updates": 10**9, "minutes": 30.0}})
    assert both.positions == fit(CONNECT_FOUR, TWO_CORES, planned(30)).positions


@pytest.mark.parametrize(
    "asked",
    [
        {"search": {"num_simulations": 100}},
        {"search": {"max_considered_actions": 4}},
        {"rollout": {"random_opening_plies": 9, "matches_per_device": 33}},
        {"replay": {"min_window": 9_000_000}},
        {"replay": {"max_window": 1_000}},
        {"replay": {"min_window": 700, "max_window": 800}},
        {"replay": {"first_positions": 5}},
        {"learner": {"warmup_updates": 7}},
        {"trainer": {"checkpoint_seconds": 1.0, "replay_ratio": 2.0}},
        {"rollout": {"full_search_share": 0.25, "fast_simulations": 20}},
    ],
    ids=str,
)
def test_what_is_asked_for_wins_and_the_rest_is_chosen(asked: dict[str, dict[str, Any]]) -> None:
    for game, machine in ((CONNECT_FOUR, TWO_CORES), (SLOW, LITTLE_MEMORY), (GO, GPU)):
        given = {**asked, "trainer": {**asked.get("trainer", {}), "minutes": 5.0}}
        found = fit(game, machine, given)
        for section, values in asked.items():
            assert not set(values) & set(found.settings.get(section, {}))
        config_of(found, given)


def test_values_of_the_next_plies_are_predicted_where_dice_decide() -> None:
    assert fit(DICE, TWO_CORES, {}).settings["learner"]["short_term_value_weight"] == 0.3
    assert "short_term_value_weight" not in fit(CONNECT_FOUR, TWO_CORES, {}).settings["learner"]
    asked = {"learner": {"short_term_value_weight": 0.0}}
    assert "short_term_value_weight" not in fit(DICE, TWO_CORES, asked).settings["learner"]


def test_perceptrons_of_games_of_chance_are_smaller_and_make_fewer_updates() -> None:
    row = dataclasses.replace(ROW, observation_shape=(209,))
    dice = dataclasses.replace(row, name="dice_row", outcomes=21)
    for minutes in (5.0, 30.0):
        plain, chance = (fit(game, TWO_CORES, planned(minutes)).settings for game in (row, dice))
        assert "replay_ratio" not in plain["trainer"]
        assert chance["trainer"]["replay_ratio"] == 2.0
        sizes = [size_of(chosen) for chosen in (chance, plain)]
        assert sizes[0] < sizes[1]
    # On a board as in any other game.
    assert "replay_ratio" not in fit(DICE, TWO_CORES, planned(30)).settings["trainer"]
    asked = {"trainer": {"replay_ratio": 8.0}}
    assert "replay_ratio" not in fit(dice, TWO_CORES, asked).settings.get("trainer", {})


def test_large_numbers_have_no_exponent() -> None:
    dice = dataclasses.replace(ROW, name="dice_row", outcomes=21)
    lines = [fit(dice, machine, planned(30)).reasons[0] for machine in MACHINES]
    shares = [int(line.partition(" for each of about")[0].rpartition(" ")[2]) for line in lines]
    assert max(shares) >= 100
    assert " 82 for each of about " in fit(ROW, ONE_CORE, planned(30)).reasons[0]


def size_of(chosen: dict[str, dict[str, Any]]) -> int:
    network = chosen["network"]
    return int(network["blocks"] * network["channels"] ** 2)


def test_surprises_are_weighed_unless_that_is_set_otherwise() -> None:
    assert choose().replay.surprise_share == 0.5
    asked = {"replay": {"surprise_share": 0.0}}
    assert "surprise_share" not in fit(CONNECT_FOUR, TWO_CORES, asked).settings["replay"]


@pytest.mark.parametrize("asked", [{"batch_size": 256}, {"learning_rate": 0.001}])
def test_batch_and_rate_are_chosen_together_or_not_at_all(asked: dict[str, Any]) -> None:
    chosen = fit(CONNECT_FOUR, GPU, {"learner": asked}).settings["learner"]
    assert not {"batch_size", "learning_rate"} & set(chosen)


def test_a_network_is_chosen_as_a_whole_or_not_at_all() -> None:
    asked = {"network": {"blocks": 6}}
    assert "network" not in fit(CONNECT_FOUR, TWO_CORES, asked).settings
    # What does not change its size leaves the choice.
    asked = {"network": {"squeeze_excitation": True}}
    assert set(fit(CONNECT_FOUR, TWO_CORES, asked).settings["network"]) == {"blocks", "channels"}


def test_the_strong_preset_searches_more_and_has_a_larger_network() -> None:
    usual, strong = choose(), choose(shift=SHIFTS["strong"])
    assert strong.search.num_simulations == 2 * usual.search.num_simulations
    assert weights(strong) > weights(usual)


def nothing_to_measure() -> NoReturn:
    raise AssertionError("measures although nothing is left to choose")


def test_the_quick_preset_measures_and_chooses_nothing() -> None:
    sources = read_sources(preset="quick", environ={})
    assert fitted(sources, nothing_to_measure, preset="quick") == (sources, None)


@pytest.mark.parametrize("preset", sorted(SHIFTS))
def test_presets_win_over_what_is_chosen(preset: str) -> None:
    sources = read_sources(preset=preset, environ={}, overrides=["search.num_simulations=48"])
    found, choice = fitted(sources, lambda: (GO, TWO_CORES), preset=preset)
    assert choice is not None
    assert found[0].name == f"fitted to {choice.name}"
    config = Config.from_dict(merged(found)).to_dict()
    assert config["search"]["num_simulations"] == 48
    for section, values in PRESETS[preset].items():
        for key, value in values.items():
            if (section, key) != ("search", "num_simulations"):
                assert config[section][key] == (list(value) if isinstance(value, tuple) else value)
