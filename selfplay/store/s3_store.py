"""A store in a bucket of S3 or a compatible server, through obstore."""

import contextlib
import datetime
import os
from collections.abc import Iterator
from typing import Any

from selfplay.store.bucket_store import BucketStore
from selfplay.store.store import Entry, check_name, no_bucket, require, unreachable

_PART_BYTES = 50 << 20
"""Larger blobs are sent in parts of this size; the server shows them once all have arrived."""
_RETRIES: Any = {
    "max_retries": 4,
    "retry_timeout": datetime.timedelta(seconds=60),
    "backoff": {
        "init_backoff": datetime.timedelta(seconds=0.1),
        "max_backoff": datetime.timedelta(seconds=5),
        "base": 2,
    },
}


class S3Store(BucketStore):
    """Each blob is an object, written whole.

    Credentials come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, else from where boto3 finds
    them: profiles, single sign-on, the role of a container or machine. The server comes from
    AWS_ENDPOINT_URL, the region from AWS_REGION, AWS_DEFAULT_REGION or the profile. Requests are
    made outside Python's lock.
    """

    def __init__(self, url: str) -> None:
        """Takes s3://BUCKET/PREFIX; sends nothing yet."""
        self._client = require("obstore", "s3", url)
        self.url = url.rstrip("/")
        self._bucket, _, prefix = self.url.partition("://")[2].partition("/")
        with unreachable(self.url, Exception):
            self._objects = _objects(self._bucket, prefix)

    def read(self, name: str) -> bytes:
        with self._asking(check_name(name)):
            return bytes(self._client.get(self._objects, name).bytes())

    def write(self, name: str, data: bytes) -> None:
        with self._writing(check_name(name)):
            self._client.put(
                self._objects,
                name,
                data,
                use_multipart=len(data) > _PART_BYTES,
                chunk_size=_PART_BYTES,
            )

    def _create(self, name: str, data: bytes) -> None:
        with self._writing(name):
            self._client.put(self._objects, name, data, mode="create", use_multipart=False)

    def entry(self, name: str) -> Entry | None:
        try:
            with self._asking(check_name(name)):
                return _entry(self._client.head(self._objects, name))
        except FileNotFoundError:
            return None

    def entries(self, folder: str = "") -> list[Entry]:
        with self._asking(folder):
            found = [
                _entry(one)
                for batch in self._client.list(self._objects, folder or None)
                for one in batch
            ]
        visible = (
            entry
            for entry in found
            if not any(part.startswith(".") for part in entry.name.split("/"))
        )
        return sorted(visible, key=lambda entry: entry.name)

    def folders(self, folder: str = "") -> list[str]:
        with self._asking(folder):
            found = self._client.list_with_delimiter(self._objects, folder or None)
        return sorted(path.rpartition("/")[2] for path in found["common_prefixes"])

    def delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError), self._asking(check_name(name)):
            self._client.delete(self._objects, name)

    @contextlib.contextmanager
    def _asking(self, name: str) -> Iterator[None]:
        with unreachable(self.url, Exception):
            try:
                yield
            except self._client.exceptions.NotFoundError:
                raise FileNotFoundError(self.label(name)) from None

    @contextlib.contextmanager
    def _writing(self, name: str) -> Iterator[None]:
        try:
            with self._asking(name):
                yield
        except FileNotFoundError:
            raise no_bucket(self.url, self._bucket) from None


def _objects(bucket: str, prefix: str) -> Any:
    """Returns the client of one bucket and prefix."""
    from obstore.store import S3Store as Objects

    environment = os.environ
    endpoint = environment.get("AWS_ENDPOINT_URL_S3") or environment.get("AWS_ENDPOINT_URL")
    settings: dict[str, Any] = {}
    if endpoint:
        settings["endpoint"] = endpoint
    # The certificate of a server does not cover a name with a dot before its own.
    settings["virtual_hosted_style_request"] = not endpoint and "." not in bucket
    if "AWS_ACCESS_KEY_ID" not in environment:
        settings |= _found_by_boto3()
    return Objects(
        bucket,
        prefix=prefix or None,
        client_options={"allow_http": True, "connect_timeout": "10s", "timeout": "600s"},
        retry_config=_RETRIES,
        **settings,
    )


def _found_by_boto3() -> dict[str, Any]:
    """Returns the credentials and the region of a profile or role; nothing if there is none."""
    import boto3
    from obstore.auth.boto3 import Boto3CredentialProvider

    session = boto3.Session()
    if session.get_credentials() is None:
        return {}
    return {"credential_provider": Boto3CredentialProvider(session)}


def _entry(found: Any) -> Entry:
    return Entry(
        name=found["path"], bytes=int(found["size"]), time=found["last_modified"].timestamp()
    )
