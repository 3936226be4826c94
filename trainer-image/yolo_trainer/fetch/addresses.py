"""Which hosts an archive may come from: a user's URL must not reach what only the cluster can.

A name is resolved once, every address of it is checked, and the connection goes to a checked address: a name
that answers otherwise at the second question (DNS rebinding) changes nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Sequence

from urllib3.exceptions import HTTPError

_NAT64 = ipaddress.ip_network("64:ff9b::/96")  # RFC 6052

Resolve = Callable[[str, int], list[str]]
"""The addresses of a host for a port; raises OSError."""


class RefusedAddressError(Exception):
    """A host that must not be connected to, and why."""


class UnresolvedError(HTTPError):
    """A host's name has no address, or no name server answered."""


def resolve(host: str, port: int) -> list[str]:
    """The addresses of a host, in the order in which they are to be tried."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(sockaddr[0]) for *_, sockaddr in found))


def is_public(address: str) -> bool:
    """Whether an address is reachable from the whole internet, and nothing that only looks so: an IPv4
    address within an IPv6 one (mapped, 6to4, Teredo, NAT64) counts as itself.
    """
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)
        if ip in _NAT64:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFF_FFFF)
        if inner is not None:
            return is_public(str(inner))
        if ip.is_site_local:
            return False
    return ip.is_global and not (ip.is_multicast or ip.is_reserved)


class Gate:
    """Lets connections pass to hosts that the installer listed, wherever they are; with an empty list, to any
    host whose every address is public.
    """

    def __init__(
        self,
        hosts: Sequence[str],
        is_allowed: Callable[[str], bool] = is_public,
        resolve: Resolve = resolve,
    ) -> None:
        self._hosts = tuple(host.lower().rstrip(".") for host in hosts)
        self._is_allowed = is_allowed
        self._resolve = resolve

    def addresses(self, host: str, port: int) -> list[str]:
        """Where to connect to for `host`.

        Raises RefusedAddressError, or UnresolvedError when its name cannot be resolved.
        """
        name = host.lower().rstrip(".")
        if self._hosts and not any(_matches(name, pattern) for pattern in self._hosts):
            raise RefusedAddressError(
                f"{host} is not among the hosts that archives may come from: {', '.join(self._hosts)}"
            )
        try:
            found = self._resolve(name, port)
        except (OSError, UnicodeError) as error:
            raise UnresolvedError(f"the name {host} has no address") from error
        if not self._hosts and (private := [one for one in found if not self._is_allowed(one)]):
            raise RefusedAddressError(f"{host} has the address {private[0]}, which is not a public one")
        return found


def _matches(host: str, pattern: str) -> bool:
    if pattern.startswith("*."):
        return host.endswith(pattern[1:])
    return host == pattern
