"""Learner: updates of the weights from samples of matches. Pure."""

from selfplay.learner.learner import Learner as Learner
from selfplay.learner.learner import TrainState as TrainState
from selfplay.learner.losses import losses as losses
from selfplay.learner.schedule import Plateau as Plateau
from selfplay.learner.schedule import Stall as Stall
from selfplay.learner.schedule import learning_rate as learning_rate
from selfplay.learner.scores import Scores as Scores
from selfplay.learner.scores import score_positions as score_positions
from selfplay.learner.targets import make_targets as make_targets
