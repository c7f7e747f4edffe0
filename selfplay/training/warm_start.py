"""A warm start: a run that starts with the weights of another run, and nothing else of it.

Its network may be larger; then the weights grow into it.
"""

import dataclasses
import shlex
from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from selfplay.errors import CheckpointError, RunError
from selfplay.game import Game
from selfplay.learner import TrainState
from selfplay.networks import Weights, grow, growth_obstacle
from selfplay.registry import fingerprint
from selfplay.run import RunDirectory, find_checkpoint, split_checkpoint_name
from selfplay.runtime.components import Components
from selfplay.settings import Config
from selfplay.store import open_store
from selfplay.store.place import Place
from selfplay.training.cursor import Cursor
from selfplay.training.run_keys import run_keys

Overlay = Mapping[str, Mapping[str, Any]]
"""The settings a person gave: section to key to value."""

_LEARNER_KEYS = (
    "next_policy_weight", "soft_policy_weight", "short_term_value_weight", "learn_loss_weights",
)  # fmt: skip
"""Settings of the learner that add weights."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightSource:
    """The checkpoint whose weights a run starts with; it is only read.

    Attributes:
        run: the run of the checkpoint.
        update: its number.
        config: the settings in force when it was written.
        origin: the table `origin` in run.toml of the new run.
    """

    run: RunDirectory
    update: int
    config: Config
    origin: Mapping[str, Any]

    @property
    def name(self) -> str:
        """What to call it in messages."""
        return f"{self.run.url}@{self.update}"

    def check_game(self, game: Game[Any]) -> None:
        """Raises `RunError` unless the weights were trained for the rules of `game`."""
        hint = "weights serve the rules that they were trained for: leave out --init-from"
        if self.run.game_name != game.name:
            raise RunError(
                f"{self.name} has weights for {self.run.game_name}, but the game is {game.name}",
                hint=hint,
            )
        found = fingerprint(game)
        if self.run.fingerprint != found:
            raise RunError(
                f"{self.name} has weights for {game.name} with other rules or options "
                f"(fingerprint {self.run.fingerprint}, here {found})",
                hint=hint,
            )

    def settings(self, asked: Overlay) -> dict[str, dict[str, Any]]:
        """Returns `asked` with the settings of the source added that decide which weights exist."""
        own = self.config.to_dict()
        taken = {
            "network": own["network"],
            "learner": {key: own["learner"][key] for key in _LEARNER_KEYS},
        }
        both = {name: {**values, **asked.get(name, {})} for name, values in taken.items()}
        return {**{section: dict(values) for section, values in asked.items()}, **both}

    def state(self, components: Components) -> TrainState:
        """Returns the weights and their average, a fresh optimiser and no updates.

        They are grown where the new run has a larger network, so that it predicts the same.

        Args:
            components: of the new run.

        Raises:
            CheckpointError: the checkpoint is missing or damaged, or its network is one that
                cannot grow into that of the new run.
        """
        stored = self.run.checkpoints.load(self.update, "train_state")
        like, config = components.learner.like(), components.config
        found = {name: stored[name] for name in ("weights", "average")}
        if self.growth(config):
            fresh = components.network.init(key=run_keys(config.trainer.seed).init)
            # New units are the same in both, as in a network that begins.
            found = {
                name: grow(jax.device_put(leaves), fresh, self.config.network, config.network)
                for name, leaves in found.items()
            }
        weights = self._fitting(found["weights"], like.weights, config)
        return TrainState(
            weights=weights,
            average=self._fitting(found["average"], like.average, config),
            optimizer=components.learner.optimizer.init(weights),
            update=jax.device_put(np.int32(0)),
        )

    def growth(self, config: Config) -> str:
        """Returns by how much the network has to grow, in words; "" if not at all or it cannot."""
        old, new = self.config.network, config.network
        if old == dataclasses.replace(new, dtype=old.dtype) or growth_obstacle(old, new):
            return ""
        change = f"from {old.blocks}x{old.channels} to {new.blocks}x{new.channels}"
        return change + ", with global pooling" * (new.global_pooling and not old.global_pooling)

    def _fitting(
        self, stored: Mapping[str, Any], wanted: Mapping[str, Any], config: Config
    ) -> Weights:
        """Returns stored weights; raises unless they have the right names and shapes."""
        forms, asked = ({name: _form(leaf) for name, leaf in w.items()} for w in (stored, wanted))
        for name in sorted({*forms, *asked}):
            if forms.get(name) != asked.get(name):
                raise CheckpointError(
                    f"{self.name} has {name} as {forms.get(name)}, but the network of the new run "
                    f"needs {asked.get(name)}",
                    hint=self._advice(config),
                )
        return jax.device_put({name: stored[name] for name in wanted})

    def _advice(self, config: Config) -> str:
        """Returns the network settings of the source."""
        own, other = self.config.to_dict(), config.to_dict()
        different = [
            "--set " + shlex.quote(f"{section}.{key}={own[section][key]}")
            for section, keys in (("network", own["network"]), ("learner", _LEARNER_KEYS))
            for key in keys
            if own[section][key] != other[section][key]
        ]
        if not different:
            return "it was written by another version of the network: leave out --init-from"
        obstacle = growth_obstacle(self.config.network, config.network)
        wider = config.network.channels > self.config.network.channels
        reason = f"the new network {obstacle}; " if obstacle and wider else ""
        return f"{reason}take its network: {' '.join(different)}"


def find_source(text: str) -> WeightSource:
    """Returns the checkpoint that "RUN[@UPDATE]" means.

    Raises:
        RunError: RUN is not a run.
        CheckpointError: it has no such checkpoint, or none yet, or it is damaged.
    """
    place, update = find_checkpoint(text)
    run = RunDirectory.open(place)
    metadata = run.checkpoints.metadata(update)
    settings = metadata.get("config")
    return WeightSource(
        run=run,
        update=update,
        config=run.config if settings is None else Config.from_dict(settings),
        origin={
            "run": run.url,
            "update": update,
            "created": run.created,
            "checkpoint_time": str(metadata.get("time", "")),
            "checkpoint_sha256": run.checkpoints.digest(update),
            "weights_only": True,
            # The origins form a chain, back to the first run.
            **({"origin": run.document["origin"]} if "origin" in run.document else {}),
        },
    )


def own_source(run: RunDirectory) -> WeightSource | None:
    """Returns the source of a run's weights; None if it started from scratch, or as a clone.

    Raises:
        RunError: it does not exist any more.
        CheckpointError: likewise, or it was replaced.
    """
    origin = run.weights_origin
    if origin is None:
        return None
    source = find_source(f"{origin['run']}@{origin['update']}")
    if source.origin["checkpoint_sha256"] != origin["checkpoint_sha256"]:
        raise CheckpointError(
            f"{source.name} has changed since {run.url} was created from it",
            hint="make another run with --init-from",
        )
    return source


def check_origin(place: Place, text: str) -> None:
    """Raises `RunError` unless the run at `place` began with the weights of "RUN[@UPDATE]".

    The same command may be given again, for example after a kill: the run continues, even if the
    source is gone.
    """
    run = RunDirectory.open(place)
    origin = run.weights_origin or {}
    named, update = split_checkpoint_name(text)
    same = origin.get("run") == open_store(named).url and update in (None, origin.get("update"))
    if not same:
        raise RunError(
            f"{run.url} is a run already, which did not begin with {text}",
            hint="choose another --run; to go on with this one leave out --init-from",
        )


def publish(run: RunDirectory, state: TrainState) -> None:
    """Writes the first checkpoint of a run, number 0. From then on it is a run like any other.

    Raises:
        RunError: another process is training the run.
        StorageError: the disk is full or refuses the write.
    """
    with run.lock():
        run.checkpoints.save(
            0,
            {"weights": jax.device_get(state.average), "train_state": jax.device_get(state)},
            metadata={"cursor": Cursor().to_json()},
        )


def _form(leaf: Any) -> str:
    return f"{leaf.dtype}[{','.join(map(str, leaf.shape))}]"
