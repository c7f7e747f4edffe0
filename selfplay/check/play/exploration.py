"""What playing a game at random has shown, for the laws that judge it as a whole."""

import dataclasses
import functools
from collections.abc import Callable, Collection
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from selfplay.check.guessing.guesses import Guesses, guesses
from selfplay.check.play.exchange import Turn
from selfplay.check.play.explorer import Explorer
from selfplay.check.play.later_twins import LaterTwins, later_twins
from selfplay.check.play.sequence import MoveSequence, RandomMatches
from selfplay.game import ChanceGame, Game, Symmetry

_MOST_EXCHANGES = 3
_FEWEST_LATER = 8
_LONGEST_MATCH = 400

DECIDED = 1e-6
"""A result further from 0 than this is a win of somebody."""


@dataclasses.dataclass(frozen=True)
class Exploration:
    """A game, and what playing it at random has shown.

    Attributes:
        game: the rules.
        explorer: what it has found breadth-first and at random.
        played: the random matches.
        symmetries: those that could be tried.
        turn: how a position is handed to the other player.
        step: `step` of one state, compiled.
        seed: of the random matches.
    """

    game: Game[Any]
    explorer: Explorer
    played: RandomMatches
    symmetries: tuple[Symmetry[Any], ...]
    turn: Turn
    step: Callable[..., Any]
    seed: int

    @property
    def found(self) -> dict[str, MoveSequence]:
        """Returns the shortest moves seen that break each law, by "law:part"."""
        return self.explorer.found

    @property
    def has_twin(self) -> bool:
        """Returns whether twins were played, and not by a symmetry that is none."""
        exchange = self.explorer.exchange
        if exchange is None or exchange.symmetry is None:
            return exchange is not None
        return not any(key.startswith("symmetry:") for key in self.found)

    @property
    def has_equal_twin(self) -> bool:
        """Returns whether the twin begins in a position that differs in nothing but the mover.

        Otherwise it begins in a position that may be impossible: what it shows is trusted only
        where everything but the results went on alike.
        """
        exchange = self.explorer.exchange
        return self.has_twin and exchange is not None and exchange.mover_alone

    @functools.cached_property
    def shows_player(self) -> bool:
        """Returns whether a number of the observation tells player 0 from player 1."""
        seen: list[np.ndarray] = []
        for player in range(2):
            rows = [
                np.asarray(one.before_facts.observation).reshape(-1)
                for one in self.played.kept
                if int(one.before_facts.player) == player
            ]
            if not rows:
                return False
            seen.append(np.stack(rows))
        constant = [(rows == rows[0]).all(axis=0) for rows in seen]
        return bool((constant[0] & constant[1] & (seen[0][0] != seen[1][0])).any())

    @functools.cached_property
    def guesses(self) -> Guesses | None:
        """Returns how well results are guessed in random matches, which takes some seconds."""
        return guesses(self.game, seed=self.seed)

    @functools.cached_property
    def unproven(self) -> tuple[str, ...]:
        """Returns the names of the laws that no twin has proven."""
        played = self.played
        names = []
        if not any(
            behaves and abs(returns[0]) > DECIDED
            for behaves, returns in zip(played.behaves, played.returns, strict=True)
        ):
            names.append("value-sign")
        if names and self.later_twins is not None and not self.later_twins.wrong:
            names = []
        if not any(played.shows):
            names += ["seats", "observation-side"]
        return tuple(names)

    @functools.cached_property
    def later_twins(self) -> LaterTwins | None:
        """Returns twins that begin in the middle of matches, None where they show nothing."""
        starts = [line.start for line in self.played.lines]
        for exchange in self.turn.exchanges[:_MOST_EXCHANGES]:
            found = later_twins(
                self.explorer, exchange, starts, seed=self.seed, max_plies=_LONGEST_MATCH
            )
            if not found.differ and (found.wrong or found.agree >= _FEWEST_LATER):
                return found
        return None

    def twin(self, broken: Collection[str]) -> dict[str, Any]:
        """Returns the measure "twin": how far the twins went, and what they leave unproven.

        Args:
            broken: names of laws that the game breaks, which are not unproven.

        Its keys: "exchange", what twins were made by; "matches", how many had one; "alike", how
            many twins looked the same to the end; "unproven", names of laws; "why", for people;
            "later", decided matches with twins that began later and had the opposite result;
            "read_matches", random matches whose results were guessed instead.
        """
        exchange = self.explorer.exchange
        why = self.turn.why_none
        unproven = [name for name in self.unproven if name not in broken]
        if exchange is not None and unproven:
            why = (
                "the first position is not the same to both players"
                if "seats:rules" in self.found
                else "no decided match looked the same to both players to its end"
            )
        # Only if they were asked for.
        guesses, later = self.__dict__.get("guesses"), self.__dict__.get("later_twins")
        return {
            "exchange": exchange.name if exchange else None,
            "matches": len(self.played.shows),
            "alike": sum(self.played.shows),
            "unproven": unproven,
            "why": why if unproven else "",
            "read_matches": guesses.matches if guesses is not None else 0,
            "later": later.agree if later is not None else 0,
        }

    def states(self, line: MoveSequence) -> list[Any]:
        """Returns the states along some moves, the first position first."""
        game = self.game
        state = game.init(jax.random.wrap_key_data(jnp.array(line.start, jnp.uint32)))
        states = [state]
        for action, outcome in zip(line.actions, line.outcomes, strict=True):
            state = self.step(state, jnp.int32(action))
            if outcome >= 0 and isinstance(game, ChanceGame):
                state = game.resolve(state, jnp.int32(outcome))
            states.append(state)
        return states

    def leads_to_the_same(self, line: MoveSequence, other: int) -> bool:
        """Returns whether another action instead of the last move leads to the same state."""
        states = self.states(line)
        after = self.step(states[-2], jnp.int32(other))
        pairs = zip(jax.tree.leaves(states[-1]), jax.tree.leaves(after), strict=True)
        return all(np.array_equal(one, two) for one, two in pairs)
