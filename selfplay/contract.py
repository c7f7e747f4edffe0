"""What a game shows of itself before a match is played: its shapes and its fingerprint."""

import dataclasses
import hashlib
import os
import random
import re
import sysconfig
import traceback
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Int32

from selfplay.errors import GameContractError
from selfplay.game import (
    ChanceGame,
    Game,
    Position,
    advance,
    is_bundled,
    is_over,
    is_truncated,
    outcome_probabilities,
    start,
)

_PLIES_LOOKED_AT = 8
_LARGEST = 2.0**52

_valid: set[str] = set()
_shown: dict[str, "RandomMatches"] = {}
"""What is known of bundled games in this process, by `_signature`."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class RandomMatches:
    """What four random matches show of a game, always the same ones.

    Attributes:
        fingerprint: see `fingerprint`.
        legal_actions: mean number in the positions of these matches, at least 1.
        plies: mean length, at least 1; of very long matches the first 256 plies count.
        cut_share: share of the matches that `max_plies` ended, in [0, 1].
    """

    fingerprint: str
    legal_actions: float
    plies: float
    cut_share: float


def validate(game: Game[Any], spec: str) -> None:
    """Raises `GameContractError` unless sizes, shapes and types are those of the contract.

    Only traces, plays nothing: it takes milliseconds and finds what would otherwise be a long
    traceback out of a compiled function. Of a game of chance it also plays a few random plies, to
    see whether the probabilities are some. A bundled game is looked at once in a process.
    """
    signature = _signature(game)
    if signature in _valid:
        return
    _validate(game, spec)
    if signature:
        _valid.add(signature)


def _validate(game: Game[Any], spec: str) -> None:
    _require(
        isinstance(getattr(game, "name", None), str)
        and re.fullmatch(r"[a-z0-9][a-z0-9_-]*", game.name) is not None,
        f"{spec}: name is {getattr(game, 'name', None)!r}, but must be a short lower-case "
        "identifier",
    )
    _require(
        isinstance(game.title, str),
        f"{game.name}: title is {game.title!r}, but must be a text",
    )
    for attribute, least in (("version", 1), ("num_actions", 2), ("max_plies", 1)):
        value = getattr(game, attribute, None)
        _require(
            isinstance(value, int) and not isinstance(value, bool) and value >= least,
            f"{game.name}: {attribute} is {value!r}, but must be an integer of at least {least}",
        )
    state = _traced(game, "init", jax.random.key(0))
    _require(
        bool(jax.tree.leaves(state)),
        f"{game.name}: init() returns {type(state).__name__}, but a state must hold arrays",
        hint="declare the class of the state with @selfplay.pytree",
    )
    action = jax.ShapeDtypeStruct((), jnp.int32)
    _require_array(game, "current_player", state, (), jnp.integer)
    _require_array(game, "legal_action_mask", state, (game.num_actions,), jnp.bool_)
    _require_array(game, "is_terminal", state, (), jnp.bool_)
    _require_array(game, "returns", state, (2,), jnp.floating)
    observation = _traced(game, "observe", state)
    _require(
        isinstance(observation, jax.ShapeDtypeStruct) and observation.ndim in (1, 3),
        f"{game.name}: observe() returns {_shape_text(observation)}, but must return an array "
        "[features] or [height, width, planes]",
    )
    planes = observation.shape[-1]
    _require(
        all(0 <= plane < planes for plane in game.history_planes),
        f"{game.name}: history_planes is {game.history_planes}, but observe has planes 0 to "
        f"{planes - 1}",
    )
    _require_same_state(game, state, _traced(game, "step", state, action), "step")
    if isinstance(game, ChanceGame):
        _validate_chance(game, state)


def _validate_chance(game: ChanceGame[Any], state: Any) -> None:
    """Raises `GameContractError` unless chance is described as the contract says."""
    count = getattr(game, "num_outcomes", None)
    _require(
        isinstance(count, int) and not isinstance(count, bool) and count >= 1,
        f"{game.name}: num_outcomes is {count!r}, but must be an integer of at least 1",
    )
    _require_array(game, "is_chance", state, (), jnp.bool_)
    _require_array(game, "chance_probabilities", state, (game.num_outcomes,), jnp.floating)
    outcome = jax.ShapeDtypeStruct((), jnp.int32)
    _require_same_state(game, state, _traced(game, "resolve", state, outcome), "resolve")
    look = jax.jit(lambda position, choice: _look_and_play(game, position, choice))
    draw = random.Random(0)
    position = start(game, jax.random.key(0, impl="threefry2x32"))
    for ply in range(_PLIES_LOOKED_AT):
        position, seen = look(position, np.int32(draw.getrandbits(30)))
        probabilities = np.asarray(seen["probabilities"], np.float64)
        if seen["over"]:
            break
        # Where no chance follows they are all 0 here, whatever the game says of that afterstate.
        _require(
            not seen["chance"]
            or bool((probabilities >= 0).all() and abs(probabilities.sum() - 1) < 1e-4),
            f"{game.name}: chance_probabilities is {probabilities.tolist()} after ply {ply}, but "
            "must be numbers of at least 0 that sum to 1",
            hint="they are asked for in the afterstate that step returns, where is_chance",
        )


def fingerprint(game: Game[Any]) -> str:
    """Returns 16 hexadecimal digits that change when the rules or the observation do.

    They are a hash of name, version and sizes, and of what four random matches show: legal
    actions, players, results, observations and probabilities (to three decimals). They do not
    depend on the machine, its devices or its random numbers. Of a bundled game they are found once
    in a process.
    """
    return random_matches(game).fingerprint


def random_matches(game: Game[Any]) -> RandomMatches:
    """Returns what random matches show; of a bundled game they are played once in a process."""
    signature = _signature(game)
    known = _shown.get(signature) or _random_matches(game)
    if signature:
        _shown[signature] = known
    return known


def _signature(game: Game[Any]) -> str:
    """Returns what decides the rules of a bundled game: class and attributes; "" for others.

    It is a text, so that it keeps no game, and says what the attributes were when it was made.
    """
    if not is_bundled(game):
        return ""
    sizes = (game.name, game.version, game.num_actions, game.max_plies, game.history_planes)
    return repr((type(game), *sizes, sorted(vars(game).items())))


def _random_matches(game: Game[Any]) -> RandomMatches:
    sizes: tuple[str | int, ...] = (
        game.name,
        game.version,
        game.num_actions,
        game.max_plies,
    )
    if isinstance(game, ChanceGame):
        sizes += (game.num_outcomes,)
    digest = hashlib.sha256(repr(sizes).encode())
    number_of_matches = 4
    draw = random.Random(0)
    seeds = np.arange(number_of_matches)
    shown = ["mask", "player", "returns", "observation"]
    if isinstance(game, ChanceGame):
        shown.append("probabilities")
    look = jax.jit(jax.vmap(lambda position, choice: _look_and_play(game, position, choice)))
    positions = jax.vmap(lambda seed: start(game, jax.random.key(seed, impl="threefry2x32")))(seeds)
    legal, plies = [], np.zeros(number_of_matches)
    # A very long game shows its rules in its first plies too.
    for _ in range(min(game.max_plies, 256) + 1):
        choices = np.array([draw.getrandbits(30) for _ in seeds], np.int32)
        positions, seen = look(positions, choices)
        seen = jax.device_get(seen)
        for index in range(number_of_matches):
            over = bool(seen["over"][index])
            if not over:
                plies[index] += 1
                legal.append(int(seen["mask"][index].sum()))
            # What the ended position shows is nobody's observation; its result is all it is for.
            for name in ("returns",) if over else shown:
                numbers = np.nan_to_num(seen[name][index].astype(np.float64))
                # A number that no integer can hold breaks the contract, and is told elsewhere.
                numbers = np.clip(numbers, -_LARGEST, _LARGEST)
                digest.update(np.round(numbers * 1000).astype("<i8").tobytes())
        if seen["over"].all():
            break
    return RandomMatches(
        fingerprint=digest.hexdigest()[:16],
        legal_actions=max(1.0, float(np.mean(legal or [1]))),
        plies=max(1.0, float(plies.mean())),
        cut_share=float(np.mean(seen["truncated"])),
    )


def brief(error: BaseException, *, method: object = None) -> str:
    """Returns the type, the first line and the place of an error in a user's code.

    Args:
        error: what was raised.
        method: what was called; its own line is named where the error shows no line of the user's,
            as with a wrong number of arguments.
    """
    if isinstance(error, GameContractError) and error.rule:
        return str(error)  # names the method, the exception and the line already
    if isinstance(error, SyntaxError):
        text, place = error.msg, (error.filename, error.lineno)
    else:
        text = (str(error).strip() or "no message").splitlines()[0]
        place = _place_of_users(error) or _place_of(method)
    at = f" ({Path(place[0]).name}, line {place[1]})" if place[0] else ""
    return f"{type(error).__name__}: {text}{at}"


def _place_of_users(error: BaseException) -> tuple[str | None, int | None] | None:
    """Returns file and line where a user's code went wrong, None if none of it took part."""
    framework = f"{Path(__file__).parent}{os.sep}"
    games = f"{framework}games{os.sep}"
    # What JAX, generated code (such as "<string>") and selfplay did below a user's line is no help.
    foreign = (str(Path(jax.__file__).parent), "<", framework)
    places = [
        (frame.f_code.co_filename, line) for frame, line in traceback.walk_tb(error.__traceback__)
    ]
    places = [
        place for place in places if not place[0].startswith(foreign) or place[0].startswith(games)
    ]
    # Nor is a line of a library that the user's code called, if there is a better one.
    libraries = tuple(sysconfig.get_path(name) for name in ("stdlib", "platlib", "purelib"))
    own = [place for place in places if not place[0].startswith(libraries)] or places
    return own[-1] if own else None


def _place_of(method: object) -> tuple[str | None, int | None]:
    """Returns file and line where a function begins."""
    code = getattr(getattr(method, "__func__", method), "__code__", None)
    return (None, None) if code is None else (code.co_filename, code.co_firstlineno)


def _look_and_play(
    game: Game[Any], position: Position[Any], choice: Int32[Array, ""]
) -> tuple[Position[Any], dict[str, Array]]:
    """Returns the position after a legal action picked by `choice`, and what stood before.

    `choice` picks one of the possible outcomes too, where chance follows.
    """
    mask = game.legal_action_mask(position.state)
    nth = choice % jnp.maximum(mask.sum(dtype=jnp.int32), 1)
    action = jnp.argmax(jnp.cumsum(mask.astype(jnp.int32)) > nth).astype(jnp.int32)
    seen = {
        "mask": mask,
        "player": game.current_player(position.state),
        "returns": game.returns(position.state),
        "observation": game.observe(position.state),
        "over": is_over(game, position),
        "truncated": is_truncated(game, position),
    }
    if not isinstance(game, ChanceGame):
        return advance(game, position, action).position, seen
    afterstate: Position[Any] = Position(
        state=game.step(position.state, action), ply=position.ply + 1
    )
    seen["chance"] = game.is_chance(afterstate.state) & ~is_over(game, afterstate)
    seen["probabilities"] = outcome_probabilities(game, position, action)
    possible = seen["probabilities"] > 0
    nth = choice // 64 % jnp.maximum(possible.sum(dtype=jnp.int32), 1)
    outcome = jnp.argmax(jnp.cumsum(possible.astype(jnp.int32)) > nth).astype(jnp.int32)
    return advance(game, position, action, outcome).position, seen


def _require(holds: bool, message: str, *, hint: str = "") -> None:
    if not holds:
        raise GameContractError(message, hint=hint)


def _traced(game: Game[Any], method: str, *arguments: Any) -> Any:
    """Returns the shapes and types of what a method returns."""
    try:
        return jax.eval_shape(getattr(game, method), *arguments)
    except Exception as error:
        raise GameContractError(
            f"{game.name}: {method} cannot be traced by JAX: {brief(error)}",
            hint="no Python `if` or `int()` on array values, and only arrays come out; use "
            "jnp.where; --debug shows the whole traceback",
        ) from error


def _require_array(
    game: Game[Any], method: str, state: Any, shape: tuple[int, ...], kind: Any
) -> None:
    found = _traced(game, method, state)
    fits = (
        isinstance(found, jax.ShapeDtypeStruct)
        and found.shape == shape
        and jnp.issubdtype(found.dtype, kind)
    )
    wanted = {jnp.integer: "int32", jnp.bool_: "bool", jnp.floating: "float32"}[kind]
    _require(
        fits,
        f"{game.name}: {method}() returns {_shape_text(found)}, but must return "
        f"{wanted}{list(shape)}",
        hint=f"cast with .astype(jnp.{wanted})" if getattr(found, "shape", None) == shape else "",
    )


def _require_same_state(game: Game[Any], before: Any, after: Any, method: str) -> None:
    structure: Any = jax.tree.structure(before)
    _require(
        structure == jax.tree.structure(after),
        f"{game.name}: {method}() returns {type(after).__name__}, but must return a state of the "
        f"same structure as init ({type(before).__name__})",
    )
    for (path, old), new in zip(
        jax.tree_util.tree_leaves_with_path(before), jax.tree.leaves(after), strict=True
    ):
        _require(
            old.shape == new.shape and old.dtype == new.dtype,
            f"{game.name}: {method}() returns {_shape_text(new)} for state"
            f"{jax.tree_util.keystr(path)}, but init gave {_shape_text(old)}",
            hint="shapes and types must never change; cast with .astype",
        )


def _shape_text(found: object) -> str:
    if isinstance(found, jax.ShapeDtypeStruct):
        return f"{found.dtype}{list(found.shape)}"
    return type(found).__name__
