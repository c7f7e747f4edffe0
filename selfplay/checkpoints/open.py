"""Opens the checkpoints of a run in any store."""

from selfplay.checkpoints.checkpoints import Checkpoints
from selfplay.store import Place, Store, open_store
from selfplay.store.place import local_path


def open_checkpoints(place: Place | Store) -> Checkpoints:
    """Returns the checkpoints of a run, to read them."""
    path = place.path if isinstance(place, Store) else local_path(place)
    if path is not None:
        from selfplay.checkpoints.directory_checkpoints import DirectoryCheckpoints

        return DirectoryCheckpoints(path)
    from selfplay.checkpoints.remote_checkpoints import RemoteCheckpoints

    return RemoteCheckpoints(open_store(place))
