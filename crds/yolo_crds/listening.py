"""Where servers listen: on all addresses of their pod, of whichever families it has."""

import errno
import socket

_NO_IPV6 = frozenset({errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL})
"""What a kernel without IPv6 answers, and a network namespace where it is switched off."""


class ListenError(Exception):
    """The port, or the address, cannot be had."""


def bind(host: str, port: int) -> socket.socket:
    """A TCP socket for a server, which has yet to listen on it.

    An empty host means all addresses, IPv4 and IPv6 alike: a pod may have either or both. Port 0 takes a free
    one. Raises ListenError, with a sentence.
    """
    try:
        if host:
            return _bind(socket.AF_INET6 if ":" in host else socket.AF_INET, host, port)
        return bind_all(port)
    except OSError as error:
        where = f"port {port} of {host}" if host else f"port {port}"
        raise ListenError(f"cannot listen on {where}: {error.strerror}") from error


def bind_all(port: int) -> socket.socket:
    """The same on all addresses, for who has words of its own for a failure. Raises OSError."""
    try:
        return _bind(socket.AF_INET6, "::", port)
    except OSError as error:
        if error.errno not in _NO_IPV6:
            raise
        return _bind(socket.AF_INET, "0.0.0.0", port)  # noqa: S104 - a pod's server listens on all of its addresses


def _bind(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        # As asyncio's servers do: an address that a server just left is free.
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
        server.bind((host, port))
    except OSError:
        server.close()
        raise
    return server
