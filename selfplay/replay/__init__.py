"""Replay window: finished matches in, samples out. Host memory, compiled replaying."""

from selfplay.replay.rebuild import Rebuilder as Rebuilder
from selfplay.replay.window import ReplayWindow as ReplayWindow
from selfplay.replay.window import Samples as Samples
