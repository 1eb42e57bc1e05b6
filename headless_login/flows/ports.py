"""Binding the loopback port to which the browser is sent (RFC 8252 §7.3)."""

from __future__ import annotations

import errno
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing, suppress

from headless_login.errors import FAILED, OK, WARNING, Finding, LocalTrouble
from headless_login.flows.port_holder import PortHolder, cancel, find_holder
from headless_login.oauth.provider import LOOPBACK_PORTS

LOOPBACK = ("127.0.0.1", "::1")

# Connections that wait to be accepted. A full queue makes a browser's next attempt wait a second,
# and the exchange of the code keeps us busy while the browser already asks for the last page.
_QUEUE = 1024

# How often and how long (seconds) Codex tries again after its own /cancel (codex-facts.md §8).
_TRIES, _BETWEEN_TRIES = 10, 0.2
_PATIENCE = 2.0  # seconds, for a connection to this machine itself

# A machine without IPv6, or with ::1 switched off, is no obstacle; everything else is.
_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}

SO_EXCLUSIVEADDRUSE: int = getattr(socket, "SO_EXCLUSIVEADDRUSE", -5)  # Windows alone has it
_RELEASE = os.uname().release if hasattr(os, "uname") else ""

Listen = Callable[[str, int], socket.socket]
FindHolder = Callable[[int], PortHolder | None]


def listen(
    address: str,
    port: int,
    *,
    make_socket: Callable[[int, int], socket.socket] = socket.socket,
    platform: str = sys.platform,
    release: str = _RELEASE,
) -> socket.socket:
    """Return a socket that listens there and shares the port with nobody.

    `platform` and `release` are those of the system, whose options differ.

    Raises:
        OSError: the address or port cannot be had.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = make_socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            # `::` stands for every address, and the browser is sent to one of IPv4.
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(address != "::"))
        if platform == "win32":
            listening.setsockopt(socket.SOL_SOCKET, SO_EXCLUSIVEADDRUSE, 1)
        elif "microsoft" not in release.lower():
            # After a sign-in the port rests for a minute; this lets the next one have it at once.
            # Under WSL it could share a port that another program listens on.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(_QUEUE)
    except BaseException:
        listening.close()
        raise
    return listening


def bind_loopback(
    ports: Sequence[int] = LOOPBACK_PORTS,
    addresses: Sequence[str] = LOOPBACK,
    *,
    take_over: bool = False,
    on_passed_over: Callable[[str], None] = lambda _: None,
    listen: Listen = listen,
    find_holder: FindHolder = find_holder,
    platform: str = sys.platform,
    sleep: Callable[[float], None] = time.sleep,
) -> tuple[int, list[socket.socket]]:
    """Return the first port that can be had on every address, with its listening sockets.

    Only these ports are registered as redirect URIs (codex-facts.md §1), so each is tried at
    once and none is waited for; with `take_over`, a sign-in that waits there is asked to end.
    `on_passed_over` is told why a port was not taken, if a later one was. `listen`, `find_holder`,
    `platform` and `sleep` are how the system is asked.

    Raises:
        LocalTrouble: `port_unavailable`; each port is in use or forbidden.
    """

    def bind(port: int) -> list[socket.socket]:
        return _bind(port, addresses, listen)

    reasons, hint = [], ""
    for port in ports:
        try:
            sockets = _take_over(port, bind, find_holder, sleep) if take_over else bind(port)
        except OSError as error:
            reason, hint = _reason(error, port, find_holder, platform)
            reasons.append(f"{port} ({reason})")
        else:
            for passed_over in reasons:
                on_passed_over(f"Port {passed_over} was passed over for {port}.")
            return port, sockets
    raise LocalTrouble(
        "port_unavailable",
        f"No browser can reach this sign-in: port {' and port '.join(reasons)}.",
        hint,
    )


def _take_over(
    port: int,
    bind: Callable[[int], list[socket.socket]],
    find_holder: FindHolder,
    sleep: Callable[[float], None],
) -> list[socket.socket]:
    """Bind a port, if need be after its holder was asked to end."""
    try:
        return bind(port)
    except OSError as error:
        if error.errno != errno.EADDRINUSE or not _may_be_cancelled(find_holder(port)):
            raise
    cancel(port)
    for _ in range(_TRIES - 1):
        with suppress(OSError):
            return bind(port)
        sleep(_BETWEEN_TRIES)
    return bind(port)


def _may_be_cancelled(holder: PortHolder | None) -> bool:
    """Return whether `GET /cancel` is no request that could mean anything to who listens there."""
    return holder is None or holder.can_be_cancelled


def _bind(port: int, addresses: Sequence[str], listen: Listen) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    with ExitStack() as opened:
        for address in addresses:
            try:
                sockets.append(opened.enter_context(listen(address, port)))
            except OSError as error:
                if address == addresses[0] or error.errno not in _NO_SUCH_ADDRESS:
                    raise
        opened.pop_all()
    return sockets


def _reason(error: OSError, port: int, find_holder: FindHolder, platform: str) -> tuple[str, str]:
    """Return what is wrong with a port, and what to do about it."""
    if error.errno == errno.EADDRINUSE:
        holder = find_holder(port)
        if holder is None:
            return "in use", "End the other sign-in or program that uses it."
        if holder.can_be_cancelled:
            return f"in use by {holder}", "Finish it first, or end it with --take-over-port."
        return f"in use by {holder}", "End that program."
    if error.errno in (errno.EACCES, errno.EPERM):
        # On Windows a range can be excluded though no program listens there (headless-needs.md, 8).
        command = "netsh interface ipv4 show excludedportrange protocol=tcp"
        looked_up = f" See: {command}" if platform == "win32" else ""
        holder = find_holder(port) if platform == "win32" else None
        if holder is not None:  # it has bound all addresses for itself alone (WSAEACCES)
            return f"in use by {holder}", "End that program."
        return "not permitted", f"The system keeps this port for itself.{looked_up}"
    reason = error.strerror or type(error).__name__
    return reason, "Listen on an address of this machine: --bind ADDRESS"


def check_ports(
    ports: Sequence[int] = LOOPBACK_PORTS,
    *,
    listen: Listen = listen,
    find_holder: FindHolder = find_holder,
    hosts_file: str = "/etc/hosts",
    platform: str = sys.platform,
) -> Iterator[Finding]:
    """Check what a browser on this machine needs to reach a sign-in here (`doctor`).

    `hosts_file` is what names are looked up in; no name server is asked for `localhost`.
    """
    for port in ports:
        name = f"port_{port}"
        try:
            for held in _bind(port, LOOPBACK, listen):
                held.close()
        except OSError as error:
            reason, remedy = _reason(error, port, find_holder, platform)
            pasting = "Or sign in without a port: headless-login login --paste-redirect"
            yield Finding(name, WARNING, f"Port {port} is {reason}.", f"{remedy}\n{pasting}")
        else:
            yield Finding(name, OK, f"Port {port} is free.")
    for name, address in (("loopback_ipv4", LOOPBACK[0]), ("loopback_ipv6", LOOPBACK[1])):
        why = _unreachable(address, listen)
        if why is None:
            yield Finding(name, OK, f"{address} can be reached.")
        elif name == "loopback_ipv6":
            yield Finding(name, OK, f"{address} cannot be reached ({why}); it is not needed.")
        else:
            message = f"{address} cannot be reached: {why}."
            yield Finding(name, FAILED, message, _LOOPBACK_REMEDIES.get(platform, _BRING_UP))
    if platform not in ("win32", "darwin"):  # they know the name without a file
        yield _localhost(hosts_file)


_BRING_UP = "Bring it up, as root: ip link set lo up"
_LOOPBACK_REMEDIES = {
    "darwin": "Bring it up, as root: ifconfig lo0 up",
    "win32": "It is always there: have the firewall or security program permit it.",
}


def _unreachable(address: str, listen: Listen) -> str | None:
    """Return why a connection to an address of this machine fails, or None if it does not."""
    try:
        with (
            closing(listen(address, 0)) as listening,
            socket.create_connection(listening.getsockname()[:2], timeout=_PATIENCE),
        ):
            return None
    except OSError as error:
        return error.strerror or type(error).__name__


def _localhost(hosts_file: str) -> Finding:
    """Return what `localhost` means: older Codexes, and people, write it (RFC 8252 §8.3)."""
    found = []
    with suppress(OSError), open(hosts_file, encoding="utf-8", errors="replace") as lines:
        entries = (line.partition("#")[0].split() for line in lines)
        found = [words[0] for words in entries if "localhost" in words[1:]]
    name, remedy = "localhost", f"Have {hosts_file} say: 127.0.0.1 localhost"
    if not found:
        return Finding(name, WARNING, f"{hosts_file} does not say what localhost is.", remedy)
    foreign = [each for each in found if not each.startswith("127.") and each != "::1"]
    if foreign:
        return Finding(name, FAILED, f"{hosts_file} leads localhost to another machine.", remedy)
    return Finding(name, OK, f"localhost is {' and '.join(found)}.")
