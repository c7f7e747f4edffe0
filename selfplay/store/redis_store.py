"""A store in Redis: blobs as values, matches as streams, notices by publish/subscribe.

Keys, all under the prefix of the run (names of blobs have no part that begins with a dot):

    NAME                   a blob
    .names                 sorted set of all names, for listing by folder
    .about                 hash: name to "bytes seconds"
    matches/WORKER         stream: entry N+1 has the file N in its field "file"
    matches/.last          hash: worker to the number of its last file
    matches/.about/WORKER  hash: number to "bytes seconds" of the files still there
    .news/TOPIC            channel
"""

import contextlib
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

import redis

from selfplay.errors import ConfigError, StorageError
from selfplay.store.series import MatchFile, Series
from selfplay.store.store import Entry, Listener, Store, check_name, unreachable

_CONNECT_SECONDS = 5.0
_ANSWER_SECONDS = 30.0
_OWN_OPTIONS = ("prefix", "db", "decode_responses")
"""Options that the client does not get: the path names the database, and blobs are bytes."""

_WRITE = """
if ARGV[3] == '1' and redis.call('EXISTS', KEYS[1]) == 1 then return 0 end
redis.call('SET', KEYS[1], ARGV[2])
redis.call('ZADD', KEYS[2], 0, ARGV[1])
local now = redis.call('TIME')
local when = now[1] .. '.' .. string.format('%06d', now[2])
redis.call('HSET', KEYS[3], ARGV[1], #ARGV[2] .. ' ' .. when)
return 1
"""
_PUT = """
local added = redis.pcall('XADD', KEYS[1], ARGV[3] .. '-0', 'file', ARGV[4])
if type(added) == 'table' and added.err then
  if string.find(added.err, 'equal or smaller') then return 0 end
  return redis.error_reply(added.err)
end
redis.call('HSET', KEYS[2], ARGV[1], ARGV[2])
redis.call('HSET', KEYS[3], ARGV[2], #ARGV[4] .. ' ' .. redis.call('TIME')[1])
return 1
"""


class RedisStore(Store):
    """Blobs in Redis. Each write is one script, which Redis runs whole or not at all."""

    # Notices can be lost with a connection, so every listener also looks by itself now and then.
    poll_seconds = 5.0

    def __init__(self, url: str) -> None:
        """Sends nothing yet.

        Args:
            url: redis://HOST:PORT/DB/PREFIX or redis://HOST:PORT/DB?prefix=PREFIX, or the same with
                rediss:// for TLS; other options, such as ssl_cert_reqs, go to the client.

        Raises:
            ConfigError: there is no prefix, or an option that the client refuses.
        """
        parts = urlsplit(url)
        database, _, prefix = parts.path.strip("/").partition("/")
        options = parse_qsl(parts.query)
        prefix = prefix or dict(options).get("prefix", "")
        if not database.isdecimal() or not prefix:
            raise ConfigError(
                f"{url} is not a place for a run",
                hint="write redis://HOST:PORT/DB/NAME, such as redis://127.0.0.1:6379/0/runs/x",
            )
        # Never the password in messages; options tell how to connect, not which run it is.
        self.url = f"{parts.scheme}://{parts.hostname}:{parts.port or 6379}/{database}/{prefix}"
        self.prefix = f"{unquote(prefix)}/"
        passed = urlencode([(name, value) for name, value in options if name not in _OWN_OPTIONS])
        try:
            self.client = redis.Redis.from_url(
                f"{parts.scheme}://{parts.netloc}/{database}?{passed}",
                socket_connect_timeout=_CONNECT_SECONDS,
                socket_timeout=_ANSWER_SECONDS,
                health_check_interval=30,
            )
            # The client looks at most options only when it makes a connection; this one stays idle.
            self.client.connection_pool.make_connection()
        except (TypeError, ValueError, redis.RedisError) as error:
            raise ConfigError(
                f"the Redis client refuses the options of {self.url} "
                f"({', '.join(name for name, _ in options)}): {error}",
                hint="rediss:// takes ssl_cert_reqs, ssl_ca_certs, ssl_certfile and more, "
                "redis:// and rediss:// take socket_timeout, client_name and more",
            ) from None
        self._write = self.client.register_script(_WRITE)
        self._names = f"{self.prefix}.names"
        self._about = f"{self.prefix}.about"

    def read(self, name: str) -> bytes:
        with self.answering():
            data = self.client.get(self._key(name))
        if data is None:
            raise FileNotFoundError(f"{self.label(name)} does not exist")
        return _bytes(data)

    def write(self, name: str, data: bytes) -> None:
        self._put(name, data, only_new=False)

    def write_new(self, name: str, data: bytes) -> bool:
        return self._put(name, data, only_new=True)

    def exists(self, name: str) -> bool:
        with self.answering():
            return bool(self.client.exists(self._key(name)))

    def entry(self, name: str) -> Entry | None:
        with self.answering(), self.client.pipeline(transaction=True) as pipe:
            pipe.exists(self._key(name))
            pipe.hget(self._about, name)
            exists, about = pipe.execute()
        if not exists:
            return None
        size, when = _size_and_time(about)
        return Entry(name=name, bytes=size, time=when)

    def entries(self, folder: str = "") -> list[Entry]:
        with self.answering():
            names = self._listed(folder)
            about: Any = self.client.hmget(self._about, names) if names else []
        return [
            Entry(name=name.decode(), bytes=size, time=when)
            for name, (size, when) in zip(names, map(_size_and_time, about), strict=True)
        ]

    def folders(self, folder: str = "") -> list[str]:
        start = len(folder) + 1 if folder else 0
        with self.answering():
            names = [name.decode()[start:] for name in self._listed(folder)]
        return sorted({name.partition("/")[0] for name in names if "/" in name})

    def delete(self, name: str) -> None:
        with self.answering(), self.client.pipeline(transaction=True) as pipe:
            pipe.delete(self._key(name))
            pipe.zrem(self._names, name)
            pipe.hdel(self._about, name)
            pipe.execute()

    def series(self, folder: str, suffix: str) -> "StreamSeries":
        return StreamSeries(self, folder, suffix)

    def notify(self, topic: str) -> None:
        # A listener that misses it looks by itself a little later.
        with contextlib.suppress(StorageError), self.answering():
            self.client.publish(self.channel(topic), b"1")

    def listen(self, topic: str) -> "NoticeListener":
        return NoticeListener(self, topic)

    def close(self) -> None:
        self.client.close()

    def channel(self, topic: str) -> str:
        """Returns the channel of a topic."""
        return f"{self.prefix}.news/{topic}"

    def answering(self) -> contextlib.AbstractContextManager[None]:
        """Turns errors of the client inside into a `StorageError`."""
        return unreachable(self.url, redis.RedisError, OSError)

    def _key(self, name: str) -> str:
        return f"{self.prefix}{check_name(name)}"

    def _put(self, name: str, data: bytes, *, only_new: bool) -> bool:
        keys = [self._key(name), self._names, self._about]
        with self.answering():
            return bool(self._write(keys=keys, args=[name, data, int(only_new)]))

    def _listed(self, folder: str) -> list[bytes]:
        if not folder:
            return _listing(self.client.zrange(self._names, 0, -1))
        # "0" is the character after "/".
        found = self.client.zrangebylex(self._names, f"[{folder}/", f"({folder}0")
        return _listing(found)


class StreamSeries(Series):
    """Numbered blobs: one stream for each worker, whose entry N+1 has the number N."""

    def __init__(self, store: RedisStore, folder: str, suffix: str) -> None:
        """Looks at a folder of a store; touches nothing."""
        self._store = store
        self._client = store.client
        self._folder = folder
        self._suffix = suffix
        self._put = self._client.register_script(_PUT)
        self._last = f"{store.prefix}{folder}/.last"

    def name(self, worker: str, number: int) -> str:
        return f"{self._folder}/{worker}/{number:08d}{self._suffix}"

    def put(self, worker: str, number: int, data: bytes) -> bool:
        keys = [self._stream(worker), self._last, self._about(worker)]
        with self._store.answering():
            return bool(self._put(keys=keys, args=[worker, number, number + 1, data]))

    def get(self, worker: str, number: int) -> bytes:
        entry = f"{number + 1}-0"
        with self._store.answering():
            found: Any = self._client.xrange(self._stream(worker), entry, entry)
        if not found:
            raise FileNotFoundError(f"{self._store.url}/{self.name(worker, number)} is not there")
        return _bytes(found[0][1][b"file"])

    def remove(self, worker: str, number: int) -> None:
        with self._store.answering(), self._client.pipeline(transaction=True) as pipe:
            pipe.xdel(self._stream(worker), f"{number + 1}-0")
            pipe.hdel(self._about(worker), str(number))
            pipe.execute()

    def workers(self) -> list[str]:
        with self._store.answering():
            return sorted(name.decode() for name in _listing(self._client.hkeys(self._last)))

    def numbers(self, worker: str) -> list[int]:
        with self._store.answering():
            return sorted(
                int(number) for number in _listing(self._client.hkeys(self._about(worker)))
            )

    def next_number(self, worker: str) -> int:
        with self._store.answering():
            last: Any = self._client.hget(self._last, worker)
        return 0 if last is None else int(last) + 1

    def following(self, starts: Sequence[tuple[str, int]], limit: int) -> list[list[int]]:
        if not starts:
            return []
        with self._store.answering(), self._client.pipeline(transaction=False) as pipe:
            for worker, start in starts:
                pipe.hmget(self._about(worker), [str(start + i) for i in range(limit)])
            answers = pipe.execute()
        found = []
        for (_, start), present in zip(starts, answers, strict=True):
            count = next((i for i, about in enumerate(present) if about is None), limit)
            found.append(list(range(start, start + count)))
        return found

    def items(self) -> list[MatchFile]:
        workers = self.workers()
        with self._store.answering(), self._client.pipeline(transaction=False) as pipe:
            for worker in workers:
                pipe.hgetall(self._about(worker))
            answers = pipe.execute()
        items = [
            MatchFile(worker=worker, sequence=int(number), bytes=size, time=when)
            for worker, files in zip(workers, answers, strict=True)
            for number, (size, when) in ((n, _size_and_time(a)) for n, a in files.items())
        ]
        return sorted(items, key=lambda item: (item.time, item.worker, item.sequence))

    def _stream(self, worker: str) -> str:
        return f"{self._store.prefix}{self._folder}/{worker}"

    def _about(self, worker: str) -> str:
        return f"{self._store.prefix}{self._folder}/.about/{worker}"


class NoticeListener(Listener):
    """Wakes up when a process publishes on the topic."""

    def __init__(self, store: RedisStore, topic: str) -> None:
        """Subscribes now, or with the next wait if Redis cannot be reached now."""
        super().__init__(1.0)
        self._store = store
        self._topic = topic
        self._messages: Any = None
        with contextlib.suppress(redis.RedisError, OSError):
            self._subscribe()

    def wait(self, seconds: float) -> bool:
        deadline = time.monotonic() + min(seconds, self._store.poll_seconds)
        try:
            if self._messages is None:
                self._subscribe()
                return True
            while (left := deadline - time.monotonic()) > 0:
                if self._messages.get_message(timeout=left) is not None:
                    return True
        except (redis.RedisError, OSError):
            self.close()
            super().wait(deadline - time.monotonic())
        return False

    def close(self) -> None:
        if self._messages is not None:
            with contextlib.suppress(redis.RedisError, OSError):
                self._messages.close()
            self._messages = None

    def _subscribe(self) -> None:
        client: Any = self._store.client
        messages = client.pubsub(ignore_subscribe_messages=False)
        messages.subscribe(self._store.channel(self._topic))
        # The answer, so that nothing is published between the first look and the subscription.
        messages.get_message(timeout=_CONNECT_SECONDS)
        self._messages = messages


def _size_and_time(about: bytes | None) -> tuple[int, float]:
    size, _, when = (about or b"0 0").decode().partition(" ")
    return int(size), float(when)


def _bytes(value: object) -> bytes:
    return value if isinstance(value, bytes) else bytes(str(value), "utf-8")


def _listing(value: Any) -> list[bytes]:
    return list(value)
