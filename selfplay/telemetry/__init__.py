"""Telemetry: shows the state and progress of a process to people and programs.

In: snapshots and messages of a process. Out: a live screen, logs, metrics, TensorBoard, pictures.
"""

from selfplay.telemetry.health import Health
from selfplay.telemetry.metrics import METRICS, PHASES
from selfplay.telemetry.monitor import Monitor
from selfplay.telemetry.progress import Progress
from selfplay.telemetry.results import MistakeRate, Strength, SuiteScore, mistake_rates, suite_score
from selfplay.telemetry.screen import PlainReporter, Reporter, ScreenReporter, make_reporter
from selfplay.telemetry.tensorboard import Point, TensorBoardWriter, read_scalars

__all__ = [
    "METRICS",
    "PHASES",
    "Health",
    "MistakeRate",
    "Monitor",
    "PlainReporter",
    "Point",
    "Progress",
    "Reporter",
    "ScreenReporter",
    "Strength",
    "SuiteScore",
    "TensorBoardWriter",
    "make_reporter",
    "mistake_rates",
    "read_scalars",
    "suite_score",
]
