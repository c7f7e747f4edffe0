"""Reads what lies in deploy/ the way the programs it is meant for would."""

import json
import os
import re
import shlex
import shutil
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
ROLES = ("trainer", "worker", "evaluator")
DOCKERFILES = (ROOT / "Dockerfile.selfplay", ROOT / "Dockerfile.trainer")


def program(name: str) -> str | None:
    """Returns where a program is: beside the Python that runs the tests, or on the path."""
    beside = str(Path(sys.executable).parent)
    return shutil.which(name, path=os.pathsep.join((beside, os.environ.get("PATH", ""))))


def instructions(dockerfile: Path) -> list[tuple[str, str]]:
    """Returns the instructions of a Dockerfile: name and the rest, continued lines joined."""
    lines = [
        line for line in dockerfile.read_text().splitlines() if not line.lstrip().startswith("#")
    ]
    joined = re.sub(r"\\\n", "", "\n".join(lines))
    found = []
    for line in joined.splitlines():
        name, _, rest = line.strip().partition(" ")
        if name:
            found.append((name, rest.strip()))
    return found


def compose(environ: Mapping[str, str] | None = None, file: str = "compose.yaml") -> dict[str, Any]:
    """Returns a compose file with its variables put in."""
    text = (DEPLOY / file).read_text()
    document: dict[str, Any] = yaml.safe_load(_interpolated(text, environ or {}))
    return document


def compose_command(service: str, environ: Mapping[str, str] | None = None) -> list[str]:
    """Returns the arguments that a service gives to the program of its image."""
    command: list[str] = compose(environ)["services"][service]["command"]
    return command


def _interpolated(text: str, environ: Mapping[str, str]) -> str:
    def value(found: re.Match[str]) -> str:
        return environ.get(found["name"]) or found["default"]

    replaced = re.sub(r"\$\{(?P<name>[A-Z_]+):-(?P<default>[^}]*)\}", value, text)
    assert "${" not in replaced, "every variable has a default"
    return replaced


def kustomized(overlay: str) -> list[dict[str, Any]]:
    """Returns the resources of an overlay: those of its bases, with its patches applied."""
    return list(_kustomized(DEPLOY / "kubernetes" / "overlays" / overlay))


def _kustomized(folder: Path) -> Iterator[dict[str, Any]]:
    wanted = yaml.safe_load((folder / "kustomization.yaml").read_text())
    resources: list[dict[str, Any]] = []
    for name in wanted["resources"]:
        path = folder / name
        resources += _kustomized(path) if path.is_dir() else yaml.safe_load_all(path.read_text())
    for patch in wanted.get("patches", ()):
        targets = [
            one
            for one in resources
            if one["kind"] == patch["target"]["kind"]
            and one["metadata"]["name"] == patch["target"]["name"]
        ]
        assert len(targets) == 1, f"{folder}: a patch meets {len(targets)} resources"
        for operation in yaml.safe_load(patch["patch"]):
            _apply(targets[0], operation)
    yield from resources


def _apply(document: Any, operation: Mapping[str, Any]) -> None:
    """Applies one operation of a JSON patch (RFC 6902) in place; `replace` is all that is used."""
    assert operation["op"] == "replace"
    *parents, last = operation["path"].removeprefix("/").split("/")
    for part in parents:
        document = document[int(part) if isinstance(document, list) else part]
    key = int(last) if isinstance(document, list) else last
    assert document[key] is not None, "what is replaced is there"
    document[key] = operation["value"]


def pods(resources: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns the pod of each workload, by name."""
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for one in resources
        if one["kind"] in ("Deployment", "StatefulSet", "Job")
    }


def slurm_command(role: str) -> list[str]:
    """Returns the arguments of selfplay in a batch file, its variables put in."""
    text = (DEPLOY / "slurm" / f"{role}.sbatch").read_text().replace("\\\n", " ")
    (line,) = [line for line in text.splitlines() if line.startswith("srun ")]
    variables = {"RUN": "/shared/runs/first", "GAME": "", "SLURM_CPUS_PER_TASK": "4"}
    numbers = dict.fromkeys(("SLURM_JOB_ID", "SLURM_ARRAY_JOB_ID", "SLURM_ARRAY_TASK_ID"), "7")

    def value(found: re.Match[str]) -> str:
        return (variables | numbers)[found["name"]] or found["default"]

    line = re.sub(r"\$\{?(?P<name>[A-Z_]+)(:-(?P<default>\w+))?\}?", value, line)
    words = shlex.split(line)
    return words[words.index("selfplay") + 1 :]


def kubernetes_command(pod: Mapping[str, Any], settings: Mapping[str, str]) -> list[str]:
    """Returns the arguments of the one container of a pod, its variables put in."""
    (container,) = pod["containers"]
    return [
        re.sub(r"\$\((\w+)\)", lambda found: settings[found[1]], word) for word in container["args"]
    ]


def dashboard() -> dict[str, Any]:
    """Returns the dashboard."""
    document: dict[str, Any] = json.loads((DEPLOY / "grafana" / "selfplay.json").read_text())
    return document
