"""What `selfplay train` chooses for games: a table for docs/fitting.md.

    python benchmarks/fits.py all --minutes 5 30 0 --devices 2

Nothing is trained, and nothing depends on the machine that prints the table, except that rules in
plain Python are timed. 0 minutes are no planned end. Without arguments: tic-tac-toe.
"""

import argparse

from selfplay import startup


def main(arguments: argparse.Namespace) -> None:
    """Prints a table in Markdown."""
    startup.prepare()
    from selfplay.registry import game_names, make
    from selfplay.runtime.facts import game_facts
    from selfplay.settings import Config, MachineFacts
    from selfplay.settings.fitting import fit

    machine = MachineFacts(
        platform=arguments.platform,
        devices=arguments.devices,
        memory=int(arguments.gigabytes * 1e9),
    )
    print(
        "| game | legal moves | plies | minutes | network | simulations | random plies | "
        "first update at | window | matches a device | positions expected |"
    )
    print("| --- " * 11 + "|")
    names = game_names() if arguments.games == ["all"] else arguments.games
    for name in names or ["tic_tac_toe"]:
        game = game_facts(make(name))
        for minutes in arguments.minutes:
            asked = {"trainer": {"minutes": minutes}}
            found = fit(game, machine, asked)
            config = Config.from_dict(found.settings).updated(asked)
            network, search, replay = config.network, config.search, config.replay
            row = (
                name,
                f"{game.legal_actions:.3g}",
                f"{game.plies:.0f}",
                f"{minutes:g}" if minutes else "no end",
                f"{network.blocks}x{network.channels}{'' if game.is_board else ' mlp'}",
                search.num_simulations,
                config.rollout.random_opening_plies,
                f"{replay.first_positions:,}",
                f"{replay.min_window:,} to {replay.max_window:,}",
                config.rollout.matches_per_device or "usual",
                f"{float(f'{found.positions:.2g}'):,.0f}",
            )
            print("| " + " | ".join(map(str, row)) + " |", flush=True)


def parser() -> argparse.ArgumentParser:
    """Returns the parser of the command line."""
    found = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    found.add_argument("games", nargs="*", help="names of games, or all")
    found.add_argument("--minutes", type=float, nargs="+", default=[30.0])
    found.add_argument("--platform", default="cpu", choices=("cpu", "gpu", "tpu"))
    found.add_argument("--devices", type=int, default=2)
    found.add_argument("--gigabytes", type=float, default=24.0, help="memory of the host")
    return found


if __name__ == "__main__":
    main(parser().parse_args())
