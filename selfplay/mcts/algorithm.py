"""The contract of a search algorithm: what makes Gumbel, PUCT and UCT different from each other."""

import abc
from collections.abc import Callable

import jax.numpy as jnp
import mctx
from jaxtyping import Array, Bool, Float32, Int32, Key

from selfplay.game import pytree
from selfplay.mcts.selection import SearchNoise
from selfplay.settings.sections.search import SearchConfig

SelectAtRoot = Callable[[Array, mctx.Tree, Array], Array]
"""Takes a key, one tree (without a batch axis) and the root's index; returns an action."""

SelectBelowRoot = Callable[[Array, mctx.Tree, Array, Array], Array]
"""Takes a key, one tree (without a batch axis), a node's index and its depth; returns an action."""


@pytree
class Decision:
    """What a search of `B` positions decides.

    Attributes:
        actions: the moves to play.
        policy: the target of training; each row sums to 1, illegal actions have 0.
    """

    actions: Int32[Array, " B"]
    policy: Float32[Array, "B A"]


class SearchAlgorithm(abc.ABC):
    """Selects actions inside the tree, and decides what follows from it.

    It is stateless: everything it depends on is in its arguments. Trees are those of `mctx`, with
    an axis `B` in front unless it says "one tree". Logits come from `mask_logits`.

    Attributes:
        policy_is_visits: whether `decide` makes the policy of visits alone, whatever the values.
    """

    policy_is_visits = False

    def root_logits(
        self,
        logits: Float32[Array, "B A"],
        legal: Bool[Array, "B A"],
        config: SearchConfig,
        *,
        key: Key[Array, ""],
    ) -> Float32[Array, "B A"]:
        """Returns the prior logits of the root; by default the evaluator's own, without noise.

        Args:
            logits: of the evaluator.
            legal: True where an action is legal.
            config: of the search.
            key: consumed.
        """
        del legal, config, key
        return logits

    def root_gumbel(
        self,
        logits: Float32[Array, "B A"],
        tie_break: Float32[Array, "B A"],
        config: SearchConfig,
        *,
        key: Key[Array, ""],
    ) -> Float32[Array, "B A"]:
        """Returns the Gumbel noise of the root actions; by default zeros.

        Args:
            logits: of the evaluator.
            tie_break: as in `SearchNoise`.
            config: of the search.
            key: consumed.
        """
        del tie_break, config, key
        return jnp.zeros_like(logits)

    @abc.abstractmethod
    def select_at_root(self, config: SearchConfig) -> SelectAtRoot:
        """Returns what selects the root action of each simulation.

        The tree's `extra_data` is a `SearchNoise`.
        """

    @abc.abstractmethod
    def select_below_root(self, config: SearchConfig) -> SelectBelowRoot:
        """Returns what selects the actions of each simulation below the root."""

    @abc.abstractmethod
    def decide(
        self,
        tree: mctx.Tree,
        noise: SearchNoise,
        legal: Bool[Array, "B A"],
        config: SearchConfig,
    ) -> Decision:
        """Returns the moves and the policy targets, once all simulations are done."""

    @abc.abstractmethod
    def value(
        self,
        tree: mctx.Tree,
        policy: Float32[Array, "B A"],
        prior: Float32[Array, "B A"],
        qvalues: Float32[Array, "B A"],
        raw_value: Float32[Array, " B"],
    ) -> Float32[Array, " B"]:
        """Returns the values of the positions after the search, for the player to move.

        Args:
            tree: the finished tree.
            policy: as decided.
            prior: the evaluator's own policy, without noise.
            qvalues: of the root actions, in [-1, 1], for the player to move; 0 if unvisited.
            raw_value: the evaluator's own values.
        """
