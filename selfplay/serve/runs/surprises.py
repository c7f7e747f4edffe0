"""Computes where the search of a recorded match differed most from the network."""

import asyncio
import math
from typing import Any

import numpy as np

from selfplay.arena import Analysis
from selfplay.errors import SelfplayError
from selfplay.serve.analysis.agents import SIZES, as_thinker
from selfplay.serve.analysis.lines import LINE_KEYS
from selfplay.serve.analysis.searches import Searches
from selfplay.serve.served import ServedGame
from selfplay.serve.threads import Threads

_LEAST_SHARE = 1e-9


async def add_surprises(
    document: dict[str, Any], run: str, served: ServedGame, threads: Threads, searches: Searches
) -> None:
    """Adds the network's own policy to the plies of a recorded match, if its checkpoint exists.

    Args:
        document: the match; `raw_policy` and `surprise` of its plies are set.
        run: identifier of the run.
        served: the game.
        threads: call rules and files.
        searches: evaluate the network without a search.
    """
    update = document["last_checkpoint"]
    if document["kind"] != "selfplay" or update != document["first_checkpoint"]:
        return
    try:
        agent = as_thinker(await threads.by_files(served.agent, f"{run}@{update}"))
        match = await threads.by_rules(
            served.id,
            served.lines.find,
            {key: document[key] for key in LINE_KEYS if key != "game"},
        )
        for first in range(0, len(document["plies"]), SIZES[-1]):
            plies = range(first, min(first + SIZES[-1], len(document["plies"])))
            asked = [searches.submit(agent, match.before(ply), simulations=0) for ply in plies]
            try:
                for ply, answer in zip(plies, asked, strict=True):
                    found = await asyncio.wrap_future(answer)
                    _add_opinion(document["plies"][ply], found.analysis)
            finally:
                for answer in asked:
                    answer.cancel()
    except SelfplayError:
        # The checkpoint was removed, or too many searches wait: the match is shown without.
        return


def _add_opinion(ply: dict[str, Any], analysis: Analysis) -> None:
    """Adds the network's policy and the divergence of the recorded policy from it, in nats."""
    raw = analysis.raw_policy
    if raw is None:
        return
    ply["raw_policy"] = {str(action): float(raw[action]) for action in np.flatnonzero(raw)}
    ply["surprise"] = sum(
        share * math.log(share / max(float(raw[int(action)]), _LEAST_SHARE))
        for action, share in ply["policy"].items()
        if share > 0
    )
