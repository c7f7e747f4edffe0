"""Rollout: self-play in one compiled function; weights in, plies of many matches out. Pure."""

from selfplay.rollout.playout_cap import mean_simulations as mean_simulations
from selfplay.rollout.plies import Plies as Plies
from selfplay.rollout.resignation import NEVER as NEVER
from selfplay.rollout.resignation import may_resign as may_resign
from selfplay.rollout.self_player import SelfPlayer as SelfPlayer
from selfplay.rollout.starts import Matches as Matches
from selfplay.rollout.starts import Repeated as Repeated
from selfplay.rollout.starts import Restarts as Restarts
from selfplay.rollout.starts import no_restarts as no_restarts
