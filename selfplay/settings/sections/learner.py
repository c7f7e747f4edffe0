"""Settings of the learner."""

import dataclasses

from selfplay.configuration import check_choice, check_range

OPTIMIZERS = ("adamw", "sgd", "muon")
SCHEDULES = ("auto", "constant", "tail", "cosine", "cosine_restarts", "step", "plateau")
VALUE_LOSSES = ("cross_entropy", "mse", "huber")
SHORT_TERM_HORIZONS = (4, 12, 36)
"""Plies that the averages of root values reach ahead: of the root value `n` plies later, an average
over horizon `h` holds the share `1 / h * (1 - 1 / h) ** n`."""


@dataclasses.dataclass(frozen=True, kw_only=True, slots=True)
class LearnerConfig:
    """How the weights change.

    Attributes:
        batch_size: positions per update, at least 1.
        micro_batches: number of parts into which a batch is split to save memory, at most
            `batch_size`. The gradient is that of the whole batch.
        optimizer: "adamw", "sgd" (Nesterov momentum) or "muon".
        learning_rate: peak learning rate, above 0.
        schedule: the learning rate after the warm-up. "auto": "tail" in a run with a planned end;
            in one without it is halved whenever the updates have doubled since the loss last fell;
            "tail": constant, then falls linearly to zero over the last `tail_share` of the plan;
            "cosine": falls to zero over the plan;
            "cosine_restarts": does so `schedule_cycles` times; "step": is multiplied by
            `step_factor` after each of `schedule_cycles` equal parts of the plan; "plateau": is
            multiplied by `step_factor` when the loss has not fallen for `plateau_updates`;
            "constant". The plan is `--minutes` or `--updates`.
        warmup_updates: updates during which the learning rate rises linearly from 0, at least 0.
        tail_share: share of the plan for the final decay of "tail" and for `late_batches`, in
            (0, 1].
        late_batches: batches whose mean gradient makes one step of the optimiser, in the last
            `tail_share` of the plan, at least 1. Before that each batch makes one.
        schedule_cycles: cycles of "cosine_restarts" and parts of "step", at least 1.
        step_factor: factor of "step" and "plateau", in (0, 1]; 1 changes nothing.
        plateau_updates: updates without progress before "plateau" acts, at least 1.
        weight_decay: decoupled weight decay, at least 0; not applied to biases and scales.
        momentum: of sgd and muon, in [0, 1).
        max_gradient_norm: gradients are clipped to this global norm, above 0.
        ema_decay: decay, in [0, 1), of the moving average of the weights; the average plays the
            matches.
        symmetries: whether each sample is transformed by a random symmetry of the game.
        outcome_share: weight of the match's outcome in the value target, in [0, 1]; the rest comes
            from the root values of the searches (`replay.value_lambda`).
        late_outcome_share: the same weight at the last ply of a match, at most 1; before, it goes
            linearly from `outcome_share` at the first ply to this. Below 0 it is `outcome_share`
            throughout.
        value_loss: "cross_entropy", "mse" or "huber" (of the expected result).
        value_weight: weight of the value loss, at least 0.
        policy_weight: weight of the policy loss, at least 0.
        next_policy_weight: weight of the loss of an extra head that predicts the policy target one
            ply later (Wu, 2019, section 3.4), at least 0; 0 builds no such head.
        soft_policy_weight: weight of the loss of an extra head that predicts a softer policy
            target, the fourth root of each probability, at least 0; 0 builds no such head.
        short_term_value_weight: weight of the loss of an extra head that predicts averages of the
            root values of the next plies, over three horizons, at least 0; 0 builds no such head.
        auxiliary_weight: weight of each auxiliary target that the game declares, at least 0.
        learn_loss_weights: whether each part of the loss is divided by the size that is learnt to
            be expected of it; the weights above then say what share each part has.
        label_smoothing: smoothing of the policy target over the legal actions, in [0, 1).
        history_dropout: share of samples whose `history_planes` are set to zero, in [0, 1]; above 0
            only for games that declare some.
    """

    batch_size: int = 128
    micro_batches: int = 1
    optimizer: str = "adamw"
    learning_rate: float = 2e-3
    schedule: str = "auto"
    warmup_updates: int = 100
    tail_share: float = 0.4
    late_batches: int = 1
    schedule_cycles: int = 3
    step_factor: float = 0.3
    plateau_updates: int = 1000
    weight_decay: float = 1e-4
    momentum: float = 0.9
    max_gradient_norm: float = 1.0
    ema_decay: float = 0.997
    symmetries: bool = True
    outcome_share: float = 0.2
    late_outcome_share: float = -1.0
    value_loss: str = "cross_entropy"
    value_weight: float = 1.0
    policy_weight: float = 1.0
    next_policy_weight: float = 0.15
    soft_policy_weight: float = 0.0
    short_term_value_weight: float = 0.0
    auxiliary_weight: float = 0.15
    learn_loss_weights: bool = False
    label_smoothing: float = 0.0
    history_dropout: float = 0.0

    def __post_init__(self) -> None:
        check_range("learner.batch_size", self.batch_size, low=1)
        check_range("learner.micro_batches", self.micro_batches, low=1, high=self.batch_size)
        check_choice("learner.optimizer", self.optimizer, OPTIMIZERS)
        check_range("learner.learning_rate", self.learning_rate, above=0)
        check_choice("learner.schedule", self.schedule, SCHEDULES)
        check_range("learner.warmup_updates", self.warmup_updates, low=0)
        check_range("learner.tail_share", self.tail_share, above=0, high=1)
        check_range("learner.late_batches", self.late_batches, low=1)
        check_range("learner.schedule_cycles", self.schedule_cycles, low=1)
        check_range("learner.step_factor", self.step_factor, above=0, high=1)
        check_range("learner.plateau_updates", self.plateau_updates, low=1)
        check_range("learner.weight_decay", self.weight_decay, low=0)
        check_range("learner.momentum", self.momentum, low=0, below=1)
        check_range("learner.max_gradient_norm", self.max_gradient_norm, above=0)
        check_range("learner.ema_decay", self.ema_decay, low=0, below=1)
        check_range("learner.outcome_share", self.outcome_share, low=0, high=1)
        check_choice("learner.value_loss", self.value_loss, VALUE_LOSSES)
        check_range("learner.late_outcome_share", self.late_outcome_share, high=1)
        for field in dataclasses.fields(self):
            if field.name.endswith("_weight"):
                check_range(f"learner.{field.name}", getattr(self, field.name), low=0)
        check_range("learner.label_smoothing", self.label_smoothing, low=0, below=1)
        check_range("learner.history_dropout", self.history_dropout, low=0, high=1)

    @property
    def extra_heads(self) -> tuple[str, ...]:
        """Returns the heads that these settings need beside those that play."""
        weights = {
            "next_policy": self.next_policy_weight,
            "soft_policy": self.soft_policy_weight,
            "short_term_values": self.short_term_value_weight,
        }
        return tuple(name for name, weight in weights.items() if weight > 0)
