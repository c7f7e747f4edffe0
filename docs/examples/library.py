"""From rules to a trained and measured agent with the library alone, in about a minute."""

import sys
from pathlib import Path

import jax

import selfplay

selfplay.prepare()  # every CPU core, compilation cache; before anything else

# A game, and what its author wrote: pure functions of one small state.
spec = selfplay.GameSpec("tic_tac_toe")
game = spec.make()

# A batch of positions: eight random starts, searched at once with a fresh network.
config = selfplay.load_config(preset="quick", overrides=["trainer.updates=60"])
components = selfplay.make_components(game, config)
weights = components.inference.load(components.network.init(key=jax.random.key(0)))
searcher = selfplay.Searcher(game, components.evaluate, config.search, batch_size=8)
states = jax.vmap(game.init)(jax.random.split(jax.random.key(1), 8))
positions = selfplay.Position(state=states, ply=jax.numpy.zeros(8, jax.numpy.int32))
found = searcher(weights, positions, key=jax.random.key(2))
print("moves", found.actions, "values for the player to move", found.value)

# Self-play: 4 plies of every match; then a whole training run, resumable, on disk.
matches, plies = components.player.play(
    weights, components.player.start(key=jax.random.key(3)), key=jax.random.key(4)
)
print("plies, matches:", plies.actions.shape)
run = selfplay.RunDirectory.open_or_create(Path(sys.argv[1]), spec, game, config.to_dict())
trainer = selfplay.train(run, selfplay.make_components(game, run.config))
print("updates:", trainer.update)

# How strong is it? Paired openings, both seats, with an interval.
table = selfplay.play_matches(
    game,
    selfplay.make_agent(str(run.path), game),
    selfplay.make_agent("random", game),
    num_matches=20,
)
print("score against random:", table.score, "95 % interval", table.interval)
