"""The loopback addresses of this machine, which may lack IPv6."""

import socket


def _is_here(family: socket.AddressFamily, address: str) -> bool:
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True


LOOPBACKS = [
    address
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1"))
    if _is_here(family, address)
]


def url(address: str, port: int, path: str) -> str:
    """`http://[::1]:80/x`: IPv6 addresses stand in brackets."""
    return f"http://[{address}]:{port}{path}" if ":" in address else f"http://{address}:{port}{path}"


def free_port() -> int:
    """A port that nobody listens on, of any family."""
    with socket.socket() as probe:
        probe.bind(("", 0))
        port: int = probe.getsockname()[1]
        return port
