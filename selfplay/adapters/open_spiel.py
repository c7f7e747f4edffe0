"""Games of OpenSpiel by name: "open_spiel:breakthrough(rows=6,columns=6)".

Needs the extra `openspiel`. Its rules are C++ objects on the host, so they run as plain-Python
games do.
"""

import difflib
import random
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from selfplay.adapters.python_game import PythonChanceGame, PythonGame
from selfplay.errors import ConfigError, MissingExtraError, UnknownGameError

LONGEST = 512
"""Where matches end by default; some games of OpenSpiel allow many thousand plies."""

_OUTCOMES = {"einstein_wurfelt_nicht": 6}
"""Where OpenSpiel's bound counts what is drawn before the first move, which the start draws here.

There it is 720, the ways to set up the stones; a search tree would have room for so many rolls.
"""


class OpenSpielGame(PythonGame[Any]):
    """A two-player zero-sum game of perfect information from OpenSpiel."""

    def __init__(self, name: str, game: Any, max_plies: int) -> None:
        """Wraps a `pyspiel.Game`.

        Args:
            name: of the game here.
            game: the rules.
            max_plies: where matches end.
        """
        self.name = name
        self.title = str(game.get_type().long_name)
        self.num_actions = game.num_distinct_actions()
        self.max_plies = min(game.max_game_length(), max_plies)
        self._game = game
        self._shape = tuple(game.observation_tensor_shape())
        # Some games pay more than 1.
        self._scale = max(abs(game.min_utility()), abs(game.max_utility()))

    def initial_state(self, rng: random.Random) -> Any:
        """Returns the first position, which is always the same."""
        return self._game.new_initial_state()

    def apply(self, state: Any, action: int) -> Any:
        """Returns the position after `action`."""
        return state.child(action)

    def legal_actions(self, state: Any) -> list[int]:
        """Returns the legal actions."""
        return list(state.legal_actions())

    def current_player(self, state: Any) -> int:
        """Returns who is to move."""
        return int(state.current_player())

    def is_terminal(self, state: Any) -> bool:
        """Returns whether the match is over."""
        return bool(state.is_terminal())

    def returns(self, state: Any) -> list[float]:
        """Returns the result of both players, as shares of the most that a player can win."""
        return [value / self._scale for value in state.returns()]

    def observe(self, state: Any) -> npt.NDArray[np.float32]:
        """Returns OpenSpiel's observation, planes last, and whether player 1 is to move.

        Most games show pieces by owner and not by who is to move, so that has to be added.
        """
        player = state.current_player()
        seen = np.asarray(state.observation_tensor(player), np.float32)
        if len(self._shape) == 3:
            planes = seen.reshape(self._shape).transpose(1, 2, 0)
            side = np.full((*planes.shape[:2], 1), player, np.float32)
            return np.concatenate([planes, side], axis=-1)
        return np.append(seen, np.float32(player))

    def render(self, state: Any) -> str:
        """Returns the position as OpenSpiel prints it."""
        return str(state)

    def action_to_string(self, state: Any, action: int) -> str:
        """Returns how OpenSpiel writes `action`."""
        return _word(state.action_to_string(state.current_player(), action))


class OpenSpielChanceGame(OpenSpielGame, PythonChanceGame[Any]):
    """A game of OpenSpiel with dice, or any other chance that both players see."""

    def __init__(self, name: str, game: Any, max_plies: int) -> None:
        """Wraps a `pyspiel.Game` with explicit chance; arguments as in `OpenSpielGame`."""
        super().__init__(name, game, max_plies)
        kind = game.get_type().short_name
        self.num_outcomes = _OUTCOMES.get(kind, game.max_chance_outcomes())

    def initial_state(self, rng: random.Random) -> Any:
        """Returns a first position in which a player moves: what is drawn before comes from `rng`.

        Who begins, the stones' places and the first roll are drawn so.
        """
        state = self._game.new_initial_state()
        while state.is_chance_node():
            outcomes, probabilities = zip(*state.chance_outcomes(), strict=True)
            state.apply_action(rng.choices(outcomes, probabilities)[0])
        return state

    def is_chance(self, state: Any) -> bool:
        """Returns whether OpenSpiel waits for chance here."""
        return bool(state.is_chance_node())

    def chance_probabilities(self, state: Any) -> list[float]:
        """Returns OpenSpiel's probabilities; 0 for impossible outcomes."""
        likely = [0.0] * self.num_outcomes
        for outcome, probability in state.chance_outcomes():
            likely[outcome] = probability
        return likely

    def resolve(self, state: Any, outcome: int) -> Any:
        """Returns the position after `outcome`.

        Raises:
            ValueError: OpenSpiel waits for chance again, which a ply has no room for.
        """
        after = state.child(outcome)
        if after.is_chance_node():
            raise ValueError("two chance events in a row, but only one may follow a move")
        return after

    def outcome_to_string(self, state: Any, outcome: int) -> str:
        """Returns what was rolled: "12" where OpenSpiel says "chance outcome 0 (roll: 12)"."""
        words = str(state.action_to_string(state.current_player(), outcome)).split()
        return words[-1].strip("()") if words else str(outcome)


def make_open_spiel(text: str, options: Mapping[str, object]) -> OpenSpielGame:
    """Returns the game `text`, such as "hex(board_size=5)"; `options` are more parameters.

    The option `max_plies` is selfplay's own: where matches end, 512 by default.

    Raises:
        MissingExtraError: OpenSpiel is not installed.
        UnknownGameError: OpenSpiel has no such game.
        ConfigError: it cannot be played here, or does not take the options.
    """
    try:
        import pyspiel
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            "OpenSpiel is not installed", hint='pip install "selfplay-jax[openspiel]"'
        ) from error
    name = text.partition("(")[0].strip()
    spec = f"open_spiel:{name}"
    if name not in pyspiel.registered_names():
        close = difflib.get_close_matches(name, pyspiel.registered_names(), n=1)
        suggestion = f"did you mean open_spiel:{close[0]}?" if close else ""
        raise UnknownGameError(f"OpenSpiel has no game {name!r}", hint=suggestion)
    parameters = dict(options)
    max_plies = parameters.pop("max_plies", LONGEST)
    if type(max_plies) is not int or max_plies < 1:
        raise ConfigError(f"max_plies is {max_plies!r}, but must be an integer of at least 1")
    known = next(
        sorted(kind.parameter_specification)
        for kind in pyspiel.registered_games()
        if kind.short_name == name
    )
    unknown = sorted(set(parameters) - set(known))
    if unknown:
        takes = ", ".join([*known, "max_plies"])
        raise ConfigError(f"{spec} has no option {unknown[0]!r}", hint=f"its options: {takes}")
    try:
        written = pyspiel.game_parameters_from_string(text)
        written.pop("name", None)
        game = pyspiel.load_game(name, {**written, **parameters})
    except Exception as error:
        # OpenSpiel's own words, on one line.
        raise ConfigError(
            f"{spec} cannot be made: {' '.join(str(error).split())[:200]}",
            hint="for example open_spiel:hex(board_size=5)",
        ) from error
    reason = _reason_against(pyspiel, game)
    if reason:
        raise ConfigError(f"{spec} cannot be played here: {reason}")
    deterministic = pyspiel.GameType.ChanceMode.DETERMINISTIC
    chance = game.get_type().chance_mode != deterministic
    wrapper = OpenSpielChanceGame if chance else OpenSpielGame
    return wrapper(f"open_spiel_{name}", game, max_plies)


def _word(text: str) -> str:
    """Returns `text` without spaces: positions are written as moves with spaces in between."""
    return "_".join(text.split())


def _reason_against(pyspiel: Any, game: Any) -> str:
    """Returns why a game is not one for selfplay; empty if it is."""
    kind = game.get_type()
    if game.num_players() != 2:
        return f"it is for {game.num_players()} players, not two"
    if kind.dynamics != pyspiel.GameType.Dynamics.SEQUENTIAL:
        return "its players move at the same time"
    if kind.information != pyspiel.GameType.Information.PERFECT_INFORMATION:
        return "its players do not see everything, which selfplay's search needs"
    if kind.utility != pyspiel.GameType.Utility.ZERO_SUM:
        return "what one player wins is not what the other loses"
    if kind.chance_mode == pyspiel.GameType.ChanceMode.SAMPLED_STOCHASTIC:
        return "it rolls its dice inside, so that nobody knows how likely what is"
    if not kind.provides_observation_tensor:
        return "it gives no observation that a network could read"
    return ""
