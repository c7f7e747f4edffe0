"""A snapshot of a training session, for the screen, heartbeats and metrics."""

import dataclasses

import jax

from selfplay.evaluation.strength import StrengthMeter
from selfplay.run import RunDirectory
from selfplay.runtime.components import Components
from selfplay.runtime.meter import Meter
from selfplay.runtime.publishing import RecentMatches
from selfplay.telemetry import PHASES, Progress
from selfplay.training.learning import Learning
from selfplay.training.match_source import MatchSource
from selfplay.training.session_schedule import SessionSchedule


@dataclasses.dataclass(frozen=True, kw_only=True)
class SnapshotBuilder:
    """Reads the objects of a session without changing them.

    Attributes:
        run: what is trained.
        components: what plays and learns.
        learning: counters and losses.
        source: the matches of workers, and the time spent waiting for them.
        schedule: the plan.
        meter: rates.
        recent: length and results of the newest matches.
        strength: results against opponents.
    """

    run: RunDirectory
    components: Components
    learning: Learning
    schedule: SessionSchedule
    meter: Meter
    source: MatchSource
    recent: RecentMatches
    strength: StrengthMeter

    def progress(self, state: str) -> Progress:
        """Returns a snapshot for the screen.

        Args:
            state: what the session does, such as "training".
        """
        learning, schedule, meter = self.learning, self.schedule, self.meter
        cursor, update = learning.cursor, learning.update
        fraction = schedule.planned_fraction
        losses = dict(learning.losses)
        gradient_norm = losses.pop("gradient_norm", None)
        held_out, accepted = learning.held_out.losses, learning.gate.accepted
        drawn = update * self.components.config.learner.batch_size
        played_by = self.source.intake.counts.last_checkpoints.values()
        metrics = {
            "elapsed_seconds": schedule.elapsed,
            "update": update,
            "checkpoint": learning.saved,
            "accepted_update": accepted.update if accepted else None,
            "newest_checkpoint": learning.saved,
            "checkpoint_age_seconds": schedule.checkpoint_age,
            "matches": cursor.matches,
            "positions": cursor.positions,
            "matches_per_second": meter.rate("matches"),
            "positions_per_second": meter.rate("positions"),
            "simulations_per_second": meter.rate("simulations"),
            **self.recent.metrics(),
            **self.source.playing_metrics(),
            "updates_per_second": meter.rate("updates"),
            "losses": losses,
            "learning_rate": learning.rate if losses else None,
            "gradient_norm": gradient_norm,
            "held_out_losses": held_out.held_out if held_out else {},
            "overfitting": held_out.gaps if held_out else {},
            "held_out_matches": cursor.held_out,
            "reuse": drawn / cursor.positions if cursor.positions else None,
            "window_positions": learning.window.size,
            "window_age_updates": int(learning.window.mean_age(update)),
            "backlog_positions": learning.backlog,
            "reanalysed_positions": cursor.reanalysed,
            "reanalysed_per_second": meter.rate("reanalysed"),
            **self.source.reanalysis_metrics(),
            "data_age_seconds": self.source.intake.data_age,
            "staleness_updates": max(0, update - min(played_by)) if played_by else None,
            **{f"{reason}_matches": count for reason, count in cursor.left_out.items()},
            "damaged_files": cursor.damaged_files,
            "waiting_seconds": self.source.waited_seconds,
            "starved_seconds": self.source.starved_seconds,
            "phases": meter.shares(PHASES),
            "strength": tuple(self.strength.results.values()),
            "mistakes": self.strength.mistakes.rates,
            "suite": self.strength.suite.scores,
        }
        return Progress(
            game=self.components.game.name,
            run=self.run.url,
            metrics=metrics,
            planned_fraction=fraction,
            eta_seconds=schedule.elapsed * (1 / fraction - 1) if fraction else None,
            state=state,
            device=f"{self.components.mesh.size} x {jax.devices()[0].platform}",
        )
