"""The page for a phone: opened where it can be reached, said so, and one of several ways."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable
from contextlib import suppress
from time import gmtime, strftime

from headless_login.commands import words
from headless_login.commands.context import Context, Options
from headless_login.errors import (
    HeadlessLoginError,
    IssuerTrouble,
    LocalTrouble,
    RejectedAnswer,
    SignInRefused,
    TimedOut,
)
from headless_login.flows.phone import PhonePage
from headless_login.flows.phone_page import About
from headless_login.flows.ports import Listen, listen
from headless_login.oauth.attempt import Attempt
from headless_login.oauth.identity import Identity
from headless_login.oauth.text import one_line
from headless_login.terminal.countdown import time_left
from headless_login.terminal.input import can_be_asked
from headless_login.terminal.network import addresses_for_phone, read_bind
from headless_login.terminal.place import Place, detect_place

_NAME_ONE = "Name an address of this machine that the phone reaches: --phone-bind ADDRESS"


class PhoneWay:
    """The way by the page of one sign-in, and all that is said about what it brings.

    Nothing that comes by it ends the sign-in, as it may be a stranger's.
    """

    def __init__(
        self, page: PhonePage, attempt: Attempt, context: Context, left: Callable[[], float]
    ) -> None:
        """`left` returns the seconds that are left of the sign-in."""
        self.page = page
        self._attempt, self._context, self._left = attempt, context, left
        self._told = False

    def stand_beside(self, show_above: Callable[[Callable[[], None]], None]) -> None:
        """Have things shown above what is live."""
        self._above = show_above
        self.page.on_rejected = self._tell_rejected

    def _tell_rejected(self, rejected: SignInRefused) -> None:
        """Tell a program of each wrong answer, and the person of the first."""
        output = self._context.output
        output.events.emit("rejected", error=rejected.error, message=rejected.message)
        if not self._told:
            self._told = True
            self._above(lambda: output.say(f"{words.WRONG_ON_PAGE} {rejected.message}"))

    def goes_on_after(self, refused: HeadlessLoginError) -> bool:
        """Tell who brought it, and the person, that an answer was refused.

        Returns False if it is no answer's fault, but this machine's or its time's.
        """
        # Rejected: another call has finished the sign-in.
        is_of_answer = isinstance(refused, SignInRefused | IssuerTrouble)
        if not is_of_answer or isinstance(refused, RejectedAnswer):
            return False
        self.page.refuse(f"{refused.message} {words.STILL_WAITING}")
        refused.pending, refused.command = words.STILL_WAITING, ""
        self._context.output.tell_rejected(refused)
        return True

    def is_confirmed(self, identity: Identity, runner: asyncio.Runner) -> bool:
        """Ask on the terminal, as long as the sign-in has time, whether it is the right one.

        Unless it was named beforehand, so that it is.

        Raises:
            TimedOut: nobody has answered.
            KeyboardInterrupt: Ctrl-C.
        """
        from headless_login.terminal.prompt import YesOrNo

        if self._attempt.expect:
            return True
        if not can_be_asked():  # it has become a program in the background
            return False
        console, target = self._context.output.console, one_line(self._attempt.to)
        name = words.whole_name(identity)
        label = words.CONFIRM.format(target or "this machine", name)
        if len(label) + len("yes") >= console.size[0]:  # all of the name has to be seen
            console.write(f"{words.CAME_BY_PAGE}\n{name}\n")
            label = words.CONFIRM_THAT.format("it" if target else "this machine")
        question = YesOrNo(console, label, lambda: time_left(self._left()))
        with suppress(TimeoutError):
            answer = runner.run(asyncio.wait_for(question.is_yes(), self._left()))
            if answer is None:
                raise KeyboardInterrupt
            return answer
        raise TimedOut("Timed out waiting for the sign-in to be confirmed.")


def open_page(
    attempt: Attempt, options: Options, context: Context, left: Callable[[], float]
) -> PhoneWay:
    """Return the way by a page on a bound socket, and say what has to be known of it.

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
    return PhoneWay(PhonePage(attempt, listening, about), attempt, context, left)


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
    if address.startswith("127.") or address == "::1":
        return [
            "The page is on loopback: other machines reach it by a tunnel alone, as",
            f"ssh -N -L {port}:{_shown(address)}:{port} THIS-MACHINE",
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
    return []


def _shown(address: str) -> str:
    return f"[{address}]" if ":" in address else address
