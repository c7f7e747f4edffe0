"""What stores in buckets have in common, whichever client speaks to the server."""

import abc

from selfplay.errors import StorageError
from selfplay.store.blob_series import BlobSeries
from selfplay.store.store import Store


class BucketStore(Store):
    """Each blob is an object, written whole."""

    poll_seconds = 1.0

    @abc.abstractmethod
    def _create(self, name: str, data: bytes) -> None:
        """Writes an object under the condition that there is none of that name.

        Raises:
            StorageError: there is one, or the store cannot be reached or refuses.
        """

    def write_new(self, name: str, data: bytes) -> bool:
        # Asked first as well, because some servers ignore the condition.
        if self.exists(name):
            return False
        try:
            self._create(name, data)
        except StorageError:
            # Servers differ in what they answer when the condition fails, or an answer was lost.
            if self.exists(name):
                return False
            raise
        return True

    def exists(self, name: str) -> bool:
        return self.entry(name) is not None

    def series(self, folder: str, suffix: str) -> BlobSeries:
        return BlobSeries(self, folder, suffix)
