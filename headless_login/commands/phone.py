"""The page for a phone: opened where it can be reached, and what is said of it before."""

from __future__ import annotations

import socket
from collections.abc import Callable
from time import gmtime, strftime

from headless_login.commands import words
from headless_login.commands.context import Context, Options
from headless_login.errors import LocalTrouble
from headless_login.flows.phone import PhonePage
from headless_login.flows.phone_page import About
from headless_login.flows.ports import Listen, listen
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.text import one_line
from headless_login.terminal.network import addresses_for_phone, read_bind
from headless_login.terminal.place import Place, detect_place

_NAME_ONE = "Name an address of this machine that the phone reaches: --phone-bind ADDRESS"


def open_page(attempt: Attempt, options: Options, context: Context) -> PhonePage:
    """Return the page of an attempt, on a bound socket, and say what has to be known of it.

    Raises:
        LocalTrouble: `port_unavailable`; there is no address for it.
        WrongUsage: `--phone-bind` is none.
    """
    place = detect_place(context.environ)
    listening = bind_page(options.phone_bind, place)
    address, port = listening.getsockname()[:2]
    environ = context.environ
    about = About(
        user=one_line(environ.get("USER") or environ.get("LOGNAME") or "")[:40],
        host=one_line(socket.gethostname())[:60],
        begun=strftime("%H:%M UTC", gmtime(context.time_of_day())),
        url=attempt.url,
        is_confirmed=not options.expect,
    )
    context.say(words.PHONE_IS_OPEN)
    for line in advice(place, address, port):
        context.output.console.write(f"{line}\n")
    return PhonePage(attempt, listening, about)


def bind_page(bind: str | None, place: Place, *, listen: Listen = listen) -> socket.socket:
    """Return a socket that listens on one address; raises as `open_page`."""
    address, port = read_bind(bind) if bind is not None else ("", 0)
    reason = "this machine has no address in a network"
    for each in [address] if address else addresses_for_phone(place):
        try:
            return listen(each, port)
        except OSError as error:
            told = error.strerror or type(error).__name__
            reason = f"{each}{f' port {port}' if port else ''}: {told}"
    raise LocalTrouble("port_unavailable", f"No page for a phone: {reason}.", _NAME_ONE)


Advise = Callable[[Place, str, int], list[str]]


def advice(place: Place, address: str, port: int) -> list[str]:
    """Return the lines for a place whose addresses other machines do not reach by themselves.

    They are not to be wrapped: commands have to be copied whole.
    """
    if place.pod is not None:
        namespace, name = place.pod
        return [
            "This is a pod: the phone reaches the page by a machine that runs",
            f"kubectl -n {namespace} port-forward --address 0.0.0.0 pod/{name} {port}:{port}",
            "and by that machine's address in place of the pod's.",
        ]
    if place.container in ("docker", "podman"):
        return [
            "This is a container: the phone reaches the page by the host's address, if it was",
            f"started with: {place.container} run -p {port}:{port} … (choose it: --phone-bind "
            f"{_shown(address)}:{port})",
        ]
    if place.wsl:
        return [
            "This is WSL: the phone reaches the page by the address of Windows, after, there:",
            f"netsh interface portproxy add v4tov4 listenport={port} connectport={port} "
            f"connectaddress={address}",
        ]
    if address.startswith("127.") or address == "::1":
        return [
            "The page is on loopback: other machines reach it by a tunnel alone, as",
            f"ssh -N -L {port}:{_shown(address)}:{port} THIS-MACHINE",
        ]
    return []


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address
