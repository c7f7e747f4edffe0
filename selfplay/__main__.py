"""`python -m selfplay`: the same as the command `selfplay`."""

from selfplay.cli.main import main

if __name__ == "__main__":
    main()
