"""Programs that play by GTP or UCI, as agents."""

from selfplay.arena.engines.agent import EngineAgent as EngineAgent
from selfplay.arena.engines.spec import EngineSpec as EngineSpec
from selfplay.arena.engines.spec import is_engine as is_engine
from selfplay.arena.engines.spec import parse_engine as parse_engine
