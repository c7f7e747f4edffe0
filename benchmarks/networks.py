"""Which network, or optimiser, fits the stored matches of a run best for the same compute?

    python benchmarks/networks.py runs/connect_four --seconds 600 --seeds 3 \
        --arm "basic: network.blocks=4 network.channels=32" \
        --arm "nested: network.block=nested network.blocks=2 network.channels=48" \
        --arm "muon: learner.optimizer=muon learner.learning_rate=0.002"

Every arm is the settings of the run with some changed, in the sections network and learner. All
learn from the same matches of the run; a share of the matches, chosen by their ids, is kept out of
learning. The arms take turns of a few seconds until each has had its seconds of the CPU (`--clock
wall` counts the time that passes: take it with an accelerator), and the learning rate follows
their share of that time. What is compiled is compiled before. At half of the time and at its end
the averaged weights, those that would play, are asked about matches kept out:

* policy: the cross-entropy with the policy of the search, less its least value, in nats;
* value: the root mean square of the distance to the value of the search, in [0, 2];
* outcome: likewise to the result of the match.

The speed in play is that of the fastest backend of one core, in positions a second. What fits best
is not yet what plays best: a slower network makes fewer positions, and searches less in the same
time. Then compare whole trainings with `benchmarks/methods.py`. Without arguments a short one runs
on matches of tic-tac-toe that it makes first.
"""

import argparse
import dataclasses
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

ARMS = ("as it is:", "wider: network.channels=48", "muon: learner.optimizer=muon")
TURN_SECONDS = 4.0
MEASURED_AT = (0.5, 1.0)


@dataclasses.dataclass(frozen=True, kw_only=True)
class Arm:
    """One of the things that are compared.

    Attributes:
        name: for people.
        overrides: of the settings of the run, "section.key=value".
    """

    name: str
    overrides: tuple[str, ...]


def parse_arm(text: str) -> Arm:
    """Returns the arm that "NAME: section.key=value ..." means; the name may be left out."""
    name, colon, rest = text.partition(":")
    words = (rest if colon else text).split()
    for word in words:
        if not word.startswith(("network.", "learner.")):
            raise SystemExit(f"error: {word} in --arm {text!r} sets neither network nor learner")
    return Arm(name=name.strip() if colon else text.strip(), overrides=tuple(words))


class Training:
    """One arm with one seed: it learns until its clock says that its time is up."""

    def __init__(self, arm: Arm, data: "Data", seed: int, clock: Callable[[], float]) -> None:
        """Compiles what it needs.

        Args:
            arm: what it is.
            data: to learn from.
            seed: of weights, samples and symmetries.
            clock: the seconds that count.
        """
        import jax

        from selfplay.learner import Learner
        from selfplay.networks import build_network
        from selfplay.settings import read_settings

        overlay = read_settings(environ={}, overrides=arm.overrides)
        self.arm, self.seed = arm, seed
        self.config = data.config.updated(overlay)
        learner = self.config.learner
        self.network = build_network(
            data.game, self.config.network, **dict.fromkeys(learner.extra_heads, True)
        )
        self.seconds = 0.0
        self.measured: list[dict[str, float]] = []
        self._data, self._clock = data, clock
        self._learner = Learner(data.game, self.network, learner)
        self._key = jax.random.key(seed)
        self._state = self._learner.init(key=self._key)
        # To compile: what it learns is thrown away.
        self._learn(0.0)
        self.measure(data)
        self._state = self._learner.init(key=jax.random.fold_in(self._key, 1))
        self.measured.clear()

    @property
    def updates(self) -> int:
        """Updates made."""
        return int(self._state.update)

    def turn(self, until: float, whole: float) -> None:
        """Learns until its clock has counted `until` seconds, of `whole` in all."""
        import jax

        begin, before = self._clock(), self.seconds
        while self.seconds < until:
            self._learn(self.seconds / whole)
            jax.block_until_ready(self._state.update)
            self.seconds = before + self._clock() - begin

    def _learn(self, progress: float) -> None:
        import jax

        from selfplay.learner import learning_rate

        config, first = self.config.learner, int(self._state.update)

        def batch(update: int) -> Any:
            return self._data.window.sample(config.batch_size, seed=self.seed, update=update)

        batches = [batch(first)]
        count = self._learner.most_updates(batches[0])
        batches += [batch(first + number) for number in range(1, count)]
        rates = [
            learning_rate(config, update=first + number, progress=progress)
            for number in range(count)
        ]
        self._state, _ = self._learner.updates(
            self._state,
            jax.tree.map(lambda *leaves: np.stack(leaves), *batches),
            learning_rates=rates,
            count=count,
            key=self._key,
        )

    def measure(self, data: "Data") -> None:
        """Notes how well the averaged weights predict the matches that were kept out."""
        import jax

        from selfplay.evaluation.predictions import Predictor

        if not hasattr(self, "_predictor"):
            self._predictor = Predictor(data.game, self.network)
        weights = jax.device_put(jax.device_get(self._state.average))
        samples = data.examples.samples
        scores = self._predictor.scores(weights, samples)
        counted, known = samples.policy_weights > 0, samples.outcome_weights > 0
        excess = (scores.cross_entropy - scores.search_entropy)[counted]
        self.measured.append(
            {
                "seconds": self.seconds,
                "updates": self.updates,
                "policy": float(excess.mean()),
                "value": _root_mean_square(scores.value - samples.search_values),
                "outcome": _root_mean_square((scores.value - samples.outcomes)[known]),
            }
        )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Data:
    """The matches of a run.

    Attributes:
        game: the rules.
        config: the settings of the run.
        window: positions to learn from.
        examples: positions of matches that were kept out.
    """

    game: Any
    config: Any
    window: Any
    examples: Any


def load(run_path: Path, *, positions: int, held_out: int, share: float) -> Data:
    """Returns the newest matches of a run, in two parts."""
    from selfplay.evaluation.predictions import ExampleMaker
    from selfplay.replay import ReplayWindow, part
    from selfplay.run import RunDirectory

    run = RunDirectory.open(run_path)
    game, config = run.make_game(), run.config
    names = run.matches.after({}, limit=sys.maxsize)
    learnt: list[Any] = []
    kept_out: list[Any] = []
    for worker, sequence in reversed(names):
        parted = part(run.matches.get(worker, sequence), share)
        learnt += parted.learnt
        kept_out += parted.held_out
        if sum(match.plies for match in learnt) >= positions:
            break
    count = min(positions, sum(match.plies for match in learnt))
    replay = dataclasses.replace(
        config.replay, min_window=count, max_window=count, max_matches=0, first_positions=1
    )
    window = ReplayWindow(game, replay, run.fingerprint)
    for first in range(0, len(learnt), 2048):
        window.ingest(learnt[first : first + 2048])
    maker = ExampleMaker(game, config.replay, positions=held_out, fingerprint=run.fingerprint)
    examples = maker(kept_out, seed=0)
    if examples is None or not window.size:
        raise SystemExit(f"error: {run_path} has too few matches to keep some out of learning")
    return Data(game=game, config=config, window=window, examples=examples)


def compare(
    data: Data,
    arms: Sequence[Arm],
    *,
    seeds: Sequence[int],
    seconds: float,
    clock: Callable[[], float],
    say: Callable[[str], None],
) -> list[dict[str, Any]]:
    """Returns a row for each arm: what `Training.measure` notes, by seed, and its speed."""
    from selfplay.inference.choose import measure

    rows: list[dict[str, Any]] = []
    for seed in seeds:
        trainings = []
        for arm in arms:
            say(f"seed {seed}: compiles {arm.name}")
            trainings.append(Training(arm, data, seed, clock))
        for share in MEASURED_AT:
            # In turns, so that whatever else the machine does meets all alike.
            while any(one.seconds < share * seconds for one in trainings):
                for one in trainings:
                    one.turn(min(one.seconds + TURN_SECONDS, share * seconds), seconds)
            for one in trainings:
                one.measure(data)
                say(f"seed {seed}: {one.arm.name}: {one.measured[-1]}")
        for index, one in enumerate(trainings):
            if seed == seeds[0]:
                rates = measure(one.network, one.config.network)
                weights = one.network.num_weights()
                rows.append({"arm": one.arm.name, "settings": list(one.arm.overrides)})
                rows[-1] |= {"weights": weights, "positions_per_second": rates, "seeds": []}
            rows[index]["seeds"].append({"seed": seed, "measured": one.measured})
    return rows


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Returns the table for people: the end of the time, means over the seeds and their range."""
    lines = ["| network | weights | positions/s | updates | policy | value | outcome |"]
    lines.append("| --- | --- | --- | --- | --- | --- | --- |")
    for row in rows:
        ends = [seed["measured"][-1] for seed in row["seeds"]]
        backend, rate = max(row["positions_per_second"].items(), key=lambda one: one[1])
        cells = [row["arm"], f"{row['weights']:,}", f"{rate:,.0f} ({backend})"]
        cells.append(f"{np.mean([end['updates'] for end in ends]):,.0f}")
        for name in ("policy", "value", "outcome"):
            found = [end[name] for end in ends]
            spread = f" ± {(max(found) - min(found)) / 2:.4f}" if len(found) > 1 else ""
            cells.append(f"{np.mean(found):.4f}{spread}")
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def _root_mean_square(errors: Any) -> float:
    return float(np.sqrt(np.mean(np.square(errors))))


def _make_matches(place: Path) -> None:
    """Trains tic-tac-toe for some seconds, for its matches."""
    command = [sys.executable, "-m", "selfplay", "train", "tic_tac_toe", "--run", str(place)]
    command += ["--preset", "quick", "--updates", "40", "--set", "evaluation.enabled=false"]
    subprocess.run(command, check=True, stdout=sys.stderr)


def main(arguments: argparse.Namespace) -> None:
    """Compares, and prints the table or one JSON document."""
    from selfplay.startup import prepare

    prepare()
    short = arguments.run is None
    arms = [parse_arm(text) for text in arguments.arm or ARMS]
    with tempfile.TemporaryDirectory() as temporary:
        if short:
            _make_matches(Path(temporary) / "run")
        data = load(
            Path(temporary) / "run" if short else arguments.run,
            positions=arguments.positions,
            held_out=arguments.held_out,
            share=arguments.share,
        )
    rows = compare(
        data,
        arms,
        seeds=range(arguments.seeds),
        seconds=2.0 if short else arguments.seconds,
        clock=time.process_time if arguments.clock == "cpu" else time.monotonic,
        say=lambda text: print(text, file=sys.stderr, flush=True),
    )
    document = {
        "game": data.game.name,
        "positions": data.window.size,
        "held_out": len(data.examples.match_numbers),
        "clock": arguments.clock,
        "rows": rows,
    }
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(document, indent=1) + "\n")
    print(json.dumps(document, indent=1) if arguments.as_json else table(rows))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("run", nargs="?", type=Path)
    parser.add_argument("--arm", action="append", help="NAME: section.key=value ...")
    parser.add_argument("--seconds", type=float, default=300.0, help="of each arm and seed")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--clock", choices=("cpu", "wall"), default="cpu")
    parser.add_argument("--positions", type=int, default=300_000, help="to learn from, at most")
    parser.add_argument("--held-out", type=int, default=16_384, help="positions, at most")
    parser.add_argument("--share", type=float, default=0.1, help="of the matches, kept out")
    parser.add_argument("--output", type=Path, help="file for the JSON document")
    parser.add_argument("--json", dest="as_json", action="store_true")
    main(parser.parse_args())
