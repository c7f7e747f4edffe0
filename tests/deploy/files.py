"""Reads what lies in deploy/ the way the programs it is meant for would."""

import copy
import functools
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from selfplay.fleet.fleet import ROLES

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
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


def overlay_with(folder: Path, overlay: str) -> Path:
    """Copies deploy/ into a folder and returns an overlay there that wants all its components."""
    copy = Path(shutil.copytree(DEPLOY, folder / "deploy", dirs_exist_ok=True))
    file = copy / "kubernetes" / "overlays" / overlay / "kustomization.yaml"
    file.write_text(
        re.sub(r"^# (components:|  - \.\.)", r"\1", file.read_text(), flags=re.MULTILINE)
    )
    return file.parent


def kustomized(overlay: str | Path) -> list[dict[str, Any]]:
    """Returns the resources of an overlay as `kubectl kustomize` builds them.

    Where there is no kubectl, what this module knows of kustomize does it; a test compares both.
    """
    folder = DEPLOY / "kubernetes" / "overlays" / overlay
    if program("kubectl") is None:
        return emulated(folder)
    return kubectl_kustomize(folder)


@functools.cache
def _kubectl_output(folder: Path) -> str:
    done = subprocess.run(
        ["kubectl", "kustomize", str(folder)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def kubectl_kustomize(folder: Path) -> list[dict[str, Any]]:
    """Returns the resources of a folder as the real kustomize builds them."""
    return list(yaml.safe_load_all(_kubectl_output(folder)))


def emulated(folder: Path) -> list[dict[str, Any]]:
    """Returns the resources of a folder with as much of kustomize as these files use."""
    return _build(folder, [])


def _build(folder: Path, resources: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Adds the resources of a folder; a component also changes those that are there."""
    wanted = yaml.safe_load((folder / "kustomization.yaml").read_text())
    known = {"apiVersion", "kind", "namespace", "labels", "resources", "components", "patches",
             "images", "configMapGenerator", "generatorOptions"}  # fmt: skip
    assert wanted.keys() <= known, f"{folder}: the tests do not know {wanted.keys() - known}"
    for name in wanted.get("resources", ()):
        path = folder / name
        if path.is_dir():
            resources += _build(path, [])
        else:
            resources += yaml.safe_load_all(path.read_text())
    for one in wanted.get("configMapGenerator", ()):
        assert wanted["generatorOptions"] == {"disableNameSuffixHash": True}
        data = {Path(file).name: (folder / file).read_text() for file in one["files"]}
        resources.append(
            {
                "apiVersion": "v1",
                "kind": "ConfigMap",
                "metadata": {"name": one["name"]},
                "data": data,
            }
        )
    for name in wanted.get("components", ()):
        resources = _build((folder / name).resolve(), resources)
    for patch in wanted.get("patches", ()):
        targets = [one for one in resources if _is_target(one, patch["target"])]
        assert targets, f"{folder}: a patch meets no resource"
        if "$patch: delete" in patch["patch"]:
            resources = [one for one in resources if one not in targets]
            continue
        for target in targets:
            for operation in yaml.safe_load(patch["patch"]):
                _apply(target, operation)
    for one in resources:
        if "namespace" in wanted and one["kind"] != "Namespace":
            one["metadata"]["namespace"] = wanted["namespace"]
        for label in wanted.get("labels", ()):
            one["metadata"].setdefault("labels", {}).update(label["pairs"])
    for image in wanted.get("images", ()):
        for pod in pods(resources).values():
            for container in pod["containers"]:
                if container["image"].split(":")[0] == image["name"]:
                    container["image"] = f"{image['newName']}:{image['newTag']}"
    return resources


def _is_target(resource: Mapping[str, Any], target: Mapping[str, str]) -> bool:
    """Returns whether a patch is for a resource: kind and name are regular expressions."""
    found = (resource["kind"], resource["metadata"]["name"])
    wanted = (target["kind"], target["name"])
    return all(re.fullmatch(w, f) for w, f in zip(wanted, found, strict=True))


def _apply(document: Any, operation: Mapping[str, Any]) -> None:
    """Applies a JSON patch's operation (RFC 6902) in place: `replace`, or `add` to a mapping."""
    *parents, last = [
        part.replace("~1", "/").replace("~0", "~")
        for part in operation["path"].removeprefix("/").split("/")
    ]
    for part in parents:
        document = document[int(part) if isinstance(document, list) else part]
    key = int(last) if isinstance(document, list) else last
    if operation["op"] == "replace":
        assert document[key] is not None, "what is replaced is there"
    else:
        assert operation["op"] == "add" and isinstance(document, dict)
    document[key] = copy.deepcopy(operation["value"])


def pods(resources: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    """Returns the pod of each workload, by name."""
    return {
        one["metadata"]["name"]: one["spec"]["template"]["spec"]
        for one in resources
        if one["kind"] in ("Deployment", "StatefulSet", "Job")
    }


def slurm_commands() -> dict[str, list[str]]:
    """Returns the arguments of selfplay that the batch file shows, by role."""
    text = (DEPLOY / "slurm" / "selfplay.sbatch").read_text()
    lines = re.findall(r"^#   sbatch .*selfplay\.sbatch (.*)$", text, re.MULTILINE)
    roles = {words[0]: role for role, words in ROLES.items()}
    return {roles[words[0]]: [*words, "--log-format=json"] for words in map(shlex.split, lines)}


def kubernetes_command(pod: Mapping[str, Any], settings: Mapping[str, str]) -> list[str]:
    """Returns the arguments of the one container of a pod, its variables put in."""
    (container,) = pod["containers"]
    return [
        re.sub(r"\$\((\w+)\)", lambda found: settings[found[1]], word) for word in container["args"]
    ]


def environment(pod: Mapping[str, Any], maps: Mapping[str, Mapping[str, str]]) -> dict[str, str]:
    """Returns the variables that the one container of a pod gets from ConfigMaps."""
    (container,) = pod["containers"]
    found: dict[str, str] = {}
    for source in container.get("envFrom", ()):
        if "configMapRef" in source:
            found |= maps[source["configMapRef"]["name"]]
    return found


def dashboard() -> dict[str, Any]:
    """Returns the dashboard."""
    document: dict[str, Any] = json.loads((DEPLOY / "grafana" / "selfplay.json").read_text())
    return document
