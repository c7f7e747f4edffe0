"""Opens the store at a path or URL."""

import os
from pathlib import Path
from urllib.parse import unquote, urlsplit

from selfplay.errors import ConfigError
from selfplay.store.place import BUCKETS, REDIS, Place, location, scheme_of
from selfplay.store.store import Store, require


def open_store(place: Place | Store) -> Store:
    """Returns the store at a path or URL; a store is returned as it is. Touches nothing yet.

    Raises:
        ConfigError: the URL is not of a known form.
        MissingExtraError: what this kind of store needs is not installed.
    """
    if isinstance(place, Store):
        return place
    text = location(place)
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ConfigError(
            f"{os.fsencode(text)!r} cannot be the name of a run: it is not UTF-8",
            hint="rename the directory, or choose another",
        ) from None
    scheme = scheme_of(text)
    if scheme in ("", "file"):
        from selfplay.store.directory_store import DirectoryStore

        return DirectoryStore(Path(unquote(urlsplit(text).path)) if scheme else Path(text))
    if scheme in BUCKETS:
        module, extra = BUCKETS[scheme]
        require(module, extra, text)
        if scheme == "s3":
            from selfplay.store.s3_store import S3Store

            return S3Store(text)
        from selfplay.store.fsspec_store import FsspecStore

        return FsspecStore(text)
    if scheme in REDIS:
        require("redis", "redis", text)
        from selfplay.store.redis_store import RedisStore

        return RedisStore(text)
    raise ConfigError(
        f"{text} is not a place for a run: {scheme}:// is not known",
        hint="a run is a directory, s3://BUCKET/NAME, gs://BUCKET/NAME or "
        "redis://HOST:PORT/DB/NAME",
    )
