"""Getting the loopback port: on both families, at once, exclusively, or not at all."""

from __future__ import annotations

import errno
import os
import socket
import sys
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from headless_login.errors import LocalTrouble
from headless_login.flows.ports import bind_loopback
from tests.support.listening import free_port
from tests.support.machine import in_namespace, needs_root, python

pytestmark = pytest.mark.filterwarnings(
    "error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning"
)
HAS_IPV6 = os.path.exists("/proc/net/if_inet6")
needs_ipv6 = pytest.mark.skipif(not HAS_IPV6, reason="this machine has no IPv6")


def _close(sockets: list[socket.socket]) -> None:
    for listening in sockets:
        listening.close()


def _two_ports() -> tuple[int, int]:
    first = free_port()
    while (second := free_port()) == first:
        pass
    return first, second


@needs_ipv6
def test_both_families_have_it() -> None:
    """A browser that resolves localhost to ::1 is served as well, by a socket of its own."""
    port, sockets = bind_loopback((free_port(),))
    try:
        assert [listening.getsockname()[0] for listening in sockets] == ["127.0.0.1", "::1"]
        assert {listening.getsockname()[1] for listening in sockets} == {port}
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, port), timeout=5).close()
    finally:
        _close(sockets)


@pytest.mark.parametrize("address", ["127.0.0.1", pytest.param("::1", marks=needs_ipv6)])
def test_in_use_on_one_family_is_in_use(address: str) -> None:
    """Half a port would lose half of the browsers: the next one is taken whole."""
    first, second = _two_ports()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, first), family=family):
        port, sockets = bind_loopback((first, second))
    _close(sockets)
    assert port == second
    with ExitStack() as stack:  # and nothing of the first is kept
        for other in ("127.0.0.1", "::1"):
            kind = socket.AF_INET6 if ":" in other else socket.AF_INET
            stack.enter_context(socket.create_server((other, first), family=kind))


@pytest.mark.skipif(sys.platform != "linux", reason="other systems share with wildcards")
@pytest.mark.parametrize(
    "address",
    ["127.0.0.1", "0.0.0.0", *(pytest.param(a, marks=needs_ipv6) for a in ("::1", "::"))],  # noqa: S104
)
@pytest.mark.parametrize("option", ["", "SO_REUSEADDR", "SO_REUSEPORT"])
def test_while_we_listen_nobody_else_can(address: str, option: str) -> None:
    """The answer cannot be split between two programs, whatever the other one asks for."""
    port, sockets = bind_loopback((free_port(),))
    try:
        with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as other:
            if option:
                other.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
            with pytest.raises(OSError, match="in use"):
                other.bind((address, port))
    finally:
        _close(sockets)


@pytest.mark.skipif(sys.platform != "linux", reason="other systems share with wildcards")
@pytest.mark.parametrize("address", ["0.0.0.0", pytest.param("::", marks=needs_ipv6)])  # noqa: S104
def test_in_use_on_every_address_is_in_use(address: str) -> None:
    """Somebody listens everywhere, as servers do: we do not slip in before them."""
    first, second = _two_ports()
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.create_server((address, first), family=family):
        port, sockets = bind_loopback((first, second))
    _close(sockets)
    assert port == second


def test_whoever_only_holds_the_port_cannot_share_it_later() -> None:
    """Bound and not yet listening, a program can be there before us; it never listens with us."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        with suppress(LocalTrouble):
            _, sockets = bind_loopback((other.getsockname()[1],), ("127.0.0.1",))
            try:
                with pytest.raises(OSError, match="in use"):
                    other.listen()
            finally:
                _close(sockets)


def test_no_program_that_we_start_gets_the_port() -> None:
    """A browser that outlives us must not keep it."""
    _, sockets = bind_loopback((free_port(),))
    assert not [listening for listening in sockets if listening.get_inheritable()]
    _close(sockets)


@needs_ipv6
def test_every_address_is_every_address() -> None:
    """`--bind ::` takes what comes by IPv4 as well: there the browser is sent."""
    port, sockets = bind_loopback((free_port(),), ("::",))
    try:
        for address in ("127.0.0.1", "::1"):
            socket.create_connection((address, port), timeout=5).close()
    finally:
        _close(sockets)


def test_a_port_that_rests_is_had_at_once() -> None:
    """After a sign-in the port is in TIME_WAIT; the next sign-in does not wait for a minute."""
    port, sockets = bind_loopback((free_port(),))
    with socket.create_connection(("127.0.0.1", port), timeout=5) as client:
        served, _ = sockets[0].accept()
        served.close()  # who closes first, rests
        assert client.recv(1) == b""
    _close(sockets)
    again, sockets = bind_loopback((port,))
    _close(sockets)
    assert again == port


def test_both_in_use_is_told() -> None:
    """The sentence names both ports and who has them."""
    first, second = _two_ports()
    with (
        socket.create_server(("127.0.0.1", first)),
        socket.create_server(("127.0.0.1", second)),
        pytest.raises(LocalTrouble) as caught,
    ):
        bind_loopback((first, second))
    assert caught.value.error == "port_unavailable"
    assert caught.value.exit_code == 6
    for port in (first, second):
        assert f"port {port} (in use" in caught.value.message


class Refusing(socket.socket):
    """Refuses to be bound to some addresses, as another machine would."""

    refused: dict[str, int] = {}  # noqa: RUF012

    def bind(self, address: tuple[str, int]) -> None:  # type: ignore[override]
        """Bind, or fail as told."""
        number = self.refused.get(address[0]) or self.refused.get(str(address[1]))
        if number is not None:
            raise OSError(number, os.strerror(number))
        super().bind(address)


@pytest.fixture
def refusing(monkeypatch: pytest.MonkeyPatch) -> dict[str, int]:
    """Tell here which address or port is refused with which error number."""
    refused: dict[str, int] = {}
    monkeypatch.setattr(Refusing, "refused", refused)
    monkeypatch.setattr(socket, "socket", Refusing)
    return refused


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT])
def test_without_ipv6_the_other_family_is_enough(number: int, refusing: dict[str, int]) -> None:
    """A machine without ::1 says so in one of three ways; none of them matters."""
    refusing["::1"] = number
    _, sockets = bind_loopback((free_port(),))
    assert len(sockets) == 1
    _close(sockets)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EADDRINUSE])
def test_a_refused_port_is_passed_over(number: int, refusing: dict[str, int]) -> None:
    """Windows excludes ranges in which nobody listens: "not permitted" is no reason to give up."""
    first, second = _two_ports()
    refusing[str(first)] = number
    told: list[str] = []
    port, sockets = bind_loopback((first, second), on_passed_over=told.append)
    _close(sockets)
    assert port == second
    assert len(told) == 1
    assert told[0].startswith(f"Port {first} (")


def test_different_troubles_are_told_apart(refusing: dict[str, int]) -> None:
    """One port is taken and the other forbidden: each with its own reason."""
    first, second = _two_ports()
    refusing |= {str(first): errno.EADDRINUSE, str(second): errno.EACCES}
    with pytest.raises(LocalTrouble) as caught:
        bind_loopback((first, second))
    assert f"port {first} (in use) and port {second} (not permitted)" in caught.value.message


def test_forbidden_on_windows_names_the_command(
    refusing: dict[str, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody knows excluded ranges by heart."""
    port = free_port()
    refusing[str(port)] = errno.EACCES
    monkeypatch.setattr(sys, "platform", "win32")
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", socket.SO_KEEPALIVE, raising=False)
    with pytest.raises(LocalTrouble, match="not permitted") as caught:
        bind_loopback((port,))
    assert "netsh interface ipv4 show excludedportrange" in caught.value.hint


def test_an_address_of_another_machine_is_told() -> None:
    """--bind with an address that is not here: nothing to wait for."""
    with pytest.raises(LocalTrouble) as caught:
        bind_loopback((free_port(),), ("192.0.2.1",))
    assert "--bind" in caught.value.hint


@pytest.mark.parametrize("platform", ["linux", "win32", "wsl"])
def test_the_bind_is_exclusive_everywhere(platform: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where SO_REUSEADDR would share the port (Windows, WSL), it is never set."""
    options: list[tuple[int, int]] = []

    class Noting(socket.socket):
        def setsockopt(self, _: int, option: int, value: int) -> None:  # type: ignore[override]
            options.append((option, value))

    exclusive = 0xFFFB
    port = free_port()
    monkeypatch.setattr(socket, "socket", Noting)
    monkeypatch.setattr(socket, "SO_EXCLUSIVEADDRUSE", exclusive, raising=False)
    monkeypatch.setattr(sys, "platform", "linux" if platform == "wsl" else platform)
    if platform == "wsl":
        release = os.uname_result(("Linux", "h", "5.15-microsoft-standard-WSL2", "v", "x86_64"))
        monkeypatch.setattr(os, "uname", lambda: release)
    with suppress(LocalTrouble):
        _close(bind_loopback((port,), ("127.0.0.1",))[1])
    expected = {"linux": [(socket.SO_REUSEADDR, 1)], "win32": [(exclusive, 1)], "wsl": []}
    assert options == expected[platform]


def test_a_failure_leaves_no_socket(refusing: dict[str, int]) -> None:
    """Whatever was bound before the failure is closed again."""
    refusing["::1"] = errno.EACCES
    before = set(os.listdir("/proc/self/fd")) if os.path.exists("/proc/self/fd") else set()
    for _ in range(3):
        with pytest.raises(LocalTrouble):
            bind_loopback((free_port(),))
    if before:
        assert set(os.listdir("/proc/self/fd")) == before


BIND = python(
    "from headless_login.flows.ports import bind_loopback\n"
    "port, sockets = bind_loopback()\n"
    "print(port, [s.getsockname()[0] for s in sockets])"
)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("true", "1455 ['127.0.0.1', '::1']"),
        ("echo 1 > /proc/sys/net/ipv6/conf/lo/disable_ipv6", "1455 ['127.0.0.1']"),
        ("echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6", "1455 ['127.0.0.1']"),
    ],
    ids=["IPv6", "::1 switched off", "IPv6 switched off"],
)
@needs_ipv6
def test_on_a_machine_of_its_own(setting: str, expected: str, tmp_path: Path) -> None:
    """The default ports, with and without IPv6, for real."""
    script = f'unshare -n sh -c \'ip link set lo up; {setting}; exec "$0" "$@"\' {BIND}'
    done = in_namespace(script, tmp_path, environ={"PATH": os.environ["PATH"]})
    assert done.stdout.strip() == expected, done.stderr


AS_NOBODY = python(
    "import os\n"
    "from headless_login.errors import LocalTrouble\n"
    "from headless_login.flows.ports import bind_loopback\n"
    "os.setgroups([])\n"
    "os.setuid(65534)\n"
    "try:\n"
    "    port, sockets = bind_loopback(on_passed_over=print)\n"
    "    print(port, len(sockets))\n"
    "except LocalTrouble as trouble:\n"
    "    print(trouble.message, trouble.hint)"
)


@needs_root
@needs_ipv6
@pytest.mark.parametrize(
    ("first_allowed", "expected"),
    [
        (1456, ["Port 1455 (not permitted) was passed over for 1457.", "1457 2"]),
        (
            1458,
            [
                "No browser can reach this sign-in: port 1455 (not permitted) and port 1457 "
                "(not permitted). The system keeps this port for itself."
            ],
        ),
    ],
)
def test_ports_that_only_root_may_have(
    first_allowed: int, expected: list[str], tmp_path: Path
) -> None:
    """The system's own refusal, for real."""
    setting = f"echo {first_allowed} > /proc/sys/net/ipv4/ip_unprivileged_port_start"
    script = f'unshare -n sh -c \'ip link set lo up; {setting}; exec "$0" "$@"\' {AS_NOBODY}'
    done = in_namespace(script, tmp_path, environ={"PATH": os.environ["PATH"]})
    assert done.stdout.splitlines() == expected, done.stderr
