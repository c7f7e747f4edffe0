"""Every check of the project. `nox` runs them all in the environment that it is installed in."""

import sys
import sysconfig
from pathlib import Path

import nox
from nox.command import CommandFailed

ROOT = Path(__file__).parent
SCRIPTS = Path(sysconfig.get_path("scripts"))
CODE = ("selfplay", "games", "tests", "benchmarks", "docs", "noxfile.py")

nox.options.default_venv_backend = "none"
# The cheap ones first; pytest last, so that its closing line is the last thing to read.
nox.options.sessions = ["lint", "types", "docs", "tests"]


def run(session: nox.Session, module: str, *arguments: str) -> None:
    """Runs a Python tool of this environment, whether or not the environment is activated."""
    session.run(sys.executable, "-m", module, *arguments, external=True)


@nox.session
def lint(session: nox.Session) -> None:
    """Style (ruff) and the direction of imports (import-linter)."""
    run(session, "ruff", "check", *CODE)
    run(session, "ruff", "format", "--check", *CODE)
    session.run(str(SCRIPTS / "lint-imports"), external=True)


@nox.session
def types(session: nox.Session) -> None:
    """Static types (mypy --strict)."""
    run(session, "mypy")


@nox.session
def docs(session: nox.Session) -> None:
    """The documentation; a broken link or a page outside the navigation is an error."""
    # The theme otherwise prints an advertisement for its successor at every build.
    session.env["NO_MKDOCS_2_WARNING"] = "1"
    run(session, "mkdocs", "build", "--strict", "--site-dir", "site")


@nox.session
def tests(session: nox.Session) -> None:
    """The tests on two processes; arguments go to pytest: `nox -s tests -- -m slow -n 0`."""
    # Each process takes whole files in a row, so that what a file compiles or starts for all of its
    # tests is made once; who is done first takes over from the other. A third one on two cores
    # compiles so much again that it takes longer.
    run(session, "pytest", "-n", "2", "--dist", "worksteal", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Every script in benchmarks/, in short; goes on after a failure and names all at the end."""
    failed = []
    for script in sorted((ROOT / "benchmarks").glob("*.py")):
        try:
            session.run(sys.executable, str(script), *session.posargs, external=True)
        except CommandFailed:
            failed.append(script.name)
    if failed:
        session.error(f"failed: {', '.join(failed)}")
