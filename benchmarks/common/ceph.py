"""A real S3 server on this machine alone: Ceph's RADOS Gateway over one monitor and one disk file.

It needs Debian's packages ceph-mon, ceph-mgr, ceph-osd and radosgw. Everything listens on 127.0.0.1
and keeps its data in one folder.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

PROGRAMS = ("ceph", "ceph-authtool", "ceph-mon", "ceph-mgr", "ceph-osd", "monmaptool", "radosgw")
DISK_BYTES = 20 * 2**30
"""Of a file with holes: it takes what is stored."""
ROLES = {
    "mon.": ("mon", "allow *"),
    "client.admin": ("mon", "allow *", "osd", "allow *", "mgr", "allow *"),
    "mgr.a": ("mon", "allow profile mgr", "osd", "allow *"),
    "osd.0": ("mon", "allow profile osd", "osd", "allow *", "mgr", "allow profile osd"),
    "client.rgw.a": ("mon", "allow *", "osd", "allow *"),
}


@contextlib.contextmanager
def ceph_server(folder: Path) -> Iterator[dict[str, str]]:
    """Serves S3 from an empty folder; yields the environment variables that clients need.

    Raises:
        FileNotFoundError: one of `PROGRAMS` is not installed.
        TimeoutError: the server does not answer.
    """
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if missing:
        raise FileNotFoundError(f"{', '.join(missing)}: install ceph-mon ceph-mgr ceph-osd radosgw")
    v2, v1, s3 = _free_ports(3)
    addresses = f"[v2:127.0.0.1:{v2},v1:127.0.0.1:{v1}]"
    cluster, disk = str(uuid.uuid4()), str(uuid.uuid4())
    config = folder / "ceph.conf"
    keys = folder / "keys"
    for part in ("mon", "mgr", "osd"):
        (folder / part).mkdir(parents=True)
    config.write_text(_config(folder, cluster, addresses, s3))
    # Distributions set the variable CEPH_ARGS for a cluster of their own.
    environment = {name: value for name, value in os.environ.items() if name != "CEPH_ARGS"}

    def command(*arguments: str) -> list[str]:
        return [arguments[0], "--conf", str(config), *arguments[1:]]

    def call(*arguments: str) -> None:
        subprocess.run(
            arguments, check=True, capture_output=True, text=True, timeout=120, env=environment
        )

    call("ceph-authtool", str(keys), "--create-keyring")
    for role, capabilities in ROLES.items():
        pairs = zip(capabilities[::2], capabilities[1::2], strict=True)
        options = [word for pair in pairs for word in ("--cap", *pair)]
        call("ceph-authtool", str(keys), "--gen-key", "--name", role, *options)
    monitors = str(folder / "monmap")
    call("monmaptool", "--create", "--fsid", cluster, "--addv", "a", addresses, monitors)
    call(*command("ceph-mon", "--id", "a", "--mkfs", "--monmap", monitors, "--keyring", str(keys)))
    with contextlib.ExitStack() as stack:

        def start(*arguments: str) -> None:
            process = stack.enter_context(
                subprocess.Popen(
                    command(*arguments, "--foreground"),
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=environment,
                )
            )
            # The data are thrown away, so nothing needs to be written before the end.
            stack.callback(process.kill)

        start("ceph-mon", "--id", "a")
        _wait(lambda: call(*command("ceph", "--connect-timeout", "5", "status")))
        call(*command("ceph", "auth", "import", "--in-file", str(keys)))
        start("ceph-mgr", "--id", "a")
        call(*command("ceph", "osd", "new", disk))
        call(*command("ceph-osd", "--id", "0", "--mkfs", "--osd-uuid", disk))
        start("ceph-osd", "--id", "0")
        start("radosgw", "--name", "client.rgw.a")
        _wait(lambda: _answers(s3))
        user = ("--uid", "test", "--display-name", "test", "--access-key", "test")
        call(*command("radosgw-admin", "user", "create", *user, "--secret-key", "test"))
        yield {
            "AWS_ENDPOINT_URL": f"http://127.0.0.1:{s3}",
            "AWS_ACCESS_KEY_ID": "test",
            "AWS_SECRET_ACCESS_KEY": "test",
            "AWS_DEFAULT_REGION": "us-east-1",
        }


def _config(folder: Path, cluster: str, addresses: str, s3: int) -> str:
    settings = {
        "fsid": cluster,
        "mon host": addresses,
        "keyring": folder / "keys",
        "auth cluster required": "cephx",
        "auth service required": "cephx",
        "auth client required": "cephx",
        "auth allow insecure global id reclaim": "false",
        "public addr": "127.0.0.1",
        "cluster addr": "127.0.0.1",
        "public network": "127.0.0.0/8",
        "run dir": folder,
        "admin socket": "",
        "log file": f"{folder}/$name.log",
        "pid file": f"{folder}/$name.pid",
        "mon data": folder / "mon",
        "mgr data": folder / "mgr",
        "osd data": folder / "osd",
        # One copy on one disk.
        "osd pool default size": 1,
        "osd pool default min size": 1,
        "osd pool default pg num": 8,
        "osd crush chooseleaf type": 0,
        "mon allow pool size one": "true",
        "osd objectstore": "bluestore",
        "bluestore block create": "true",
        "bluestore block size": DISK_BYTES,
        "osd memory target": 2**30,
        "rgw frontends": f"beast endpoint=127.0.0.1:{s3}",
        "rgw thread pool size": 512,
    }
    return "\n".join(["[global]", *(f"{key} = {value}" for key, value in settings.items()), ""])


def _free_ports(count: int) -> list[int]:
    with contextlib.ExitStack() as stack:
        listeners = [stack.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [int(listener.getsockname()[1]) for listener in listeners]


def _answers(port: int) -> None:
    urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5).close()


def _wait(attempt: Callable[[], None], seconds: float = 180.0) -> None:
    """Tries again and again until nothing is raised."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            attempt()
            return
        except (subprocess.SubprocessError, OSError) as error:
            if time.monotonic() > deadline:
                raise TimeoutError("the Ceph server does not answer") from error
            time.sleep(0.5)
