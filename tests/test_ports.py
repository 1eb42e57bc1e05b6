"""Getting the loopback port: on both families, at once, exclusively, or not at all."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from headless_login.errors import LocalTrouble
from headless_login.flows.ports import SO_EXCLUSIVEADDRUSE, bind_loopback, listen
from tests.support.listening import LOOPBACK, free_port, listen_at, needs_ipv6
from tests.support.machine import in_namespace, needs_root, python

pytestmark = pytest.mark.filterwarnings(
    "error::ResourceWarning", "error::pytest.PytestUnraisableExceptionWarning"
)


def addresses(*more: str) -> pytest.MarkDecorator:
    """For each of these addresses, those of IPv6 where the machine has it."""
    found = ("127.0.0.1", "::1", *more)
    marked = [pytest.param(name, marks=needs_ipv6) if ":" in name else name for name in found]
    return pytest.mark.parametrize("address", marked)


@contextmanager
def _bound(*arguments: Any, **more: Any) -> Iterator[tuple[int, list[socket.socket]]]:
    """Do as `bind_loopback` does, and close what it returns."""
    port, sockets = bind_loopback(*arguments, **more)
    try:
        yield port, sockets
    finally:
        for listening in sockets:
            listening.close()


@pytest.fixture
def two() -> tuple[int, int]:
    first = free_port()
    while (second := free_port()) == first:
        pass
    return first, second


@needs_ipv6
@pytest.mark.parametrize(("at", "bound"), [(LOOPBACK, list(LOOPBACK)), (("::",), ["::"])], ids=str)
def test_both_families_have_it(at: tuple[str, ...], bound: list[str]) -> None:
    """`localhost` may be ::1, and `--bind ::` takes what comes by IPv4; no child gets the port."""
    with _bound((free_port(),), at) as (port, sockets):
        assert [listening.getsockname()[:2] for listening in sockets] == [(a, port) for a in bound]
        assert not [listening for listening in sockets if listening.get_inheritable()]
        for address in LOOPBACK:
            socket.create_connection((address, port), timeout=5).close()


@addresses(*(("0.0.0.0", "::") if sys.platform == "linux" else ()))  # noqa: S104
def test_in_use_on_one_family_is_in_use(address: str, two: tuple[int, int]) -> None:
    """Half a port would lose half of the browsers: the next one is taken whole."""
    with listen_at(address, two[0]), _bound(two) as (port, _):
        assert port == two[1]
    for other in LOOPBACK:  # and nothing of the first is kept
        listen_at(other, two[0]).close()


@pytest.mark.skipif(sys.platform != "linux", reason="others share with wildcards")
@addresses("0.0.0.0", "::")  # noqa: S104
@pytest.mark.parametrize("option", ["", "SO_REUSEADDR", "SO_REUSEPORT"])
def test_while_we_listen_nobody_else_can(address: str, option: str) -> None:
    """The answer cannot be split between two programs, whatever the other one asks for."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with _bound((free_port(),)) as (port, _), socket.socket(family) as other:
        if option:
            other.setsockopt(socket.SOL_SOCKET, getattr(socket, option), 1)
        with pytest.raises(OSError, match="in use"):
            other.bind((address, port))


def test_whoever_only_holds_the_port_cannot_share_it_later() -> None:
    """Bound and not yet listening, a program can be there before us; it never listens with us."""
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        with (
            suppress(LocalTrouble),
            _bound((port,), ("127.0.0.1",)),
            pytest.raises(OSError, match="in use"),
        ):
            other.listen()


def test_a_port_that_rests_is_had_at_once() -> None:
    """After a sign-in the port is in TIME_WAIT; the next sign-in does not wait for a minute."""
    with (
        _bound((free_port(),)) as (port, sockets),
        socket.create_connection(("127.0.0.1", port), timeout=5) as client,
    ):
        served, _ = sockets[0].accept()
        served.close()  # who closes first, rests
        assert client.recv(1) == b""
    with _bound((port,)) as (again, _):
        assert again == port


Listen = Callable[[str, int], socket.socket]


def _refusing(refused: dict[str | int, int]) -> Listen:
    """Listen as another machine would, which refuses addresses or ports by an error number."""

    def refuse(address: str, port: int) -> socket.socket:
        number = refused.get(address) or refused.get(port)
        if number is not None:
            raise OSError(number, os.strerror(number))
        return listen(address, port)

    return refuse


@pytest.mark.parametrize("number", [errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT])
def test_without_ipv6_the_other_family_is_enough(number: int) -> None:
    """A machine without ::1 says so in one of three ways; none of them matters."""
    with _bound((free_port(),), listen=_refusing({"::1": number})) as (_, sockets):
        assert [listening.getsockname()[0] for listening in sockets] == ["127.0.0.1"]


@pytest.mark.parametrize("number", [errno.EACCES, errno.EPERM, errno.EADDRINUSE])
def test_a_refused_port_is_passed_over(number: int, two: tuple[int, int]) -> None:
    """Windows excludes ranges in which nobody listens: "not permitted" is no reason to give up."""
    told: list[str] = []
    refusing = _refusing({two[0]: number})
    with _bound(two, on_passed_over=told.append, listen=refusing) as (port, _):
        assert port == two[1]
    assert len(told) == 1
    assert told[0].startswith(f"Port {two[0]} (")


WHY = {errno.EADDRINUSE: "in use", errno.EACCES: "not permitted"}
EXCLUDED = "See: netsh interface ipv4 show excludedportrange protocol=tcp"


@pytest.mark.parametrize(
    ("numbers", "platform", "hint"),
    [
        ((errno.EADDRINUSE, errno.EADDRINUSE), "linux", "End the other"),
        ((errno.EADDRINUSE, errno.EACCES), "linux", "The system"),
        ((errno.EACCES, errno.EACCES), "win32", EXCLUDED),
    ],
)
def test_each_port_has_its_own_reason(
    numbers: tuple[int, int], platform: str, hint: str, two: tuple[int, int]
) -> None:
    """The sentence names both; nobody knows the excluded ranges of Windows by heart."""
    refusing = _refusing(dict(zip(two, numbers, strict=True)))
    with pytest.raises(LocalTrouble) as caught:
        bind_loopback(two, listen=refusing, platform=platform)
    assert (caught.value.error, caught.value.exit_code) == ("port_unavailable", 6)
    first, second = (f"port {port} ({WHY[n]})" for port, n in zip(two, numbers, strict=True))
    assert f"{first} and {second}" in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize(
    ("platform", "release", "expected"),
    [
        ("linux", "6.1.0-18-amd64", [(socket.SO_REUSEADDR, 1)]),
        ("linux", "5.15.90.1-microsoft-standard-WSL2", []),
        ("win32", "", [(SO_EXCLUSIVEADDRUSE, 1)]),
    ],
)
def test_the_bind_is_exclusive_everywhere(
    platform: str, release: str, expected: list[tuple[int, int]]
) -> None:
    """Where SO_REUSEADDR would share the port (Windows, WSL), it is never set."""
    options: list[tuple[int, int]] = []

    class Noting(socket.socket):
        def setsockopt(self, _: int, option: int, value: int) -> None:  # type: ignore[override]
            options.append((option, value))

    there = partial(listen, make_socket=Noting, platform=platform, release=release)
    with _bound((0,), ("127.0.0.1",), listen=there):
        assert options == expected


@needs_ipv6
@pytest.mark.skipif(not os.path.exists("/proc/self/fd"), reason="/proc is Linux's")
def test_a_failure_leaves_no_socket() -> None:
    port = free_port()
    with listen_at("::1", port):
        before = set(os.listdir("/proc/self/fd"))
        for _ in range(3):
            with pytest.raises(LocalTrouble):
                bind_loopback((port,))
        assert set(os.listdir("/proc/self/fd")) == before


# The systems' own refusals, for real.

AS_NOBODY = python(
    "import contextlib, os\n"
    "from headless_login.errors import LocalTrouble\n"
    "from headless_login.flows.ports import bind_loopback\n"
    "with contextlib.suppress(PermissionError):  # only the real root may\n"
    "    os.setgroups([])\n"
    "    os.setuid(65534)\n"
    "try:\n"
    "    port, sockets = bind_loopback(on_passed_over=print)\n"
    "    print(port, *[s.getsockname()[0] for s in sockets])\n"
    "except LocalTrouble as trouble:\n"
    "    print(trouble.message, trouble.hint)"
)
NO_IPV6 = "echo 1 > /proc/sys/net/ipv6/conf/{}/disable_ipv6"
ROOTS_BELOW = "echo {} > /proc/sys/net/ipv4/ip_unprivileged_port_start"
BOTH = "127.0.0.1 ::1"
PASSED_OVER = f"Port 1455 (not permitted) was passed over for 1457.\n1457 {BOTH}"
NEITHER = (
    "No browser can reach this sign-in: port 1455 (not permitted) and port 1457 "
    "(not permitted). The system keeps this port for itself."
)


@needs_ipv6
@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        ("true", f"1455 {BOTH}"),
        (NO_IPV6.format("lo"), "1455 127.0.0.1"),
        (NO_IPV6.format("all"), "1455 127.0.0.1"),
        pytest.param(ROOTS_BELOW.format(1456), PASSED_OVER, marks=needs_root),
        pytest.param(ROOTS_BELOW.format(1458), NEITHER, marks=needs_root),
    ],
)
def test_on_a_machine_of_its_own(setting: str, expected: str, tmp_path: Path) -> None:
    """The default ports, with and without IPv6, and where only root may have them."""
    script = f'unshare -n sh -c \'ip link set lo up; {setting}; exec "$0" "$@"\' {AS_NOBODY}'
    done = in_namespace(script, tmp_path, environ={"PATH": os.environ["PATH"]})
    assert done.stdout == f"{expected}\n", done.stderr
