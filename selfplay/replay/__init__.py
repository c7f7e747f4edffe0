"""Replay window: finished matches in, samples out. Host memory, compiled replaying."""

from selfplay.replay.holdout import is_held_out as is_held_out
from selfplay.replay.holdout import part as part
from selfplay.replay.rebuild import Rebuilder as Rebuilder
from selfplay.replay.samples import Samples as Samples
from selfplay.replay.window import ReplayWindow as ReplayWindow
