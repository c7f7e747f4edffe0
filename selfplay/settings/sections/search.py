"""Settings of the search."""

import dataclasses

from selfplay.configuration import check_choice, check_range
from selfplay.errors import ConfigError
from selfplay.settings.choices import ALGORITHMS, BACKENDS


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class SearchConfig:
    """How to search for one move, and how much.

    Attributes:
        algorithm: "gumbel" (Sequential Halving over Gumbel-sampled root actions), "puct"
            (AlphaZero) or "uct" (UCB1, for plain MCTS).
        num_simulations: network evaluations per move inside the tree, at least 2; 0 plays the
            raw network.
        max_considered_actions: number of root actions that Gumbel compares, at least 2.
        gumbel_scale: scale of the exploration noise of Gumbel; 1 in self-play, 0 in matches.
        value_scale: weight of completed Q values against the prior's logits (Gumbel), above 0.
        maxvisit_init: visits added before Q values are weighed (Gumbel), at least 0.
        rescale_values: whether Gumbel stretches the Q values of one node to [0, 1] first, for
            games whose results are small. If all moves are about equal, it amplifies noise.
        max_depth: deepest ply below the root, at least 1; 0 for no limit except `num_simulations`.
        puct_constant: exploration constant of PUCT (c_init) and of UCB1, above 0.
        puct_base: visits at which PUCT's constant begins to grow, above 0.
        fpu_reduction: an unvisited action counts as the node's value minus this (PUCT), in [0, 2].
        dirichlet_alpha: total concentration of the root noise, spread evenly over the legal
            actions (PUCT), above 0.
        dirichlet_fraction: share of noise in the root prior (PUCT), in [0, 1].
        forced_playouts: k, for sqrt(k P N) visits at least of each root action with prior P that
            was visited at all, N being the visits of the root (PUCT); the policy target and sampled
            moves are without those that only this led to (policy target pruning; see
            docs/methods.md). Wu, 2019, takes 2; 0 for none. Off in matches and fast moves.
        root_temperature: of the network's policy at the root, above 0; above 1 the search looks at
            unlikely moves more often. Off (1) in matches and fast moves.
        sampling_plies: number of plies at the start of a match whose moves are sampled from the
            improved policy, at least 0; later moves are the best ones.
        temperature: of that sampling; above 0. Probabilities are policy ** (1 / temperature).
        sampling_share: share of the policy to sample from, in (0, 1]: only the likeliest actions
            that together hold this share are sampled.
        symmetry: how the network evaluates a position: "none", as it is; "random", under a random
            symmetry of the game; "average", as the mean over all symmetries, at the cost of one
            evaluation each.
        proven: what the search proves from ends of matches (MCTS-Solver): "off", nothing;
            "visited", what follows from the ends that it reaches; "one-ply", also from those that
            one more move reaches. That asks the rules for every move of every new position, which
            suits rules that cost little beside the network. What is decided is not searched
            further, and a proven value is exact. Games of chance are searched without.
        max_children: actions that each node of the tree keeps, the likeliest legal ones, at least
            2; 0 for all. Fewer take less memory where a game has many. Games of chance keep all.
        scale_simulations: whether a search has fewer simulations the surer the network is of the
            result: num_simulations times 4 w (1 - w), at least 2, where w is the probability of a
            win. Off in matches and fast moves; games of chance are searched without.
        reuse_tree: whether an agent that plays matches keeps the tree below the moves that were
            played, and goes on from there. Self-play, games of chance and the web board begin anew
            with each move.
        tree: what grows the tree where no chance follows a move: "compact", selfplay's own search;
            "mctx", the search of the library mctx; or "auto" for "compact" on CPU cores
            and GPUs, where it is faster, and "mctx" on other devices, where they were not compared.
            They find the same. `proven`, `max_children`, `scale_simulations` and `reuse_tree` need
            "compact", and take it if this is "auto". Every process may choose its own.
        inference: what computes the network: "xla", "onnx" or "onnx-int8" (ONNX Runtime on CPU
            cores, from inside the compiled search), or "auto" for the fastest on the machine.
            Every process may choose its own. If a process chooses none and cannot use that of
            the run, it uses "auto" and says so.

    >>> SearchConfig(num_simulations=16).algorithm
    'gumbel'
    """

    algorithm: str = "gumbel"
    num_simulations: int = 32
    max_considered_actions: int = 16
    gumbel_scale: float = 1.0
    value_scale: float = 0.3
    maxvisit_init: float = 50.0
    rescale_values: bool = False
    max_depth: int = 0
    puct_constant: float = 1.25
    puct_base: float = 19652.0
    fpu_reduction: float = 0.2
    dirichlet_alpha: float = 10.0
    dirichlet_fraction: float = 0.25
    forced_playouts: float = 0.0
    root_temperature: float = 1.0
    sampling_plies: int = 12
    temperature: float = 1.0
    sampling_share: float = 1.0
    symmetry: str = "none"
    proven: str = "off"
    max_children: int = 0
    scale_simulations: bool = False
    reuse_tree: bool = False
    tree: str = "auto"
    inference: str = "auto"

    def __post_init__(self) -> None:
        check_choice("search.algorithm", self.algorithm, tuple(ALGORITHMS))
        check_choice("search.symmetry", self.symmetry, ("none", "random", "average"))
        check_choice("search.proven", self.proven, ("off", "visited", "one-ply"))
        if self.max_children != 0:
            check_range("search.max_children", self.max_children, low=2)
        check_choice("search.tree", self.tree, ("auto", "compact", "mctx"))
        if self.tree == "mctx" and (needs := self._needs_compact_tree):
            raise ConfigError(
                f"search.tree is 'mctx', but search.{needs[0]} needs 'compact'",
                hint=f"leave out search.tree or search.{needs[0]}",
            )
        check_choice("search.inference", self.inference, ("auto", *BACKENDS))
        if self.num_simulations != 0:
            check_range(
                "search.num_simulations",
                self.num_simulations,
                low=2,
                hint="one simulation only expands the root, so the policy target would equal the "
                "prior and nothing would be learnt; 0 plays the raw network",
            )
        check_range("search.max_considered_actions", self.max_considered_actions, low=2)
        check_range("search.gumbel_scale", self.gumbel_scale, low=0)
        check_range("search.value_scale", self.value_scale, above=0)
        check_range("search.maxvisit_init", self.maxvisit_init, low=0)
        check_range("search.max_depth", self.max_depth, low=0)
        check_range("search.puct_constant", self.puct_constant, above=0)
        check_range("search.puct_base", self.puct_base, above=0)
        check_range("search.fpu_reduction", self.fpu_reduction, low=0, high=2)
        check_range("search.dirichlet_alpha", self.dirichlet_alpha, above=0)
        check_range("search.dirichlet_fraction", self.dirichlet_fraction, low=0, high=1)
        check_range("search.forced_playouts", self.forced_playouts, low=0)
        check_range("search.root_temperature", self.root_temperature, above=0)
        check_range("search.sampling_plies", self.sampling_plies, low=0)
        check_range("search.temperature", self.temperature, above=0)
        check_range("search.sampling_share", self.sampling_share, above=0, high=1)

    @property
    def _needs_compact_tree(self) -> list[str]:
        """The settings in use that mctx does not know."""
        used = {
            "proven": self.proven != "off",
            "max_children": self.max_children > 0,
            "scale_simulations": self.scale_simulations,
            "reuse_tree": self.reuse_tree,
        }
        return [name for name, one in used.items() if one]

    def has_compact_tree(self, platform: str) -> bool:
        """Returns whether searches without chance use `selfplay.mcts.compact_search`.

        Args:
            platform: of the devices that search, as JAX names it.
        """
        if self.tree == "auto":
            return platform in ("cpu", "gpu") or bool(self._needs_compact_tree)
        return self.tree == "compact"

    def for_matches(self, num_simulations: int | None = None) -> "SearchConfig":
        """Returns the same search without noise or sampling: its best move, always the same."""
        return dataclasses.replace(
            self,
            num_simulations=self.num_simulations if num_simulations is None else num_simulations,
            gumbel_scale=0.0,
            dirichlet_fraction=0.0,
            forced_playouts=0.0,
            root_temperature=1.0,
            sampling_plies=0,
            scale_simulations=False,
        )
