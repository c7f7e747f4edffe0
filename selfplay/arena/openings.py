"""Where the matches of an arena begin: short random openings, kept as a list with an id.

Agents that play their best move always play the same match from the same position: forty matches
of two such agents are two matches, twenty times each. So every pair of matches begins elsewhere.
"""

import dataclasses
import functools
import hashlib
import json
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jaxtyping import Array, Int32, Key

from selfplay.configuration import check_range
from selfplay.errors import ConfigError
from selfplay.game import (
    ChanceGame,
    Game,
    Position,
    is_over,
    pytree,
    random_ply,
    start,
)
from selfplay.store import atomic_write

_CANDIDATES = 256
_DEFAULT_PLIES = 4
_FRUITLESS_ROUNDS = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class Opening:
    """The first position of a match and the moves that are made for both sides.

    Attributes:
        start_key: key data of `game.init`; it only matters to games with random starts.
        actions: the first moves.
        outcomes: the chance outcomes that follow them, -1 for none; where they are left out,
            they are drawn when the opening is played.
    """

    start_key: tuple[int, int] = (0, 0)
    actions: tuple[int, ...] = ()
    outcomes: tuple[int, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Returns what is written of it; games without chance have no outcomes to write."""
        content = {"start_key": list(self.start_key), "actions": list(self.actions)}
        return {**content, "outcomes": list(self.outcomes)} if self.outcomes else content


@dataclasses.dataclass(frozen=True, kw_only=True)
class OpeningSet:
    """A list of openings of one game.

    Attributes:
        game: name of the game.
        version: of its rules.
        openings: at least one.
    """

    game: str
    version: int
    openings: tuple[Opening, ...]

    @property
    def id(self) -> str:
        """Returns 12 hex digits that name the content: equal ids, equal openings."""
        text = json.dumps(self._content(), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(text.encode()).hexdigest()[:12]

    def to_json(self) -> str:
        """Returns the set as the text of a JSON file, one opening per line."""
        openings = self._content()["openings"]
        lines = ",\n".join("    " + json.dumps(opening) for opening in openings)
        head = {"game": self.game, "version": self.version, "id": self.id}
        return json.dumps(head, indent=2)[:-2] + ',\n  "openings": [\n' + lines + "\n  ]\n}\n"

    @classmethod
    def from_json(
        cls, text: str, game: Game[Any], *, source: str = "the opening set"
    ) -> "OpeningSet":
        """Returns the set that `to_json` wrote.

        Args:
            text: of the file; `start_key` and `id` may be left out of a file written by hand.
            game: the rules it must belong to.
            source: what error messages call it.

        Raises:
            ConfigError: it is damaged, empty, changed since its id was written, or of another
                game.
        """
        hint = 'expected {"game": ..., "version": ..., "openings": [{"actions": [...]}, ...]}'
        try:
            document = json.loads(text)
            found = cls(
                game=str(document["game"]),
                version=int(document["version"]),
                openings=tuple(
                    Opening(
                        start_key=_two_words(opening.get("start_key", (0, 0))),
                        actions=tuple(int(action) for action in opening["actions"]),
                        outcomes=tuple(int(number) for number in opening.get("outcomes", ())),
                    )
                    for opening in document["openings"]
                ),
            )
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise ConfigError(f"{source} is not a list of openings: {error}", hint=hint) from error
        if not found.openings:
            raise ConfigError(f"{source} holds no opening", hint=hint)
        if (found.game, found.version) != (game.name, game.version):
            raise ConfigError(
                f"{source} was written for {found.game} (version {found.version}), "
                f"but the game is {game.name} (version {game.version})"
            )
        if document.get("id", found.id) != found.id:
            raise ConfigError(
                f"{source} names the id {document['id']}, but its openings have the id {found.id}",
                hint="it was edited; take the id out of the file if that was meant",
            )
        return found

    def save(self, path: Path) -> None:
        """Writes the set to `path` as JSON."""
        atomic_write(path, self.to_json().encode())

    @classmethod
    def load(cls, path: Path, game: Game[Any]) -> "OpeningSet":
        """Returns the set saved at `path`; refuses one of another game."""
        try:
            text = path.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigError(f"the opening set {path} cannot be read: {error}") from error
        return cls.from_json(text, game, source=f"the opening set {path}")

    def _content(self) -> dict[str, Any]:
        return {
            "game": self.game,
            "version": self.version,
            "openings": [opening.to_dict() for opening in self.openings],
        }


def default_opening_plies(game: Game[Any]) -> int:
    """Returns how long random openings are where nobody says: 4 plies, less in short games."""
    return min(_DEFAULT_PLIES, game.max_plies // 4)


def random_openings(game: Game[Any], *, num_openings: int, plies: int, seed: int) -> OpeningSet:
    """Returns openings of `plies` uniformly random legal moves after which the match goes on.

    They lead to different positions; where the game has too few of those, the ones it has are
    repeated in turn. The same seed gives the same openings.

    Args:
        game: the rules.
        num_openings: how many, at least 1.
        plies: length of each, at least 0.
        seed: of the random moves and the random starts.
    """
    check_range("num_openings", num_openings, low=1)
    check_range("opening_plies", plies, low=0)
    key = jax.random.key(seed)
    found: dict[bytes, Opening] = {}
    fruitless = 0
    # Rounds of one fixed size: a set of any length is made by the same compiled function, and
    # a longer set begins with the shorter one of the same seed.
    for round_number in range(1 + 8 * num_openings):
        if len(found) >= num_openings or fruitless >= _FRUITLESS_ROUNDS:
            break
        before = len(found)
        round_keys = jax.random.split(jax.random.fold_in(key, round_number), _CANDIDATES)
        candidates = jax.device_get(_play_random_plies(game, plies, round_keys))
        for row in np.flatnonzero(~candidates.over):
            start_key, actions = candidates.start_keys[row], candidates.actions[row]
            opening = Opening(
                start_key=(int(start_key[0]), int(start_key[1])),
                actions=tuple(int(action) for action in actions),
                outcomes=tuple(int(outcome) for outcome in candidates.outcomes[row])
                if isinstance(game, ChanceGame)
                else (),
            )
            found.setdefault(fingerprint_row(candidates.positions, int(row)), opening)
        fruitless = fruitless + 1 if len(found) == before else 0
    if not found:
        raise ConfigError(
            f"opening_plies is {plies}, but must be lower: "
            f"every random match of {game.name} is over by then"
        )
    distinct = list(found.values())
    return OpeningSet(
        game=game.name,
        version=game.version,
        openings=tuple(distinct[i % len(distinct)] for i in range(num_openings)),
    )


def fingerprint_row(tree: Any, row: int) -> bytes:
    """Returns a digest of row `row` of a tree of NumPy arrays; equal rows, equal digests."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        digest.update(np.ascontiguousarray(leaf[row]).tobytes())
    return digest.digest()


@pytree
class _Candidates:
    """Random openings, with a leading axis of `N` once they leave `jax.vmap`."""

    start_keys: Array
    actions: Int32[Array, " T"]
    outcomes: Int32[Array, " T"]
    positions: Position[Any]
    over: Array


@functools.partial(jax.jit, static_argnums=(0, 1))
def _play_random_plies(game: Game[Any], plies: int, keys: Key[Array, " N"]) -> _Candidates:
    def play(key: Key[Array, ""]) -> _Candidates:
        start_key, moves_key = jax.random.split(key)

        def ply(
            position: Position[Any], key: Key[Array, ""]
        ) -> tuple[Position[Any], tuple[Int32[Array, ""], Int32[Array, ""]]]:
            played = random_ply(game, position, key=key)
            return played.position, (played.action, played.outcome)

        position, (actions, outcomes) = jax.lax.scan(
            ply, start(game, start_key), jax.random.split(moves_key, plies)
        )
        return _Candidates(
            start_keys=jax.random.key_data(start_key),
            actions=actions,
            outcomes=outcomes,
            positions=position,
            over=is_over(game, position),
        )

    return jax.vmap(play)(keys)


def _two_words(value: Any) -> tuple[int, int]:
    first, second = value
    return int(first), int(second)
