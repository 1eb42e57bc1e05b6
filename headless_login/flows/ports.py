"""Binding the loopback port to which the browser is sent (RFC 8252 §7.3)."""

from __future__ import annotations

import errno
import os
import socket
import sys
from collections.abc import Sequence
from contextlib import ExitStack

from headless_login.errors import LocalTrouble
from headless_login.oauth.provider import LOOPBACK_PORTS

LOOPBACK = ("127.0.0.1", "::1")

# A machine without IPv6, or with ::1 switched off, is no obstacle; everything else is.
_NO_SUCH_ADDRESS = {errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT, errno.EPROTONOSUPPORT}


def bind_loopback(
    ports: Sequence[int] = LOOPBACK_PORTS, addresses: Sequence[str] = LOOPBACK
) -> tuple[int, list[socket.socket]]:
    """Return the first port that can be had on every address, with its listening sockets.

    Only these ports are registered as redirect URIs (codex-facts.md §1), so each is tried at
    once and none is waited for.

    Raises:
        LocalTrouble: `port_unavailable`; each port is in use or forbidden.
    """
    reasons = []
    for port in ports:
        try:
            return port, _bind(port, addresses)
        except OSError as error:
            reasons.append(f"{port} ({_reason(error)})")
    raise LocalTrouble(
        "port_unavailable",
        f"No browser can reach this sign-in: port {' and port '.join(reasons)}.",
        "End the other sign-in or program that uses it.",
    )


def _bind(port: int, addresses: Sequence[str]) -> list[socket.socket]:
    sockets: list[socket.socket] = []
    with ExitStack() as opened:
        for address in addresses:
            try:
                sockets.append(opened.enter_context(_listen(address, port)))
            except OSError as error:
                if address == addresses[0] or error.errno not in _NO_SUCH_ADDRESS:
                    raise
        opened.pop_all()
    return sockets


def _listen(address: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    try:
        if family == socket.AF_INET6:
            listening.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        if sys.platform == "win32":
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_EXCLUSIVEADDRUSE, 1)
        elif "microsoft" not in os.uname().release.lower():
            # After a sign-in the port rests for a minute; this lets the next one have it at once.
            # Under WSL it could share a port that somebody else listens on.
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((address, port))
        listening.listen(64)
    except BaseException:
        listening.close()
        raise
    return listening


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "in use"
    if error.errno in (errno.EACCES, errno.EPERM):
        return "not permitted"
    return error.strerror or type(error).__name__
