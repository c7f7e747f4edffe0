"""Where the processes of a trainer of several meet."""

import socket


def free_address(host: str) -> str:
    """Returns "HOST:PORT" with a port that is free now.

    Args:
        host: an IP address of this machine.
    """
    family, kind, _, _, address = socket.getaddrinfo(host, 0, type=socket.SOCK_STREAM)[0]
    with socket.socket(family, kind) as one:
        one.bind(address)
        port = one.getsockname()[1]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
