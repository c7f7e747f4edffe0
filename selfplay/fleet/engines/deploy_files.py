"""Where the files of `deploy/` are: what is started by hand and by `launch` comes from there."""

from pathlib import Path

from selfplay.errors import RunError

_PACKAGE = Path(__file__).parents[2]


def deploy_folder() -> Path:
    """Returns the folder: beside the packages of an installed selfplay, or in its repository.

    Raises:
        RunError: this copy of selfplay came without it.
    """
    for folder in (_PACKAGE / "deploy", _PACKAGE.parent / "deploy"):
        if (folder / "slurm" / "selfplay.sbatch").is_file():
            return folder
    raise RunError(
        f"{_PACKAGE / 'deploy'} is missing, with the files for Slurm and Kubernetes",
        hint="install selfplay again, or from its repository",
    )
