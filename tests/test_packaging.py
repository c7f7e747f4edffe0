"""What an installed copy promises."""

import ast
import importlib
import importlib.metadata
import pkgutil
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import jaxtyping
import pytest

import selfplay
import selfplay.games

ROOT = Path(__file__).parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())


def test_the_version_is_the_installed_one() -> None:
    assert selfplay.__version__ == importlib.metadata.version("selfplay-jax")
    assert selfplay.__version__ == PROJECT["project"]["version"]


def test_the_console_script_is_registered() -> None:
    (script,) = importlib.metadata.entry_points(group="console_scripts", name="selfplay")
    assert script.value == "selfplay.cli.main:main"
    assert callable(script.load())


def test_every_package_on_disk_is_installed() -> None:
    on_disk = {
        ".".join(("selfplay", *path.parent.relative_to(ROOT / "selfplay").parts))
        for path in (ROOT / "selfplay").rglob("__init__.py")
    }
    assert set(PROJECT["tool"]["setuptools"]["packages"]) == on_disk | {
        "selfplay.deploy",
        "selfplay.games",
        "selfplay.templates",
    }


@pytest.mark.parametrize(
    "module", [module.name for module in pkgutil.iter_modules(selfplay.games.__path__)]
)
def test_a_bundled_game_imports_under_its_installed_name(module: str) -> None:
    assert importlib.import_module(f"selfplay.games.{module}").__doc__


@pytest.mark.parametrize("here", [True, False], ids=["in the repository", "elsewhere"])
def test_games_are_found_from_any_directory(here: bool, tmp_path: Path) -> None:
    found = subprocess.run(
        [sys.executable, "-c", "import selfplay.games as games; print(games.__name__)"],
        cwd=ROOT if here else tmp_path,
        capture_output=True,
        text=True,
        check=True,
    )
    assert found.stdout.strip() == "selfplay.games"


def test_constraints_pin_versions_and_name_no_address() -> None:
    lines = (ROOT / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]
    assert [pin for pin in pins if not re.fullmatch(r"[a-z0-9-]+==[0-9a-z.]+", pin)] == []
    names = [pin.split("==")[0] for pin in pins]
    assert names == sorted(set(names))


def test_every_requirement_is_pinned() -> None:
    pinned = {line.split("==")[0] for line in (ROOT / "constraints.txt").read_text().splitlines()}
    extras = PROJECT["project"]["optional-dependencies"]
    requirements = [
        *PROJECT["project"]["dependencies"],
        *(need for extra in ("dev", "openspiel", "pgx", "referees") for need in extras[extra]),
    ]
    names = {re.split(r"[\[<>=]", requirement)[0].lower() for requirement in requirements}
    assert names - {"selfplay-jax"} <= pinned


OPTIONAL = {
    "selfplay/inference/graph.py": "onnx",
    "selfplay/inference/model.py": "onnxruntime",
    "selfplay/store/redis_store.py": "redis",
}
"""Modules that are imported only where their extra is wanted, and what they then need."""

OPTIONAL_FOLDERS = {
    "selfplay/serve": {"starlette", "uvicorn"},
    "selfplay/serve/runs": {"starlette"},
}
"""Likewise for packages."""


def test_optional_modules_are_left_out_where_they_are_not_wanted() -> None:
    modules = [path.removesuffix(".py").replace("/", ".") for path in OPTIONAL]
    script = (
        "import sys, selfplay.cli.main, selfplay.training.trainer, selfplay.run;print(*sys.modules)"
    )
    found = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True
    )
    assert "selfplay.training.trainer" in found.stdout.split()
    folders = [folder.replace("/", ".") for folder in OPTIONAL_FOLDERS]
    needed = {name for names in OPTIONAL_FOLDERS.values() for name in names}
    left_out = {*modules, *folders, *OPTIONAL.values(), *needed}
    assert not left_out & set(found.stdout.split())


@pytest.mark.parametrize("folder", ["games", "selfplay"])
def test_what_is_imported_at_once_is_a_runtime_dependency(folder: str) -> None:
    declared = {
        re.split(r"[\[<>=]", need)[0].lower() for need in PROJECT["project"]["dependencies"]
    }
    providers = {
        module: {name.lower().replace("_", "-") for name in distributions}
        for module, distributions in importlib.metadata.packages_distributions().items()
    }
    undeclared = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in (ROOT / folder).rglob("*.py")
        for node in ast.parse(path.read_text()).body
        for name in imported(node)
        if name not in {"selfplay", *sys.stdlib_module_names}
        if not declared & providers.get(name, set())
        if OPTIONAL.get(str(path.relative_to(ROOT))) != name
        if name not in OPTIONAL_FOLDERS.get(str(path.parent.relative_to(ROOT)), set())
    }
    assert undeclared == set()


def imported(node: ast.stmt) -> list[str]:
    """Returns the top-level names that an import statement brings in."""
    if isinstance(node, ast.ImportFrom):
        return [(node.module or "").split(".")[0]]
    if isinstance(node, ast.Import):
        return [alias.name.split(".")[0] for alias in node.names]
    return []


def test_ci_runs_what_the_readme_says() -> None:
    commands = re.findall(r"```sh\n(.*?)\n```", (ROOT / "README.md").read_text(), re.DOTALL)
    last_line = (ROOT / ".ci" / "run").read_text().splitlines()[-1]
    assert last_line in commands


def test_the_example_game_in_the_readme_is_short_and_verbatim() -> None:
    readme = (ROOT / "README.md").read_text()
    ((path, code),) = re.findall(
        r"<!-- example: (\S+) -->\n```python\n(.*?)```\n<!-- end -->", readme, re.DOTALL
    )
    assert code == (ROOT / path).read_text(), "run `python docs/generate.py`"
    assert len(code.splitlines()) <= 60


def test_annotations_are_checked_in_bundled_games_too() -> None:
    game = importlib.import_module("selfplay.games.tic_tac_toe").TicTacToe()
    with pytest.raises(jaxtyping.TypeCheckError):
        game.init("not a key")
