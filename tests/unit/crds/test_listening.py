"""Servers listen on IPv4, IPv6 or both, whichever the machine has."""

import errno
import socket
from collections.abc import Iterator

import pytest

from loopbacks import LOOPBACKS
from yolo_crds.listening import ListenError, bind


@pytest.fixture
def server() -> Iterator[socket.socket]:
    with bind("", 0) as server:
        server.listen()
        yield server


def _reach(address: str, port: int) -> bool:
    try:
        with socket.create_connection((address, port), timeout=5):
            return True
    except OSError:
        return False


def test_bind_without_a_host_takes_all_families_of_the_machine(server: socket.socket) -> None:
    port = server.getsockname()[1]
    assert [address for address in LOOPBACKS if _reach(address, port)] == LOOPBACKS


@pytest.mark.parametrize("host", LOOPBACKS)
def test_bind_with_a_host_takes_that_one_alone(host: str) -> None:
    with bind(host, 0) as server:
        server.listen()
        port = server.getsockname()[1]
        assert [address for address in LOOPBACKS if _reach(address, port)] == [host]


@pytest.mark.parametrize("step", ["socket", "bind"])
def test_bind_does_without_ipv6(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    class NoIpv6(socket.socket):
        """As a kernel without IPv6 makes and binds them, or a network namespace where it is switched off."""

        def __init__(self, family: int, kind: int) -> None:
            if step == "socket" and family == socket.AF_INET6:
                raise OSError(errno.EAFNOSUPPORT, "Address family not supported by protocol")
            super().__init__(family, kind)

        def bind(self, address: object) -> None:
            if self.family == socket.AF_INET6:
                raise OSError(errno.EADDRNOTAVAIL, "Cannot assign requested address")
            super().bind(address)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "socket", NoIpv6)
    with bind("", 0) as server:
        server.listen()
        assert server.family == socket.AF_INET
        monkeypatch.undo()
        port = server.getsockname()[1]
        assert [_reach(address, port) for address in LOOPBACKS] == ["." in address for address in LOOPBACKS]


def test_bind_says_which_port_cannot_be_had(server: socket.socket) -> None:
    port = server.getsockname()[1]
    with pytest.raises(ListenError, match=f"^cannot listen on port {port}: Address already in use$"):
        bind("", port)
    with pytest.raises(ListenError, match=r"^cannot listen on port 0 of 192\.0\.2\.77: Cannot assign"):
        bind("192.0.2.77", 0)


def test_bind_takes_a_port_that_another_server_has_just_left(server: socket.socket) -> None:
    port = server.getsockname()[1]
    with socket.create_connection((LOOPBACKS[0], port)):
        accepted, _ = server.accept()
        server.close()
        accepted.close()
    bind("", port).close()
