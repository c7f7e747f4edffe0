"""How often a trainer looks for new files."""

from selfplay.run import MatchFiles, RunDirectory
from selfplay.settings import Config
from selfplay.store import open_store
from selfplay.training.cursor import Cursor
from selfplay.training.intake import Intake
from selfplay.training.learning import Learning


class NoLearning(Learning):
    """Learns nothing; has what an intake looks at."""

    def __init__(self, run: RunDirectory) -> None:
        self.config = Config()
        self.cursor = Cursor()
        self.run = run

    @property
    def backlog(self) -> int:
        return 0


class Run(RunDirectory):
    """Has files of matches and nothing else."""

    def __init__(self, files: MatchFiles) -> None:
        self.matches = files


def test_a_trainer_with_many_files_to_read_does_not_wait_between_looks(tmp_path: object) -> None:
    store = open_store(str(tmp_path))
    for number in range(70):
        store.write_new(f"matches/a/{number:08d}.parquet", b"x")
    learning = NoLearning(Run(MatchFiles(store)))
    intake = Intake(learning, lambda text: None, clock=lambda: 0.0)
    taken = []
    for _ in range(5):
        found = intake.look()
        taken.append(len(found))
        learning.cursor.next_files["a"] = learning.cursor.next_files.get("a", 0) + len(found)
    # The third answer was not full, so the next look is half a second later.
    assert taken == [32, 32, 6, 0, 0]
