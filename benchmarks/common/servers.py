"""The servers that stores need, each on this machine alone, for the time of a measurement."""

import contextlib
import importlib.util
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks.common.ceph import PROGRAMS, ceph_server

KINDS = ("directory", "bucket", "redis")
S3_SERVERS = ("moto", "ceph")


def missing_programs(s3: str) -> list[str]:
    """Returns what `store_servers` needs and this machine lacks."""
    modules = ("redis", "obstore", "boto3", *(("moto",) if s3 == "moto" else ()))
    programs = ("redis-server", *(PROGRAMS if s3 == "ceph" else ()))
    return [name for name in modules if importlib.util.find_spec(name) is None] + [
        name for name in programs if shutil.which(name) is None
    ]


@contextlib.contextmanager
def store_servers(folder: Path, s3: str = "moto") -> Iterator[dict[str, str]]:
    """Starts what the stores need; yields a URL for each of `KINDS`.

    Args:
        folder: an empty one, for the directory and the data of the servers.
        s3: one of `S3_SERVERS`; child processes find it by its environment variables.
    """
    with contextlib.ExitStack() as stack:
        redis = _free_port()
        # As a server that must not forget would run: written to disk every second.
        options = ["--bind", "127.0.0.1", "--dir", str(folder), "--appendonly", "yes", "--save", ""]
        _start(stack, ["redis-server", "--port", str(redis), *options], redis)
        if s3 == "ceph":
            settings = stack.enter_context(ceph_server(folder / "ceph"))
        else:
            port = _free_port()
            moto = "import sys; from moto.server import main; main(sys.argv[1:])"
            _start(stack, [sys.executable, "-c", moto, "-H", "127.0.0.1", "-p", str(port)], port)
            settings = {
                "AWS_ENDPOINT_URL": f"http://127.0.0.1:{port}",
                "AWS_ACCESS_KEY_ID": "test",
                "AWS_SECRET_ACCESS_KEY": "test",
                "AWS_DEFAULT_REGION": "us-east-1",
            }
        os.environ |= settings
        import boto3

        boto3.client("s3").create_bucket(Bucket="runs")
        yield {
            "directory": str(folder / "runs"),
            "bucket": "s3://runs",
            "redis": f"redis://127.0.0.1:{redis}/0",
        }


def _start(stack: contextlib.ExitStack, command: Sequence[str], port: int) -> None:
    """Starts a server that ends with the context; returns once it listens."""
    process = stack.enter_context(
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    )
    stack.callback(process.terminate)
    deadline = time.monotonic() + 60
    while True:
        try:
            socket.create_connection(("127.0.0.1", port)).close()
            return
        except OSError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])
