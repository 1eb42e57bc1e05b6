"""By which address of this machine a phone reaches it, as far as one can see from here."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable, Iterator
from contextlib import suppress

from headless_login.errors import WrongUsage
from headless_login.terminal.place import Place

_ANY_PORT = 0
# Nothing is sent there: only the route is asked for (RFC 5737, RFC 3849).
_FAR_AWAY = ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1"))
_WITH_PORT = re.compile(r"\[([^\[\]]*)\](?::([0-9]{1,5}))?|([^:\[\]]*)(?::([0-9]{1,5}))?")
_USE = "Use: --phone-bind 192.0.2.10, or with a port: 192.0.2.10:8080, [2001:db8::10]:8080"

FindOwn = Callable[[int, str], str]


def own_address(family: int, towards: str) -> str:
    """Return the address of this machine from which packets to another one leave.

    Raises:
        OSError: there is no route.
    """
    with socket.socket(family, socket.SOCK_DGRAM) as asking:
        asking.connect((towards, 9))
        return str(asking.getsockname()[0])


def addresses_for_phone(place: Place, *, find_own: FindOwn = own_address) -> Iterator[str]:
    """Yield this machine's addresses, the likeliest to be reached first.

    By that of the ssh session the person is here already, in a VPN as Tailscale's, too; its sign
    can be stale, so others follow.
    """
    found = [place.ssh.address] if place.ssh else []
    for family, far_away in _FAR_AWAY:
        with suppress(OSError):
            found.append(find_own(family, far_away))
    yield from (each for each in dict.fromkeys(found) if _is_of_network(each))


def _is_of_network(address: str) -> bool:
    """Return whether others can be told an address: no name, not loopback, without a scope."""
    try:
        kind, packed = _packed(address)
    except ValueError:
        return False
    if kind == socket.AF_INET:
        return packed[0] not in (0, 127)
    return packed[:2] != b"\xfe\x80" and packed[:15] != bytes(15)


def _packed(address: str) -> tuple[int, bytes]:
    """Return family and bytes of an address; raises ValueError."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    try:
        return family, socket.inet_pton(family, address)
    except (OSError, UnicodeError):
        raise ValueError("no address") from None


def read_bind(text: str) -> tuple[str, int]:
    """Return address and port (0 for a free one) of `--phone-bind`.

    Raises:
        WrongUsage: it is not one address of a network that a phone could be told.
    """
    bare = text.count(":") > 1 and not text.startswith("[")
    found = None if bare else _WITH_PORT.fullmatch(text)
    address = text if bare else (found[1] or found[3] or "") if found else ""
    port = int((found[2] or found[4] or _ANY_PORT) if found else _ANY_PORT)
    if "%" in address:
        raise WrongUsage(
            "--phone-bind takes no link-local address: a phone cannot open one with a scope id.",
            _USE,
        )
    try:
        family, packed = _packed(address)
    except ValueError:
        raise WrongUsage("--phone-bind takes an address of this machine, no name.", _USE) from None
    if not any(packed):
        raise WrongUsage("--phone-bind takes one address, not all of them.", _USE)
    if family == socket.AF_INET6 and packed[:2] == b"\xfe\x80":
        raise WrongUsage("--phone-bind takes no link-local address.", _USE)
    if port > 65535:
        raise WrongUsage("--phone-bind has no such port.", _USE)
    return address, port
