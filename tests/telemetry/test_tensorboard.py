"""TensorBoard files: documented names, one value per step, nothing lost by a kill."""

from pathlib import Path

import pytest

from selfplay.store.directory_store import DirectoryStore
from selfplay.store.scratch import upload_changes
from selfplay.telemetry import Progress, TensorBoardWriter, read_scalars
from tests.telemetry.samples import FIRST, FULL


def at(update: int, **changes: float) -> Progress:
    return FIRST.updated(update=update, **changes)


def steps(directory: Path, name: str = "rollout/matches") -> list[int]:
    return [point.step for point in read_scalars(directory)[name]]


def test_every_number_has_its_documented_name(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path)
    writer.write(FULL)
    writer.close()
    scalars = read_scalars(tmp_path)
    assert scalars["loss/policy"][0].value == pytest.approx(1.034)
    assert scalars["rate/matches_per_second"][0].step == 1200
    # A result belongs to the update that played, not to the one at which it became known.
    strength = scalars["strength/mcts:100"][0]
    assert strength.step == 1100 and strength.value == pytest.approx(0.844)
    mistakes = scalars["mistakes/14-27"][0]
    assert mistakes.step == 1100 and mistakes.value == pytest.approx(0.053)
    assert scalars["mistakes_raw/all"][0].value == pytest.approx(0.062)


def test_one_value_per_update(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path)
    for update in (0, 0, 1, 1, 2):
        writer.write(at(update))
        writer.write(FULL.updated(update=update))
    assert steps(tmp_path) == [0, 1, 2]
    writer.close()
    events = next(tmp_path.iterdir()).read_bytes()
    assert events.count(b"rollout/matches") == 3
    assert events.count(b"strength/random") == 1
    assert events.count(b"mistakes/all") == 1


def test_resuming_replaces_what_was_lost(tmp_path: Path) -> None:
    first = TensorBoardWriter(tmp_path)
    for update in range(5):
        first.write(at(update, matches=update))
    # Killed: never closed. Resumed from the checkpoint of update 2, within the same second.
    second = TensorBoardWriter(tmp_path, resume_at=2)
    assert steps(tmp_path) == [0, 1, 2]
    second.write(at(2, matches=100))
    second.write(at(3, matches=103))
    second.close()
    points = read_scalars(tmp_path)["rollout/matches"]
    assert [(point.step, point.value) for point in points] == [(0, 0), (1, 1), (2, 2), (3, 103)]
    first.close()


def test_sessions_of_one_second_have_files_of_their_own(tmp_path: Path) -> None:
    for _ in range(3):
        TensorBoardWriter(tmp_path).close()
    assert len(list(tmp_path.iterdir())) == 3


def test_tensorboard_itself_agrees(tmp_path: Path) -> None:
    """Its own reader sees the names, and forgets what a resumed session lost."""
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    first = TensorBoardWriter(tmp_path)
    for update in range(5):
        first.write(at(update, matches=update))
    first.close()
    second = TensorBoardWriter(tmp_path, resume_at=2)
    second.write(at(3, matches=103))
    second.close()
    events = accumulator.EventAccumulator(str(tmp_path))
    events.Reload()
    seen = events.Scalars("rollout/matches")
    assert [(one.step, one.value) for one in seen] == [(0, 0), (1, 1), (2, 2), (3, 103)]


def test_a_file_that_has_grown_is_followed_by_another(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    writer = TensorBoardWriter(tmp_path, max_file_bytes=4_000)
    for update in range(100):
        writer.write(at(update, matches=update))
    writer.close()
    sizes = [file.stat().st_size for file in tmp_path.iterdir()]
    assert len(sizes) >= 3
    assert max(sizes) < 6_000
    assert steps(tmp_path) == list(range(100))
    events = accumulator.EventAccumulator(str(tmp_path), size_guidance={"scalars": 0})
    events.Reload()
    assert [one.step for one in events.Scalars("rollout/matches")] == list(range(100))


def test_the_bytes_that_are_uploaded_grow_with_the_time_not_with_its_square(
    tmp_path: Path,
) -> None:
    class Counting(DirectoryStore):
        uploaded = 0

        def write(self, name: str, data: bytes) -> None:
            self.uploaded += len(data)

    def uploaded(points: int) -> int:
        store = Counting(tmp_path / f"store{points}")
        root = tmp_path / str(points)
        writer = TensorBoardWriter(root / "tensorboard")
        for update in range(points):
            writer.write(FULL.updated(update=update))
            # As the trainer does it: one upload for three points.
            if update % 3 == 0:
                upload_changes(store, root, "tensorboard")
        writer.close()
        return store.uploaded

    # 200 points are half a dozen files, each replaced by the next one when it is full.
    half, whole = uploaded(100), uploaded(200)
    assert len(list((tmp_path / "200").rglob("events*"))) >= 6
    assert whole < 2.2 * half
    written = sum(file.stat().st_size for file in (tmp_path / "200").rglob("events*"))
    assert whole < 16 * written


def test_a_half_written_record_is_left_out(tmp_path: Path) -> None:
    writer = TensorBoardWriter(tmp_path)
    writer.write(at(1))
    writer.write(at(2))
    writer.close()
    file = next(tmp_path.iterdir())
    whole = file.read_bytes()
    seen = set()
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        seen.add(tuple(point.step for point in read_scalars(tmp_path).get("rollout/matches", ())))
    assert seen == {(), (1,), (1, 2)}


def test_none(tmp_path: Path) -> None:
    assert read_scalars(tmp_path / "none") == {}
